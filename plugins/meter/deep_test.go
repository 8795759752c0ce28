package meter_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/meter"
)

// TestDeepFrames: endless recursion ends early, whatever a call keeps on the
// stack, without taking much time or memory even where fuel would last.
func TestDeepFrames(t *testing.T) {
	for _, values := range []int{0, 10, 100, 1000, 3000} {
		// The values are computed before the call and used after it.
		wasm := one(1, 1, 0, 0,
			times(values, func(i int) []byte { return []byte{0x23, 0, 0x41, byte(i % 60), 0x6a, 0x20, 0, 0x6a} }),
			[]byte{0x41, 5, 0x10, 0}, times(values, func(int) []byte { return []byte{0x24, 0} }))
		g, err := start(t, exported(wasm, "f"), meter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		_, cause, _, err := g.call(t, "f", plenty, 3)
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		size := (after.TotalAlloc - before.TotalAlloc) >> 20
		t.Logf("%d values over a call: %v, %d MiB", values, took, size)
		if err == nil || cause != meter.CauseDepth {
			t.Errorf("%d values: cause %d, %v", values, cause, err)
		}
		if size > 64 {
			t.Errorf("%d values: %d MiB for the stack", values, size)
		}
	}
}

// exported gives function 0 of a module without exports a name.
func exported(wasm []byte, name string) []byte {
	at := 8
	for wasm[at] < 7 {
		size, shift, next := 0, 0, at+1
		for ; ; next++ {
			size |= int(wasm[next]&0x7f) << shift
			shift += 7
			if wasm[next] < 0x80 {
				break
			}
		}
		at = next + 1 + size
	}
	return slices.Concat(wasm[:at], sect(7, []byte{1}, text(name), []byte{0, 0}), wasm[at:])
}
