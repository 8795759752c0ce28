package hostfuncs

import (
	"context"
	"io"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// randomFuncs hands out random bytes, at most so many a second: the generator's
// time is not in the guest's fuel.
type randomFuncs struct {
	source io.Reader
	clock  Clock
	rate   float64 // bytes a second
	burst  float64

	mu     sync.Mutex // guards the bucket below
	tokens float64
	filled int64 // when tokens was last brought up to date, Clock.Monotonic
}

func newRandomFuncs(g RandomGrant, source io.Reader, clock Clock) *randomFuncs {
	if g.Rate <= 0 {
		g.Rate = DefaultRandomRate
	}
	burst := float64(max(g.Rate, abi.MaxHostBytes))
	return &randomFuncs{source: source, clock: clock, rate: float64(g.Rate), burst: burst, tokens: burst, filled: clock.Monotonic()}
}

// take takes n bytes out of the bucket.
func (f *randomFuncs) take(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Monotonic()
	f.tokens = min(f.burst, f.tokens+float64(now-f.filled)/1e9*f.rate)
	f.filled = now
	if f.tokens < float64(n) {
		return false
	}
	f.tokens -= float64(n)
	return true
}

func (f *randomFuncs) register(r *registrar) {
	r.add("random", func(_ context.Context, m api.Module, stack []uint64) {
		stack[0] = result(f.fill(m, stack[0], stack[1]))
	})
}

func (f *randomFuncs) fill(m api.Module, pointer, length uint64) abi.Status {
	if uint32(length) > abi.MaxHostBytes {
		return abi.StatusLimit
	}
	b, ok := guestBytes(m, pointer, length)
	if !ok {
		return abi.StatusInvalid
	}
	if !f.take(len(b)) {
		return abi.StatusLimit
	}
	if _, err := io.ReadFull(f.source, b); err != nil {
		return abi.StatusFailed
	}
	return abi.StatusOK
}
