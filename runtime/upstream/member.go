package upstream

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Member is one service of a pool. It stays the same as long as discovery names its
// address: its counters, its breaker and its health outlive an answer that changes
// its weight. Its methods may be called by any goroutine.
type Member struct {
	pool     *Pool
	address  string
	endpoint atomic.Pointer[Endpoint]
	gone     atomic.Bool

	inFlight atomic.Int64
	counts   counts
	breaker  breaker
	// failures in a row, of calls.
	failures atomic.Int32
	// ejected is until when, as the pool's clock tells; 0: it is not.
	ejected atomic.Int64
	// resting is until when it wants no call, in the same way.
	resting atomic.Int64
	// down: the checks fail.
	down atomic.Bool
	// warm is when slow start began; cold: it does not go on.
	warm atomic.Int64

	health health // guarded by the pool's mu
	checks checks // of the goroutine that checks, which publishes into counts

	stopChecks context.CancelFunc // the keeper's
}

// cold is a warm-up that does not go on.
const cold = -1

func (p *Pool) newMember(e Endpoint) *Member {
	m := &Member{pool: p, address: e.Address}
	m.endpoint.Store(&e)
	m.warm.Store(cold)
	m.breaker.init(m)
	return m
}

// Address is what the transport dials.
func (m *Member) Address() string { return m.address }

// Endpoint is what is known of the member: it may differ in the next call, and its
// labels are read only.
func (m *Member) Endpoint() Endpoint { return *m.endpoint.Load() }

// InFlight is how many calls have begun and not ended.
func (m *Member) InFlight() int { return int(m.inFlight.Load()) }

// Gone tells whether discovery does not name the member any more: whoever holds
// connections to it closes them when their calls have ended.
func (m *Member) Gone() bool { return m.gone.Load() }

// Call is one try that has begun. End it exactly once.
type Call struct {
	member *Member
	start  int64
	done   func(error) // the breaker's; nil without one
}

// Begin takes up one call to the member. It fails with ErrNoMember when the breaker
// lets nothing more through: pick another.
func (m *Member) Begin() (Call, error) {
	c := Call{member: m}
	if m.breaker.two != nil {
		done, err := m.breaker.two.Allow()
		m.pool.settle()
		if err != nil {
			return Call{}, fmt.Errorf("upstream %s: %s: %w: %w", m.pool.options.Name, m.address, ErrNoMember, err)
		}
		c.done = done
	}
	c.start = m.pool.now()
	m.inFlight.Add(1)
	m.pool.inFlight.Add(1)
	return c, nil
}

// End says how the call ended, and that it ended now.
func (c Call) End(o Outcome) {
	m := c.member
	m.inFlight.Add(-1)
	m.pool.inFlight.Add(-1)
	m.counts.ended(o, time.Duration(m.pool.now()-c.start))
	if c.done != nil {
		c.done(verdict(o))
	}
	m.pool.judge(m, o)
	m.pool.settle()
}

// allows tells whether a call may begin, as far as can be told without a lock: of a
// half-open breaker only as many as it probes with.
func (m *Member) allows() bool {
	switch gobreaker.State(m.breaker.state.Load()) {
	case gobreaker.StateClosed:
		return true
	case gobreaker.StateHalfOpen:
		return m.inFlight.Load() < int64(m.pool.options.Breaker.Probes)
	}
	return false
}

// Tried is the members that a call was taken to already. The zero value is none.
type Tried struct {
	members [MaxTries]*Member
	n       int
}

// Add adds a member; beyond MaxTries it is forgotten.
func (t *Tried) Add(m *Member) {
	if t.n < len(t.members) {
		t.members[t.n] = m
		t.n++
	}
}

// Has tells whether the member was added. A nil Tried has none.
func (t *Tried) Has(m *Member) bool {
	if t == nil {
		return false
	}
	for _, x := range t.members[:t.n] {
		if x == m {
			return true
		}
	}
	return false
}
