package filter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

func oneSource(n uint32) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// TestOffenders: so many within the window are too many, counted for each kind and source
// alone; fewer never are.
func TestOffenders(t *testing.T) {
	const window = 10 * time.Second
	start := time.Now()
	for name, c := range map[string]struct {
		every   time.Duration
		tries   int
		blocked int // times
	}{
		"at once":                       {0, 25, 5},
		"as many as are too many":       {time.Second, 50, 6},
		"fewer than that":               {3 * time.Second, 100, 0},
		"once a window":                 {window, 100, 0},
		"after long silence each":       {time.Hour, 100, 0},
		"the clock stands still, again": {0, 4, 0},
	} {
		o, blocked := filter.NewOffenders(64), 0
		for i := range c.tries {
			if o.Failed(1, oneSource(1), start.Add(time.Duration(i)*c.every), 5, window) {
				blocked++
			}
		}
		if c.blocked == 0 && blocked > 0 || blocked < c.blocked {
			t.Errorf("%s: blocked %d times, expected %d", name, blocked, c.blocked)
		}
	}
	o := filter.NewOffenders(64)
	for i := range 4 {
		if o.Failed(1, oneSource(1), start, 5, window) || o.Failed(2, oneSource(1), start, 5, window) || o.Failed(1, oneSource(2), start, 5, window) {
			t.Fatalf("failure %d of one counts for another", i)
		}
	}
	if !o.Failed(1, oneSource(1), start, 5, window) || o.Failed(1, oneSource(1), start, 5, window) {
		t.Error("it is the fifth failure that is too many, and then it begins anew")
	}
	if o.Failed(1, netip.Prefix{}, start, 1, window) || o.Failed(1, oneSource(9), start, 0, window) || !o.Failed(1, oneSource(9), start, 1, window) {
		t.Error("no source, no number")
	}
}

// TestOffendersAreBounded: a crowd of sources takes no more memory, and one that fails
// again and again is found among as many others as are remembered.
func TestOffendersAreBounded(t *testing.T) {
	o := filter.NewOffenders(1024)
	now := time.Now()
	if allocs := testing.AllocsPerRun(5, func() {
		for i := range uint32(100_000) {
			o.Failed(1, oneSource(i), now, 3, time.Minute)
			now = now.Add(time.Microsecond)
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	found := map[uint32]bool{}
	for i := range uint32(400) {
		o.Failed(1, oneSource(1<<20+i), now, 3, time.Minute)
		for source := range uint32(3) {
			if i%100 == 0 && o.Failed(1, oneSource(1<<21+source), now, 3, time.Minute) {
				found[source] = true
			}
		}
		now = now.Add(time.Microsecond)
	}
	if len(found) < 2 { // once in some thousand times, eight others have the place of one
		t.Errorf("of three sources that failed four times among 400 others %d were found", len(found))
	}
}

func BenchmarkOffender(b *testing.B) {
	o := filter.NewOffenders(0)
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o.Failed(1, oneSource(uint32(i)), now, 10, time.Minute)
	}
}
