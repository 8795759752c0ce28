package plugins_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// mappings is how many ranges of memory the process has mapped.
func mappings() int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte{'\n'})
}

// executable is how many bytes of compiled code are mapped.
func executable() (size uint64) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err == nil && strings.HasPrefix(access, "r-x") && !strings.Contains(line, "/") {
			size += to - from
		}
	}
	return size
}
