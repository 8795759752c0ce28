package upstream

import (
	"sync/atomic"
	"time"
)

// Stats are a pool's counters at one moment. They are read while calls go on: sums
// of them may be off by the calls of that moment.
type Stats struct {
	Name    string
	Members []MemberStats
	// Calls is how many Do was asked for; Failed how many of them ended with an error.
	Calls, Failed uint64
	// Retries and Hedges are tries beyond the first; HedgesWon hedges that were faster.
	Retries, Hedges, HedgesWon uint64
	// Unbudgeted is retries and hedges that the budget did not allow.
	Unbudgeted uint64
	// Unejected is how often a member stayed because enough others were ejected.
	Unejected uint64
	// RateLimited and NoMember are calls that failed for that reason.
	RateLimited, NoMember uint64
	// Discovery is how the last question to the discovery went.
	Discovery DiscoveryStats
}

// DiscoveryStats say what a discovery is worth now.
type DiscoveryStats struct {
	// Source is what is asked; "static" without a discovery.
	Source string
	// Answers and Errors since the start.
	Answers, Errors uint64
	// Last is when the members that stand were found; zero: never.
	Last time.Time
	// Err is why the last question failed; nil if it did not. The members of Last
	// stand meanwhile.
	Err error
	// Dropped is how many endpoints of the last answer were left out: more than
	// MaxMembers, or without an address.
	Dropped int
}

// MemberStats are one member's.
type MemberStats struct {
	Address          string
	Weight, Priority int
	// Share is the part of its weight that counts now, above 0 up to 1 (SlowStart).
	Share float64
	// InFlight is calls that have begun and not ended.
	InFlight int
	// Outcomes is calls that ended, by Outcome.
	Outcomes [outcomes]uint64
	// Latency of the calls that ended OK or Declined: their number, sum, the moving
	// average (a tenth each), and how many took at most LatencyBounds[i].
	LatencyCount   uint64
	LatencySum     time.Duration
	LatencyAverage time.Duration
	LatencyBuckets [len(LatencyBounds)]uint64
	// Breaker is "closed", "half-open" or "open"; "off" without one. Opened is how
	// often it opened.
	Breaker string
	Opened  uint64
	// Up tells whether it may be picked; Why not.
	Up  bool
	Why string
	// Ejected is until when it is ejected; zero: it is not. Ejections is how often.
	Ejected   time.Time
	Ejections uint64
	// Resting is until when it has asked for a pause (RestUntil); zero: it has not.
	// Rests is how often.
	Resting time.Time
	Rests   uint64
	// Checks and ChecksFailed of the active checks, and the last one's error.
	Checks, ChecksFailed uint64
	CheckErr             error
}

// Calls is how many calls of the member ended, whatever their outcome.
func (s *MemberStats) Calls() uint64 {
	var n uint64
	for _, x := range s.Outcomes {
		n += x
	}
	return n
}

// Failures is how many of them count against it.
func (s *MemberStats) Failures() uint64 {
	var n uint64
	for o, x := range s.Outcomes {
		if Outcome(o).Failure() {
			n += x
		}
	}
	return n
}

// LatencyBounds are the upper bounds of LatencyBuckets; what took longer is only in
// LatencyCount.
var LatencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// poolCounts are the counters of a pool.
type poolCounts struct {
	calls, failed, retries, hedges, hedgesWon, unbudgeted, rateLimited, noMember, unejected atomic.Uint64
}

// Stats reads the counters. It stops no call.
func (p *Pool) Stats() Stats {
	c := &p.counts
	s := Stats{
		Name: p.options.Name, Calls: c.calls.Load(), Failed: c.failed.Load(), Retries: c.retries.Load(),
		Hedges: c.hedges.Load(), HedgesWon: c.hedgesWon.Load(), Unbudgeted: c.unbudgeted.Load(),
		RateLimited: c.rateLimited.Load(), NoMember: c.noMember.Load(), Unejected: c.unejected.Load(),
	}
	p.mu.Lock()
	s.Discovery = p.discovery
	p.mu.Unlock()
	s.Discovery.Source = p.source()
	now := p.now()
	for _, m := range p.Members() {
		s.Members = append(s.Members, m.stats(now))
	}
	return s
}

func (m *Member) stats(now int64) MemberStats {
	e := m.Endpoint()
	why := m.left()
	s := MemberStats{
		Address: m.address, Weight: e.Weight, Priority: e.Priority, Share: float64(m.share(now)) / full,
		InFlight: m.InFlight(), Breaker: m.breaker.name(), Opened: m.breaker.opened.Load(), Up: why == "", Why: why,
	}
	if until := m.ejected.Load(); until != 0 {
		s.Ejected = m.pool.when(until)
	}
	if until := m.resting.Load(); until != 0 {
		s.Resting = m.pool.when(until)
	}
	m.counts.fill(&s)
	return s
}
