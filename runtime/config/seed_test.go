package config_test

import (
	"os"
	"path/filepath"
	"testing"
)

// readSeed is a case's content, nil for files that are no case.
func readSeed(f *testing.F, file string) []byte {
	f.Helper()
	switch filepath.Ext(file) {
	case ".yaml", ".toml", ".json":
	default:
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

// seedKind is the fuzz target's number for the file's format.
func seedKind(file string) uint8 {
	switch filepath.Ext(file) {
	case ".toml":
		return 1
	case ".json":
		return 2
	}
	return 0
}
