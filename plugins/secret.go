package plugins

// SecretAttribute is the attribute of a session's beginning that holds what the
// client proves itself with. Plugins see it; what shows or keeps attributes shows
// Hidden in its place.
const SecretAttribute = "password"

// Hidden is shown in place of a secret.
const Hidden = "(hidden)"

// Shown is the value of an attribute as it may be shown and kept.
func Shown(name, value []byte) []byte {
	if string(name) == SecretAttribute {
		return []byte(Hidden)
	}
	return value
}
