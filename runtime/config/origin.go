package config

// origin remembers where each key came from.
type origin struct {
	file   string
	places map[string]Place
}
