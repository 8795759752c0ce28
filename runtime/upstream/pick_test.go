package upstream

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundRobinTakesTurns(t *testing.T) {
	p := newPool(t, Options{Members: endpoints(3, 9, 1, 1)})
	var got []string
	for range 6 {
		got = append(got, pick(t, p, "").Address())
	}
	if !slices.Equal(got[:3], got[3:]) || got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
		t.Error(got)
	}
}

// chiSquare is how far counts are from what is expected, as Pearson measures it.
func chiSquare(counts, expected []float64) (x float64) {
	for i := range counts {
		x += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i]
	}
	return x
}

func share(t *testing.T, p *Pool, n int) []float64 {
	got := map[string]float64{}
	for range n {
		got[pick(t, p, "").Address()]++
	}
	var counts []float64
	for _, m := range p.Members() {
		counts = append(counts, got[m.Address()])
	}
	return counts
}

// With nine degrees of freedom, 40 is passed by one of 100,000 pools that are right.
func TestRandomIsEven(t *testing.T) {
	p := newPool(t, Options{Balance: Random, Members: endpoints(10)})
	counts, expected := share(t, p, 20000), slices.Repeat([]float64{2000}, 10)
	if x := chiSquare(counts, expected); x > 40 {
		t.Errorf("chi-square %.1f of %v", x, counts)
	}
}

func TestLeastConnWithoutCallsIsByWeight(t *testing.T) {
	p := newPool(t, Options{Balance: LeastConn, Members: endpoints(4, 1, 2, 3, 4)})
	counts := share(t, p, 20000)
	if x := chiSquare(counts, []float64{2000, 4000, 6000, 8000}); x > 30 {
		t.Errorf("chi-square %.1f of %v", x, counts)
	}
}

func TestLeastConnTakesWhoHasFewer(t *testing.T) {
	p := newPool(t, Options{Balance: LeastConn, Members: endpoints(2), Breaker: Breaker{Off: true}})
	busy := p.Members()[0]
	if _, err := busy.Begin(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if m := pick(t, p, ""); m == busy {
			t.Fatal("of two, the one with more calls in flight")
		}
	}
}

// Calls that never end are the worst case for the balance: two choices keep the
// fullest within a few of the average, one choice would not.
func TestLeastConnKeepsEven(t *testing.T) {
	p := newPool(t, Options{Balance: LeastConn, Members: endpoints(50), Breaker: Breaker{Off: true}})
	for range 5000 {
		if _, err := pick(t, p, "").Begin(); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range p.Members() {
		if n := m.InFlight(); n > 108 {
			t.Errorf("%s has %d, the average is 100", m.Address(), n)
		}
	}
}

// Whatever the weights: after any number of picks nobody is more than a few turns
// from its share, and there are three gaps between turns at most.
func TestWeightedIsExactAndSmooth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, MaxWeight), 2, 20).Draw(rt, "weights")
		n := rapid.IntRange(100, 5000).Draw(rt, "picks")
		p := newPool(t, Options{Balance: Weighted, Members: endpoints(len(weights), weights...)})
		sum := 0
		for _, w := range weights {
			sum += w
		}
		last, gaps, counts := map[*Member]int{}, map[*Member]map[int]bool{}, map[*Member]int{}
		for i := range n {
			m := pick(t, p, "")
			counts[m]++
			if at, ok := last[m]; ok {
				if gaps[m] == nil {
					gaps[m] = map[int]bool{}
				}
				gaps[m][i-at] = true
			}
			last[m] = i
		}
		for _, m := range p.Members() {
			want := float64(n) * float64(m.Endpoint().Weight) / float64(sum)
			if d := math.Abs(float64(counts[m]) - want); d > 2+math.Log2(float64(n)) {
				rt.Errorf("%s: %d turns of %d; expected %.1f", m.Address(), counts[m], n, want)
			}
			if len(gaps[m]) > 3 {
				rt.Errorf("%s: gaps %v", m.Address(), gaps[m])
			}
		}
	})
}

func TestTriedMembersAreNotPicked(t *testing.T) {
	for b := RoundRobin; b <= ConsistentHash; b++ {
		p := newPool(t, Options{Balance: b, Members: endpoints(5, 5, 1, 1, 1, 9)})
		var tried Tried
		for range 5 {
			m, err := p.Pick([]byte("key"), &tried)
			if err != nil {
				t.Fatal(b, err)
			}
			if tried.Has(m) {
				t.Fatal(b, "picked twice:", m.Address())
			}
			tried.Add(m)
		}
		_, err := p.Pick([]byte("key"), &tried)
		if !errors.Is(err, ErrNoMember) || !strings.Contains(err.Error(), "5: tried already") {
			t.Error(b, err)
		}
	}
}

func TestALowerPriorityWaitsForTheFirst(t *testing.T) {
	e := endpoints(4)
	e[2].Priority, e[3].Priority = 10, 10
	p := newPool(t, Options{Members: e, Outlier: Outlier{Failures: 1, Share: 1}})
	for range 10 {
		if m := pick(t, p, ""); m.Endpoint().Priority != 0 {
			t.Fatal("the spare one at once")
		}
	}
	end(t, p.Members()[0], Failed)
	end(t, p.Members()[1], Failed)
	if m := pick(t, p, ""); m.Endpoint().Priority != 10 {
		t.Error("a member that is ejected")
	}
}

func TestAnEmptyPoolSaysWhy(t *testing.T) {
	p := newPool(t, Options{Discoverer: Host("nowhere.invalid", "80", DNS{})})
	_, err := p.Pick(nil, nil)
	if !errors.Is(err, ErrNoMember) || !strings.Contains(err.Error(), "nowhere.invalid") {
		t.Error(err)
	}
	if err := p.Do(context.Background(), nil, nil); !errors.Is(err, ErrNoMember) {
		t.Error(err)
	}
	if s := p.Stats(); s.NoMember != 1 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	key := []byte("a key")
	for b := RoundRobin; b <= ConsistentHash; b++ {
		p := newPool(t, Options{Balance: b, Members: endpoints(50, 3, 5, 7)})
		n := testing.AllocsPerRun(100, func() {
			var tried Tried
			m, err := p.Pick(key, &tried)
			if err != nil {
				t.Fatal(err)
			}
			tried.Add(m)
			if _, err := p.Pick(key, &tried); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", b, n)
		}
	}
}
