package plugins_test

import (
	"bytes"
	"os"
)

// mappings is how many ranges of memory the process has mapped.
func mappings() int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte{'\n'})
}
