// Package configs holds the configuration that weft runs with when it is given
// none. It is also an example to copy.
package configs

import _ "embed"

// Default is weft.yaml.
//
//go:embed weft.yaml
var Default []byte
