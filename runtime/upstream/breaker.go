package upstream

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is a member's circuit breaker, with its state where Pick reads it without
// a lock.
type breaker struct {
	two    *gobreaker.TwoStepCircuitBreaker[struct{}] // nil: off
	state  atomic.Int32                               // a gobreaker.State
	until  atomic.Int64                               // when an open one lets probes through, by the pool's clock
	opened atomic.Uint64
}

// windowParts is how many parts of the breaker's window there are: it slides by one.
const windowParts = 10

func (b *breaker) init(m *Member) {
	p, o := m.pool, &m.pool.options.Breaker
	if o.Off {
		return
	}
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         m.address,
		MaxRequests:  uint32(o.Probes),
		Interval:     o.Window,
		BucketPeriod: o.Window / windowParts,
		Timeout:      o.Open,
		IsExcluded:   func(err error) bool { return errors.Is(err, errNothing) },
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Requests counts those in flight too: nothing is known of them.
			n := c.TotalFailures + c.TotalSuccesses
			return n >= uint32(o.Calls) && float64(c.TotalFailures) >= o.Share*float64(n)
		},
		// Called under the breaker's lock: the pool's snapshot follows in settle.
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.opened.Add(1)
				// The library asks whether its time is over, not whether it is reached.
				b.until.Store(p.now() + int64(o.Open+time.Millisecond))
			}
			b.state.Store(int32(to))
			p.dirty.Store(true)
		},
	})
}

// name is the state for people and metrics.
func (b *breaker) name() string {
	if b.two == nil {
		return "off"
	}
	return gobreaker.State(b.state.Load()).String()
}

var (
	errNothing = errors.New("nothing is known of the member")
	errFailure = errors.New("the call failed")
)

// verdict is what the breaker is told of an outcome.
func verdict(o Outcome) error {
	switch {
	case o == Cancelled:
		return errNothing
	case o.Failure():
		return errFailure
	}
	return nil
}
