package upstream

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// owners are whom many keys belong to.
func owners(t *testing.T, p *Pool, n int) map[string]string {
	t.Helper()
	got := make(map[string]string, n)
	for i := range n {
		key := fmt.Sprint("key ", i)
		got[key] = pick(t, p, key).Address()
	}
	return got
}

func TestOnlyTheKeysOfWhoLeavesMove(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 300), 2, 12).Draw(rt, "weights")
		leaves := rapid.IntRange(0, len(weights)-1).Draw(rt, "leaves")
		how := rapid.SampledFrom([]string{"discovery", "ejected"}).Draw(rt, "how")
		all := endpoints(len(weights), weights...)
		p := newPool(t, Options{Balance: ConsistentHash, Members: all, Outlier: Outlier{Failures: 1, Share: 1}})
		before := owners(t, p, 300)
		if how == "ejected" {
			end(t, member(p, all[leaves].Address), Refused)
		} else {
			p.found(Found{Endpoints: slices.Delete(slices.Clone(all), leaves, leaves+1)})
		}
		for key, m := range owners(t, p, 300) {
			gone := before[key] == all[leaves].Address
			if !gone && m != before[key] {
				rt.Fatalf("%s went from %s to %s", key, before[key], m)
			}
			if gone && m == before[key] {
				rt.Fatalf("%s stays with %s, which is away", key, m)
			}
		}
	})
}

func TestWhoJoinsTakesItsShareOnly(t *testing.T) {
	all := endpoints(10)
	p := newPool(t, Options{Balance: ConsistentHash, Members: all[:9]})
	before := owners(t, p, 10000)
	p.found(Found{Endpoints: all})
	moved := 0
	for key, m := range owners(t, p, 10000) {
		if m == before[key] {
			continue
		}
		if moved++; m != all[9].Address {
			t.Fatalf("%s went from %s to %s, which was there before", key, before[key], m)
		}
	}
	if moved < 700 || moved > 1300 {
		t.Errorf("%d of 10000 keys moved to one of ten members", moved)
	}
}

func TestKeysAreTheSameOnEveryNode(t *testing.T) {
	all := endpoints(7, 1, 5, 2)
	a := newPool(t, Options{Balance: ConsistentHash, Members: all})
	slices.Reverse(all)
	b := newPool(t, Options{Balance: ConsistentHash, Members: all})
	x, y := owners(t, a, 1000), owners(t, b, 1000)
	for key := range x {
		if x[key] != y[key] {
			t.Fatal(key, x[key], y[key])
		}
	}
	// What other versions of weft do with the same members.
	if x["key 1"] != "10.0.0.5:80" || x["key 2"] != "10.0.0.2:80" {
		t.Error("the ring has changed: nodes of different versions would disagree:", x["key 1"], x["key 2"])
	}
}

func TestKeysFollowTheWeights(t *testing.T) {
	p := newPool(t, Options{Balance: ConsistentHash, Members: endpoints(4, 1, 2, 3, 4)})
	got := map[string]int{}
	for _, m := range owners(t, p, 20000) {
		got[m]++
	}
	for _, m := range p.Members() {
		// A member has 128 points for its weight: its share is right within a fourth.
		if want := 2000 * m.Endpoint().Weight; math.Abs(float64(got[m.Address()]-want)) > float64(want)/4 {
			t.Errorf("%s has %d of 20000 keys, its weight says %d", m.Address(), got[m.Address()], want)
		}
	}
}

// However few keys there are, nobody has more than its part of the calls in flight.
func TestBoundedLoadHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 10).Draw(rt, "weights")
		load := rapid.Float64Range(1, 3).Draw(rt, "load")
		keys := rapid.IntRange(1, 5).Draw(rt, "keys")
		p := newPool(t, Options{Balance: ConsistentHash, HashLoad: load, Members: endpoints(len(weights), weights...), Breaker: Breaker{Off: true}})
		sum := 0
		for _, w := range weights {
			sum += w
		}
		var open []Call
		for i := range rapid.IntRange(1, 400).Draw(rt, "calls") {
			if len(open) > 0 && rapid.IntRange(0, 3).Draw(rt, "ends") == 0 {
				open[0].End(OK)
				open = open[1:]
				continue
			}
			m := pick(t, p, fmt.Sprint("key ", i%keys))
			c, _ := m.Begin()
			open = append(open, c)
			bound := math.Ceil(load*float64(len(open))*float64(m.Endpoint().Weight)/float64(sum) + 1e-9)
			if float64(m.InFlight()) > bound {
				rt.Fatalf("%s has %d of %d in flight; its bound is %.0f", m.Address(), m.InFlight(), len(open), bound)
			}
		}
	})
}

func TestARingIsBounded(t *testing.T) {
	e := endpoints(300)
	for i := range e {
		e[i].Weight = MaxWeight
	}
	e[0].Weight = 1
	p := newPool(t, Options{Balance: ConsistentHash, Members: e})
	if n := len(p.rings[0].points); n > maxPoints+len(e) || n < maxPoints/4 {
		t.Error(n)
	}
	before := owners(t, p, 2000)
	p.found(Found{Endpoints: e[:200]}) // would fit with more points: they stay as they are
	for key, m := range owners(t, p, 2000) {
		if slices.ContainsFunc(e[:200], func(e Endpoint) bool { return e.Address == before[key] }) && m != before[key] {
			t.Fatal(key, before[key], m)
		}
	}
}

func TestTheSameAnswerMakesNoNewRing(t *testing.T) {
	all := endpoints(5, 2, 3)
	p := newPool(t, Options{Balance: ConsistentHash, Members: all})
	ring := p.rings[0]
	p.found(Found{Endpoints: all})
	if p.rings[0] != ring {
		t.Error("a new ring for what is known")
	}
	all[0].Weight = 9
	p.found(Found{Endpoints: all})
	if p.rings[0] == ring || member(p, all[0].Address).Endpoint().Weight != 9 {
		t.Error("the old ring for new weights")
	}
	all[1].Priority = 1
	p.found(Found{Endpoints: all})
	if len(p.rings) != 2 {
		t.Error("a priority without a ring")
	}
	pick(t, p, "key")
}
