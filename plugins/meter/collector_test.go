package meter_test

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	. "github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/meter"
)

// TestCollectorLatency: Go's collector waits for a guest that loops for ever no
// longer than the fuel of one call lasts; it cannot interrupt generated code.
func TestCollectorLatency(t *testing.T) {
	factor, err := meter.Calibrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	budget := int64(1000 * factor) // a millisecond
	m := &Module{MemoryMin: 1}
	m.Export("spin", Sig(":"), Loop())
	g, err := start(t, m.Bytes(), meter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spin := g.ExportedFunction("spin")
	idle, _ := collections(30)
	// A collection stops the world twice and waits for the guest's stack as well; other
	// work on the machine makes all of it longer, and is not there for ever: what took too
	// long is measured again. Without fuel it never ends.
	for again := 2; ; again-- {
		calls, waits, stops := beside(t, g, spin, budget)
		t.Logf("runtime.GC beside a guest that loops for ever, %d units (%v) a call: median %v, p90 %v, most %v; by itself %v; stopping the world took %v at most",
			budget, calls[len(calls)/2], waits[50], waits[90], waits[99], idle[15], stops)
		if waits[50] <= 50*time.Millisecond {
			return
		}
		if again == 0 {
			t.Fatalf("a collection took %v", waits[50])
		}
	}
}

// beside runs the collector beside the guest: how long each call and each collection
// took, sorted, and the longest time that stopping the world took.
func beside(t *testing.T, g *guest, spin api.Function, budget int64) (calls, waits []time.Duration, stops time.Duration) {
	t.Helper()
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			g.fuel.Set(uint64(budget))
			begun := time.Now()
			_, err := spin.Call(t.Context())
			calls = append(calls, time.Since(begun))
			if cause, _ := meter.After(int64(g.fuel.Get()), meter.DefaultDepth); err == nil || cause != meter.CauseFuel {
				done <- err
				return
			}
		}
		done <- nil
	}()
	waits, stops = collections(100)
	stop.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	slices.Sort(calls)
	return calls, waits, stops
}

// collections runs the collector n times and gives how long each took, sorted, and
// the longest time that stopping the world took.
func collections(n int) (waits []time.Duration, longest time.Duration) {
	sample := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(sample)
	before := slices.Clone(sample[0].Value.Float64Histogram().Counts)
	for range n {
		begun := time.Now()
		runtime.GC()
		waits = append(waits, time.Since(begun))
	}
	metrics.Read(sample)
	after := sample[0].Value.Float64Histogram()
	for i, c := range after.Counts {
		if c > before[i] {
			longest = time.Duration(after.Buckets[i] * float64(time.Second))
		}
	}
	slices.Sort(waits)
	return waits, longest
}
