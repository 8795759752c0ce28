// Package latency counts durations in buckets, so that percentiles of any interval and of
// any number of loops together come from counts, and are never averages of percentiles.
package latency

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets are an eighth of a power of two wide, from 128 ns to 69 s: a percentile is
// at most 12.5 % above the truth. The first holds everything below, the last everything
// above.
const (
	leastBits = 7
	mostBits  = 36
	parts     = 8
	// Buckets is how many there are.
	Buckets = 1 + (mostBits-leastBits)*parts + 1
)

// bucket is the bucket of a duration.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	e := bits.Len64(v) - 1
	switch {
	case e < leastBits:
		return 0
	case e >= mostBits:
		return Buckets - 1
	}
	return 1 + (e-leastBits)*parts + int(v>>(e-3)&(parts-1))
}

// Bound is what no duration of a bucket exceeds; of the last one, its lower bound.
func Bound(bucket int) time.Duration {
	if bucket <= 0 {
		return 1<<leastBits - 1
	}
	if bucket >= Buckets-1 {
		return 1 << mostBits
	}
	e := leastBits + (bucket-1)/parts
	return time.Duration((parts+(bucket-1)%parts+1)<<(e-3)) - 1
}

// Histogram has one writer and any number of readers. The zero value is empty. It takes
// no lock and allocates nothing.
type Histogram struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
}

// Add counts n durations that took as long. Only the writer may call it.
func (h *Histogram) Add(d time.Duration, n uint64) {
	c := &h.counts[bucket(d)]
	c.Store(c.Load() + n)
	h.sum.Store(h.sum.Load() + uint64(max(d, 0))*n)
}

// AddTo adds what was counted so far.
func (h *Histogram) AddTo(c *Counts) {
	for i := range h.counts {
		c.Buckets[i] += h.counts[i].Load()
	}
	c.Sum += time.Duration(h.sum.Load())
}

// Counts is what histograms have counted. The zero value is nothing.
type Counts struct {
	Buckets [Buckets]uint64
	// Sum is all durations together.
	Sum time.Duration
}

// Add adds another one's counts.
func (c *Counts) Add(other *Counts) {
	for i, n := range other.Buckets {
		c.Buckets[i] += n
	}
	c.Sum += other.Sum
}

// Since is what was counted after an earlier reading of the same histograms. Of one that
// has begun anew meanwhile it is what there is.
func (c *Counts) Since(earlier *Counts) Counts {
	d := *c
	for i, n := range earlier.Buckets {
		if n > d.Buckets[i] {
			return *c
		}
		d.Buckets[i] -= n
	}
	d.Sum = max(d.Sum-earlier.Sum, 0)
	return d
}

// Count is how many durations there are.
func (c *Counts) Count() uint64 {
	var sum uint64
	for _, n := range c.Buckets {
		sum += n
	}
	return sum
}

// Quantile is what the share, 0 to 1, of all durations do not exceed: a bucket's bound; 0
// if there are none.
func (c *Counts) Quantile(share float64) time.Duration {
	all := c.Count()
	if all == 0 {
		return 0
	}
	want := max(uint64(float64(all)*share+0.999999), 1)
	var sum uint64
	for i, n := range c.Buckets {
		if sum += n; sum >= want {
			return Bound(i)
		}
	}
	return c.Max()
}

// Max is what none exceeds: a bucket's bound; 0 if there are none.
func (c *Counts) Max() time.Duration {
	for i := Buckets - 1; i >= 0; i-- {
		if c.Buckets[i] > 0 {
			return Bound(i)
		}
	}
	return 0
}

// Below is how many durations do not exceed each of the bounds, which are in ascending
// order and each one more than a power of two of nanoseconds, less one: a bucket's bound.
func (c *Counts) Below(bounds []time.Duration) []uint64 {
	list, at, sum := make([]uint64, len(bounds)), 0, uint64(0)
	for k, bound := range bounds {
		for at < Buckets-1 && Bound(at) <= bound {
			sum += c.Buckets[at]
			at++
		}
		list[k] = sum
	}
	return list
}
