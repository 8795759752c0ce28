package plugins_test

import (
	"encoding/binary"
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins"
)

var swaps = flag.Int("swaps", 400, "how many swaps TestSwapsLeaveMemory makes")

// resident is the process's resident memory in bytes, after everything that can
// be given back was; 0 where the system does not tell.
func resident(tb testing.TB) int64 {
	tb.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n << 10
		}
	}
	return 0
}

// TestSwapsLeaveMemory: generations that come and go, each with code of its own,
// leave the memory where it was. With -swaps 10000 it is the long version.
func TestSwapsLeaveMemory(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	generation := func(n int) *plugins.Plugin {
		m := counting(1).Custom("generation", binary.LittleEndian.AppendUint32(nil, uint32(n)))
		return load(t, env, m, plugins.Spec{Generation: uint64(n)})
	}
	live := generation(0)
	chain := newChain(t, live)
	var early int64
	want := uint64(0)
	for n := 1; n <= *swaps; n++ {
		next := generation(n)
		swapped, err := chain.Swap(live, standbys(t, next, 1))
		if err != nil {
			t.Fatal(err)
		}
		swapped.Commit()
		if err := live.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		live = next
		b := messages("a")
		chain.Messages(b)
		if want++; b.Messages[0].Seq != want {
			t.Fatalf("after swap %d the state is %d", n, b.Messages[0].Seq)
		}
		if n == 100 {
			early = resident(t)
		}
	}
	const slack = 3 << 20 // what Go's runtime itself takes as it grows into its work; it does not grow further
	most := 1.1*float64(early) + slack
	late := resident(t)
	for deadline := time.Now().Add(time.Minute); early > 0 && float64(late) > most && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // code is unmapped by finalizers, which take a moment
		late = resident(t)
	}
	t.Logf("resident after 100 swaps %d KiB, after %d %d KiB (%+.1f%%)", early>>10, *swaps, late>>10, 100*float64(late-early)/float64(max(early, 1)))
	if early > 0 && float64(late) > most {
		t.Errorf("memory grew from %d to %d bytes", early, late)
	}
}
