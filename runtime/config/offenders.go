package config

// Offenders blocks sources that send what cannot be decoded, or that fail to
// authenticate, again and again.
type Offenders struct {
	// Failures is how many within Window are too many.
	Failures int `koanf:"failures" yaml:"failures" default:"10" min:"1" max:"1000000"`
	// Window is the time in which they are counted.
	Window Duration `koanf:"window" yaml:"window" default:"10s" min:"1s" max:"1h"`
	// Block is for how long the source is blocked then.
	Block Duration `koanf:"block" yaml:"block" default:"1m" min:"1s" max:"24h"`
}
