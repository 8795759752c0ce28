// Package configs holds the configuration that weft runs with when it is given
// none, which is also an example to copy, and what describes every key: the JSON
// Schema for editors, and KEYS.md. go run ./tools/configgen writes the latter two.
package configs

import _ "embed"

// Default is weft.yaml.
//
//go:embed weft.yaml
var Default []byte

// Schema is weft.schema.json, the JSON Schema of the configuration file.
//
//go:embed weft.schema.json
var Schema []byte
