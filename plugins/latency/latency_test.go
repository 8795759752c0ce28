package latency

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Every duration is within its bucket: not above its bound, and above the one before.
func TestBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		d := time.Duration(random.Uint64() >> (28 + random.IntN(36)))
		at := bucket(d)
		if at < Buckets-1 && d > Bound(at) || at > 0 && d <= Bound(at-1) {
			t.Fatalf("%d is in bucket %d, %d to %d", d, at, Bound(max(at-1, 0)), Bound(at))
		}
	}
	for _, d := range []time.Duration{-1, 0, 1, 127} {
		if at := bucket(d); at != 0 {
			t.Errorf("%d is in bucket %d", d, at)
		}
	}
	if at := bucket(time.Hour); at != Buckets-1 {
		t.Errorf("an hour is in bucket %d", at)
	}
}

// Percentiles of merged histograms are those of all durations, within a bucket's width.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var loops [2]Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Duration(1+i%2)*50*time.Microsecond))
		loops[i%2].Add(d, 1)
		all = append(all, d)
	}
	slices.Sort(all)
	var c Counts
	for i := range loops {
		loops[i].AddTo(&c)
	}
	if c.Count() != uint64(len(all)) {
		t.Fatalf("%d counted of %d", c.Count(), len(all))
	}
	for _, share := range []float64{0.5, 0.95, 0.99} {
		truth, said := all[int(share*float64(len(all)))-1], c.Quantile(share)
		if said < truth || float64(said) > 1.126*float64(truth)+128 {
			t.Errorf("p%v: %s, in truth %s", 100*share, said, truth)
		}
	}
	if worst := all[len(all)-1]; c.Max() < worst || float64(c.Max()) > 1.126*float64(worst) {
		t.Errorf("the most: %s, in truth %s", c.Max(), worst)
	}
	if (&Counts{}).Quantile(0.5) != 0 || (&Counts{}).Max() != 0 {
		t.Error("nothing has percentiles")
	}
}

// What was counted since is the difference; of a histogram that has begun anew, all.
func TestSince(t *testing.T) {
	var h Histogram
	h.Add(time.Millisecond, 10)
	var before, after Counts
	h.AddTo(&before)
	h.Add(time.Second, 5)
	h.AddTo(&after)
	since := after.Since(&before)
	if since.Count() != 5 || since.Quantile(0.01) < time.Second || since.Sum != 5*time.Second {
		t.Errorf("%d, %s, %s", since.Count(), since.Quantile(0.01), since.Sum)
	}
	anew := before.Since(&after)
	if anew.Count() != 10 {
		t.Errorf("anew: %d", anew.Count())
	}
	if below := after.Below([]time.Duration{1<<20 - 1, 1<<30 - 1, 1<<31 - 1}); !slices.Equal(below, []uint64{10, 15, 15}) {
		t.Errorf("below: %d", below)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Add(time.Millisecond, 3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := range b.N {
		h.Add(time.Duration(i), 1)
	}
}
