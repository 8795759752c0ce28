package engine_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// childEnv names the part that a copy of the test binary plays.
const childEnv = "WEFT_ENGINE_TEST_CHILD"

// process is an echo server in a process of its own.
type process struct {
	t       testing.TB
	stdin   io.Writer
	stdout  io.Reader
	address string
}

// startProcess starts one; the test's end ends it.
func startProcess(t testing.TB, driver string, loops, files int) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", childEnv, driver, loops, files))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the server process:", err)
		}
	})
	p := &process{t: t, stdin: stdin, stdout: stdout}
	if _, err := fmt.Fscan(stdout, &p.address); err != nil {
		t.Skip("no server process here:", err)
	}
	return p
}

// report waits in the process, and tells how many connections it refused for want
// of descriptors, the CPU time it used since the last report, and its memory.
func (p *process) report(after time.Duration) (refused uint64, cpu time.Duration, bytes uint64) {
	p.t.Helper()
	_, _ = fmt.Fprintln(p.stdin, after.Milliseconds())
	if _, err := fmt.Fscan(p.stdout, &refused, &cpu, &bytes); err != nil {
		p.t.Fatal(err)
	}
	return refused, cpu, bytes
}

// memory is what heap and stacks use after a collection.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
