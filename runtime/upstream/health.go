package upstream

import (
	"time"

	"github.com/sony/gobreaker/v2"
)

// health is what the pool remembers of a member between two snapshots.
type health struct {
	why       string // why it was left out of the last one; empty: it was not
	probing   bool   // its breaker was half-open then
	ejections int    // in a row, each making the next one longer
	lastEnd   int64  // when the last ejection ended
}

const (
	whyDown    = "its checks fail"
	whyEjected = "ejected: its calls failed one after the other"
	whyResting = "it has asked for a pause"
	whyOpen    = "its breaker is open"
	whyGone    = "discovery does not name it"
)

// left is why the member may not be picked; empty: it may.
func (m *Member) left() string {
	switch {
	case m.gone.Load():
		return whyGone
	case m.down.Load():
		return whyDown
	case m.ejected.Load() != 0:
		return whyEjected
	case m.resting.Load() != 0:
		return whyResting
	case gobreaker.State(m.breaker.state.Load()) == gobreaker.StateOpen:
		return whyOpen
	}
	return ""
}

// judge ejects a member whose calls fail one after the other.
func (p *Pool) judge(m *Member, o Outcome) {
	switch {
	case p.options.Outlier.Off || o == Cancelled:
	case !o.Failure():
		if m.failures.Load() != 0 {
			m.failures.Store(0)
		}
	case m.failures.Add(1) >= int32(p.options.Outlier.Failures):
		p.eject(m)
	}
}

func (p *Pool) eject(m *Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.ejected.Load() != 0 || m.gone.Load() {
		return
	}
	members := *p.members.Load()
	ejected := 0
	for _, x := range members {
		if x.ejected.Load() != 0 {
			ejected++
		}
	}
	if ejected >= p.mayEject(len(members)) {
		p.counts.unejected.Add(1)
		m.failures.Store(0) // asked again after as many failures, not after each
		return
	}
	o, now, h := &p.options.Outlier, p.now(), &m.health
	if h.ejections > 0 {
		h.ejections = max(0, h.ejections-int((now-h.lastEnd)/int64(o.Ejection)))
	}
	h.ejections = min(h.ejections+1, 1<<20)
	d := min(time.Duration(h.ejections)*o.Ejection, o.MaxEjection)
	h.lastEnd = now + int64(d)
	m.ejected.Store(h.lastEnd)
	m.counts.ejections.Add(1)
	p.dirty.Store(true)
}

// mayEject is how many of n members may be ejected at once.
func (p *Pool) mayEject(n int) int {
	if n < 2 {
		return 0
	}
	return min(n-1, max(1, int(p.options.Outlier.Share*float64(n))))
}

// settle makes the snapshot follow what has changed, if anything has.
func (p *Pool) settle() {
	if p.dirty.Load() && p.dirty.Swap(false) {
		p.refresh()
		p.poke()
	}
}

// never is a time that does not come.
const never = int64(1<<63 - 1)

// refresh heals whom it is time to heal, makes a new snapshot, and tells when it must
// be called again at the latest.
func (p *Pool) refresh() (next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	next = never
	members := *p.members.Load()
	for _, m := range members {
		next = min(next, p.heal(m, now))
	}
	p.snap.Store(p.snapshot(members, now))
	return next
}

// heal ends what is over for one member, notes how it stands, and tells when to look
// again.
func (p *Pool) heal(m *Member, now int64) (next int64) {
	next = m.awake(now)
	if until := m.ejected.Load(); until != 0 {
		if now < until {
			next = min(next, until)
		} else {
			m.failures.Store(0)
			m.ejected.Store(0)
		}
	}
	if gobreaker.State(m.breaker.state.Load()) == gobreaker.StateOpen {
		if until := m.breaker.until.Load(); now < until {
			next = min(next, until)
		} else {
			m.breaker.two.State() // takes notice of the time: half-open
		}
	}
	why := m.left()
	probing := gobreaker.State(m.breaker.state.Load()) == gobreaker.StateHalfOpen
	h := &m.health
	if why != h.why {
		if why != "" {
			p.options.Logger.Warn("upstream member is left out", "upstream", p.options.Name, "member", m.address, "why", why)
		} else {
			p.options.Logger.Info("upstream member is back", "upstream", p.options.Name, "member", m.address, "after", h.why)
		}
	}
	if p.options.SlowStart > 0 {
		if why == "" && !probing && (h.why != "" || h.probing) {
			m.warm.Store(now)
		}
		if w := m.warm.Load(); w != cold {
			if now-w >= int64(p.options.SlowStart) {
				m.warm.Store(cold)
			} else {
				next = min(next, now+int64(max(p.options.SlowStart/warmSteps, 10*time.Millisecond)))
			}
		}
	}
	h.why, h.probing = why, probing
	return next
}

// warmSteps is in how many steps a member's share grows.
const warmSteps = 20

// share is the part of its weight that counts now, in parts of full.
func (m *Member) share(now int64) uint64 {
	w := m.warm.Load()
	if w == cold {
		return full
	}
	part := uint64(float64(now-w) / float64(m.pool.options.SlowStart) * full)
	return min(max(part, full/10), full)
}

// full is the share of a member that is warm.
const full = 1000
