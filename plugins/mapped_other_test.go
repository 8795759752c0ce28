//go:build !linux

package plugins_test

// mappings is not known here.
func mappings() int { return 0 }
