package upstream

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Pick chooses a member, without those in tried (nil: none). The key counts for
// ConsistentHash alone. It takes no lock, does not wait and does not allocate unless
// it fails; the error wraps ErrNoMember or ErrClosed.
//
// Whoever picks begins a call (Member.Begin) and ends it.
func (p *Pool) Pick(key []byte, tried *Tried) (*Member, error) {
	if p.closed.Load() {
		return nil, fmt.Errorf("upstream %s: %w", p.options.Name, ErrClosed)
	}
	s := p.snap.Load()
	for i := range s.tiers {
		if m := p.pick(&s.tiers[i], key, tried); m != nil {
			return m, nil
		}
	}
	return nil, p.noMember(tried)
}

func (p *Pool) pick(t *tier, key []byte, tried *Tried) *Member {
	var i int
	switch p.options.Balance {
	case ConsistentHash:
		if len(key) > 0 {
			return t.byKey(key, tried, p.inFlight.Load(), p.options.HashLoad)
		}
		i = t.turn(p.turn.Add(1))
	case LeastConn:
		return t.fewer(tried)
	case Random:
		i = t.chance()
	default:
		i = t.turn(p.turn.Add(1))
	}
	return t.from(i, tried)
}

// turn is whose turn the nth is. With different weights, the turns are the multiples
// of the golden ratio on a line as long as the weights together: whatever part of it
// belongs to a member is met as often as it is long, and never two of three gaps
// between its turns are far apart (the three-gap theorem; Sós, 1958).
func (t *tier) turn(n uint64) int {
	if t.sums == nil {
		return int(n % uint64(len(t.up)))
	}
	return t.owner(part(n*spread, t.sums[len(t.sums)-1]))
}

// chance is anyone, by weight.
func (t *tier) chance() int {
	if t.sums == nil {
		return rand.IntN(len(t.up))
	}
	return t.owner(rand.Uint64N(t.sums[len(t.sums)-1]))
}

// owner is whose part of the sums x is in.
func (t *tier) owner(x uint64) int {
	i, found := slices.BinarySearch(t.sums, x)
	if found {
		i++
	}
	return i
}

// from is the member i, or the next that was not tried and lets calls through.
func (t *tier) from(i int, tried *Tried) *Member {
	for range t.up {
		if m := t.up[i]; m.allows() && !tried.Has(m) {
			return m
		}
		if i++; i == len(t.up) {
			i = 0
		}
	}
	return nil
}

// fewer is, of two by chance, the one with fewer calls in flight for its weight.
func (t *tier) fewer(tried *Tried) *Member {
	i := t.chance()
	a := t.from(i, tried)
	if a == nil || len(t.up) == 1 {
		return a
	}
	j := t.chance()
	for range 2 {
		if j != i {
			break
		}
		j = t.chance()
	}
	if j == i {
		if j++; j == len(t.up) {
			j = 0
		}
	}
	b := t.from(j, tried)
	if b == nil {
		return a
	}
	if t.sums == nil {
		if b.inFlight.Load() < a.inFlight.Load() {
			return b
		}
		return a
	}
	// As many as they weigh: a draw goes to a, which was drawn by weight.
	wa, wb := t.parted(a, i), t.parted(b, j)
	if float64(b.inFlight.Load())*float64(wa) < float64(a.inFlight.Load())*float64(wb) {
		return b
	}
	return a
}

// parted is the weight that counts of a member, which is the i-th or, where that one
// was passed over, a later one.
func (t *tier) parted(m *Member, i int) uint64 {
	for t.up[i] != m {
		if i++; i == len(t.up) {
			i = 0
		}
	}
	return t.weight(i)
}

// weight is the weight that counts of up[i].
func (t *tier) weight(i int) uint64 {
	switch {
	case t.sums == nil:
		return t.each
	case i == 0:
		return t.sums[0]
	}
	return t.sums[i] - t.sums[i-1]
}

// noMember is an ErrNoMember that says why.
func (p *Pool) noMember(tried *Tried) error {
	members := *p.members.Load()
	if len(members) == 0 {
		return fmt.Errorf("upstream %s: %w: it has none; see whether its discovery (%s) finds any", p.options.Name, ErrNoMember, p.source())
	}
	why := make(map[string]int)
	for _, m := range members {
		w := m.left()
		switch {
		case w != "":
		case tried.Has(m):
			w = "tried already"
		default:
			w = "its breaker lets no more through"
		}
		why[w]++
	}
	text := ""
	for _, w := range []string{whyDown, whyEjected, whyResting, whyOpen, whyGone, "tried already", "its breaker lets no more through"} {
		if n := why[w]; n > 0 {
			text += fmt.Sprintf("; %d: %s", n, w)
		}
	}
	return fmt.Errorf("upstream %s: %w: %d members%s", p.options.Name, ErrNoMember, len(members), text)
}
