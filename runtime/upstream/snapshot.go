package upstream

import (
	"cmp"
	"slices"
	"strings"
)

// snapshot is whom a call may go to at one moment. It never changes: a change makes
// a new one.
type snapshot struct {
	tiers []tier // by priority, the first one first
}

// tier is the members of one priority.
type tier struct {
	up []*Member
	// sums are the weights that count, added up: sums[i] is that of up[:i+1]. nil:
	// all weigh the same.
	sums []uint64
	each uint64 // what all weigh, then
	// ring is of all members of the priority, and parts what each may have of the
	// calls in flight there, by the ring's numbers; 0 for those that are left out.
	ring  *ring
	parts []uint64
	total uint64 // of parts
}

func byAddress(a, b *Member) int { return strings.Compare(a.address, b.address) }

// snapshot is that of now. Under mu.
func (p *Pool) snapshot(members []*Member, now int64) *snapshot {
	s := &snapshot{}
	for _, r := range p.tiers(members) {
		t := tier{}
		var sum uint64
		var sums []uint64
		uneven := false
		for _, m := range r {
			if m.health.why != "" {
				continue
			}
			w := p.weight(m, now)
			uneven = uneven || len(sums) > 0 && w != sums[0]
			sum += w
			t.up = append(t.up, m)
			sums = append(sums, sum)
		}
		if len(t.up) == 0 {
			continue
		}
		if t.each = sums[0]; uneven {
			t.sums = sums
		}
		if p.options.Balance == ConsistentHash {
			t.ring = p.rings[r[0].Endpoint().Priority]
			t.parts = make([]uint64, len(t.ring.members))
			for i, m := range t.ring.members {
				if m.health.why == "" {
					t.parts[i] = p.weight(m, now)
					t.total += t.parts[i]
				}
			}
		}
		s.tiers = append(s.tiers, t)
	}
	return s
}

// tiers are the members by priority.
func (p *Pool) tiers(members []*Member) [][]*Member {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b *Member) int { return cmp.Compare(a.Endpoint().Priority, b.Endpoint().Priority) })
	var tiers [][]*Member
	for len(sorted) > 0 {
		n, first := 0, sorted[0].Endpoint().Priority
		for n < len(sorted) && sorted[n].Endpoint().Priority == first {
			n++
		}
		tiers = append(tiers, sorted[:n:n])
		sorted = sorted[n:]
	}
	return tiers
}

// weight is what the member's turns are counted by.
func (p *Pool) weight(m *Member, now int64) uint64 {
	switch p.options.Balance {
	case RoundRobin, Random:
		return m.share(now)
	}
	return uint64(m.Endpoint().Weight) * m.share(now)
}

// makeRings are the rings of the members' priorities; nil where no balance needs them.
func (p *Pool) makeRings(members []*Member) map[int]*ring {
	if p.options.Balance != ConsistentHash {
		return nil
	}
	rings := make(map[int]*ring)
	for _, t := range p.tiers(members) {
		rings[t[0].Endpoint().Priority] = p.makeRing(t)
	}
	return rings
}
