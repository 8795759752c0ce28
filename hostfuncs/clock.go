package hostfuncs

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// Clock tells the time. It is called from several goroutines.
type Clock interface {
	// Wall is nanoseconds since 1970-01-01 UTC.
	Wall() int64
	// Monotonic is nanoseconds since an arbitrary moment; it never goes back.
	Monotonic() int64
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Wall reads the wall clock.
func (SystemClock) Wall() int64 { return time.Now().UnixNano() }

// Monotonic reads the time since the process began.
func (SystemClock) Monotonic() int64 { return int64(time.Since(processStart)) }

// processStart anchors the monotonic clock; it is never written again.
var processStart = time.Now()

type clockFuncs struct{ clock Clock }

func (f *clockFuncs) register(r *registrar) {
	r.add("clock_wall", func(_ context.Context, _ api.Module, stack []uint64) {
		stack[0] = uint64(f.clock.Wall())
	})
	r.add("clock_monotonic", func(_ context.Context, _ api.Module, stack []uint64) {
		stack[0] = uint64(f.clock.Monotonic())
	})
}
