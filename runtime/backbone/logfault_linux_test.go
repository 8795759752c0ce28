package backbone_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

const faultChildDir = "WEFT_FAULT_CHILD"

// filesUpTo bounds the size of this process's files; beyond it writes fail as they do on
// a broken disk. It returns what takes the bound away.
func filesUpTo(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(lift)
	return lift
}

// outcomes appends records with ids and collects the answers.
func outcomes(t *testing.T, l *backbone.Log, from, to int) []backbone.Appended {
	t.Helper()
	answers := make(chan backbone.Appended, to-from)
	for i := from; i < to; i++ {
		if err := l.Append(someID(i), 0, record(i), func(a backbone.Appended) { answers <- a }); err != nil {
			t.Fatal(err)
		}
	}
	var list []backbone.Appended
	for range to - from {
		list = append(list, <-answers)
	}
	return list
}

// The server takes a batch apart, remembers its ids, and then cannot write it. The
// bound is of a process: the test runs as one of its own.
func TestABatchThatTheDiskRefuses(t *testing.T) {
	if underRace {
		t.Skip("nats-server makes its queues anew beside their readers when it stores again: nothing that weft could wait for")
	}
	dir := os.Getenv(faultChildDir)
	if dir == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestABatchThatTheDiskRefuses$", "-test.v")
		c.Env = append(os.Environ(), faultChildDir+"="+t.TempDir())
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	o := embedded(dir)
	b, err := backbone.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, b) })
	l := openLog(t, b, backbone.LogOptions{Name: "refused", Window: time.Hour})
	for i := range 20 {
		done := make(chan error, 1)
		if err := l.Append(fmt.Sprint("large", i), 0, make([]byte, 16<<10), func(a backbone.Appended) { done <- a.Err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "weft_log_refused", "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	block, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	lift := filesUpTo(t, uint64(block.Size())+500)
	began := time.Now()
	for try := range 3 {
		full := 0
		for i, a := range outcomes(t, l, 0, 100) {
			if a.Err == nil {
				// Those before the batch that failed may have found room.
				if try == 0 && i < 10 {
					continue
				}
				t.Fatalf("try %d: record %d is acknowledged, %+v: the disk has taken nothing", try, i, a)
			}
			// On a busy machine the answer may not come in time.
			if !errors.Is(a.Err, backbone.ErrFull) && !errors.Is(a.Err, backbone.ErrAway) {
				t.Errorf("try %d: record %d: %v, want ErrFull", try, i, a.Err)
			}
			if errors.Is(a.Err, backbone.ErrFull) {
				full++
			}
		}
		if full == 0 {
			t.Errorf("try %d: nobody is told that the disk takes nothing", try)
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the answers took %s: senders have given up by then", took)
	}
	lift()
	await(t, b, func(s backbone.State) bool { return s.Fault == "" })
	seen := map[int]int{}
	acked := 0
	for _, a := range outcomes(t, l, 0, 100) {
		if a.Err != nil {
			t.Error(a.Err)
		}
		acked++
	}
	for _, e := range follow(t, l, 0, 20+acked) {
		if i := numberOf(e.Record); i >= 0 {
			seen[i]++
		}
	}
	for i := range 100 {
		if seen[i] != 1 {
			t.Errorf("record %d is there %d times", i, seen[i])
		}
	}
}
