package config

// Options says where the configuration comes from.
type Options struct {
	// File is the path of a YAML (.yaml, .yml), TOML (.toml) or JSON (.json)
	// file. Empty: no file.
	File string
	// Data is the file's content; if it is not nil, File is only its name and
	// nothing is read.
	Data []byte
	// Env is the environment in the form of os.Environ; variables that do not
	// begin with WEFT_ are ignored. Nil: none.
	Env []string
	// Reserved names further variables that begin with WEFT_ and are no keys.
	Reserved []string
	// Overrides are keys with their values as text, such as those of flags:
	// "api.address" to "127.0.0.1:0". They win over everything else.
	Overrides map[string]string
	// Presets are the names of the frame formats that weft brings along. Nil:
	// it is not checked whether a listener's frame exists.
	Presets []string
	// StdPlugins are the names of the plugins that ship with weft. Nil: it is
	// not checked whether a std: plugin exists.
	StdPlugins []string
}
