//go:build !linux

package plugins_test

// mappings is not known here.
func mappings() int { return 0 }

func executable() uint64 { return 0 }
