package filter

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// gcra is a Limit in nanoseconds.
type gcra struct {
	every     int64 // 0: no limit
	tolerance int64 // (burst-1) * every
}

func newGCRA(l Limit) gcra {
	every := int64(max(l.Every, 0))
	if every == 0 {
		return gcra{}
	}
	burst := int64(max(l.Burst, 1)) - 1
	if hi, lo := bits.Mul64(uint64(burst), uint64(every)); hi > 0 || lo > 1<<61 {
		return gcra{every: every, tolerance: 1 << 61}
	}
	return gcra{every: every, tolerance: burst * every}
}

// clockSlack is how far goroutines' clocks may differ, in nanoseconds.
const clockSlack = 10e9

// next is the state after a cell at now, whose state was tat; ok is false if it does not
// conform, and the state stays.
func (g *gcra) next(tat, now int64) (int64, bool) {
	if tat > now+g.tolerance {
		// A state is at most one step beyond the tolerance. Goroutines may have clocks
		// that differ by a turn; more is of a clock that was set back, or of a limit
		// that had a larger burst: nobody is locked out by that.
		if tat-now > g.tolerance+g.every+clockSlack {
			return now + g.every, true
		}
		return tat, false
	}
	return max(tat, now) + g.every, true
}

// rateWays is how many sources share a set: two cache lines.
const rateWays = 8

// rates remembers sources: sets of a few, in which the one that has been full for the
// longest time makes room for a new one. What two goroutines do to one set at the same
// moment may cost one token more or less.
type rates struct {
	sets []rateSet
	mask uint64
	seed [3]uint64
}

type rateSet [rateWays]rateSlot

// rateSlot is one source: a hash of listener, kind and address, which nobody outside can
// compute, and when it has all its tokens again.
type rateSlot struct {
	key atomic.Uint64
	tat atomic.Int64
}

func newRates(sources int) *rates {
	sets := 1 << bits.Len(uint(max(sources, rateWays)/rateWays-1))
	return &rates{sets: make([]rateSet, sets), mask: uint64(sets - 1), seed: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}}
}

// What is counted for a source.
const (
	kindDatagrams = iota
	kindConnections
)

// sourceKey is what tells sources apart.
type sourceKey struct{ meta, address uint64 }

// rateKey is about RateKey(source), without making it.
func rateKey(listener uint16, kind uint64, source netip.Addr) sourceKey {
	meta := uint64(listener)<<8 | kind<<1
	if source.Is4() || source.Is4In6() {
		b := source.As4()
		return sourceKey{meta, uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])}
	}
	hi, _ := halves(source)
	return sourceKey{meta | 1, hi}
}

// take takes a token of a source and tells whether there was one.
func (r *rates) take(g *gcra, k sourceKey, now int64) bool {
	sum := mix(k.address^r.seed[0], k.meta^r.seed[1]) ^ mix(k.address+r.seed[2], k.meta+r.seed[0])
	key := sum | 1 // 0 is empty
	set := &r.sets[(sum>>8)&r.mask]
	for {
		oldest, least := 0, int64(1<<63-1)
		for i := range set {
			s := &set[i]
			had := s.key.Load()
			if had == key {
				return s.take(g, now)
			}
			tat := int64(-1 << 63)
			if had != 0 {
				tat = s.tat.Load()
			}
			if tat < least {
				oldest, least = i, tat
			}
		}
		s := &set[oldest]
		had, tat := s.key.Load(), s.tat.Load()
		if s.key.CompareAndSwap(had, key) {
			s.tat.CompareAndSwap(tat, now+g.every)
			return true
		}
	}
}

func (s *rateSlot) take(g *gcra, now int64) bool {
	for {
		tat := s.tat.Load()
		next, ok := g.next(tat, now)
		if !ok {
			return false
		}
		if s.tat.CompareAndSwap(tat, next) {
			return true
		}
	}
}
