package upstream

import (
	"sync/atomic"
	"time"
)

// counts are a member's counters: written by whoever calls and checks, read by Stats.
type counts struct {
	outcomes [outcomes]atomic.Uint64

	latencies atomic.Uint64
	sum       atomic.Int64
	average   atomic.Int64
	buckets   [len(LatencyBounds)]atomic.Uint64 // by bound, each without the smaller ones

	ejections, rests     atomic.Uint64
	checks, checksFailed atomic.Uint64
	checkErr             atomic.Pointer[error]
}

// ended counts a call. Only what the member answered says how fast it is.
func (c *counts) ended(o Outcome, took time.Duration) {
	if int(o) >= outcomes {
		o = Failed
	}
	c.outcomes[o].Add(1)
	if o != OK && o != Declined {
		return
	}
	c.sum.Add(int64(took))
	for i, bound := range LatencyBounds {
		if took <= bound {
			c.buckets[i].Add(1)
			break
		}
	}
	for {
		old := c.average.Load()
		next := old + (int64(took)-old)/10
		if c.latencies.Load() == 0 {
			next = int64(took)
		}
		if c.average.CompareAndSwap(old, next) {
			break
		}
	}
	c.latencies.Add(1)
}

func (c *counts) fill(s *MemberStats) {
	for i := range c.outcomes {
		s.Outcomes[i] = c.outcomes[i].Load()
	}
	var below uint64
	for i := range c.buckets {
		below += c.buckets[i].Load()
		s.LatencyBuckets[i] = below
	}
	// After the buckets: never fewer than they hold.
	s.LatencyCount = max(below, c.latencies.Load())
	s.LatencySum = time.Duration(c.sum.Load())
	s.LatencyAverage = time.Duration(c.average.Load())
	s.Ejections, s.Rests = c.ejections.Load(), c.rests.Load()
	s.Checks, s.ChecksFailed = c.checks.Load(), c.checksFailed.Load()
	if err := c.checkErr.Load(); err != nil {
		s.CheckErr = *err
	}
}
