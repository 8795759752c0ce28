package engine_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine or a descriptor is left after all tests.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	before := openFiles()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	for end := time.Now().Add(5 * time.Second); openFiles() > before+fileSlack && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // the runtime closes its own lazily
	}
	if after := openFiles(); after > before+fileSlack {
		fmt.Fprintf(os.Stderr, "%d descriptors were open before the tests, %d after\n", before, after)
		code = 1
	}
	os.Exit(code)
}

// fileSlack allows for what Go's runtime opens once: its epoll and eventfd.
const fileSlack = 3

// openFiles counts the process's descriptors; 0 where that cannot be seen.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
