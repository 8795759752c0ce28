package upstream

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// ring is the circle of a consistent hash: every member has points on it, as many as
// its weight says, and a key belongs to the first point at or after its own. It is
// the same on every node that has the same members, as long as their points fit.
type ring struct {
	members []*Member
	points  []uint64 // sorted
	owners  []uint32 // of points: numbers in members
}

const (
	// pointsEach is how many points a member of weight 1 has, as long as there are at
	// most maxPoints of all: then their number is halved until they fit.
	pointsEach = 128
	maxPoints  = 1 << 16
)

// makeRing makes the ring of some members. What they are halved by is never taken
// back, so that a member that leaves moves no key but its own. Under mu.
func (p *Pool) makeRing(members []*Member) *ring {
	var sum uint64
	for _, m := range members {
		sum += uint64(m.Endpoint().Weight) * pointsEach
	}
	for sum>>p.halved > maxPoints {
		p.halved++
	}
	type point struct {
		at    uint64
		owner uint32
	}
	points := make([]point, 0, min(sum>>p.halved, maxPoints)+uint64(len(members)))
	for i, m := range members {
		seed := xxhash.Sum64String(m.address)
		// The first points of more are the points of fewer.
		for n := range max(1, uint64(m.Endpoint().Weight)*pointsEach>>p.halved) {
			points = append(points, point{at: mix(seed + n*spread), owner: uint32(i)})
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.owner, b.owner))
	})
	r := &ring{members: members, points: make([]uint64, len(points)), owners: make([]uint32, len(points))}
	for i, x := range points {
		r.points[i], r.owners[i] = x.at, x.owner
	}
	return r
}

// spread is 2^64 divided by the golden ratio: its multiples are as far apart from
// each other as any number's can be.
const spread = 0x9E3779B97F4A7C15

// mix makes every bit depend on every other (the finalizer of SplitMix64: Steele,
// Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// at is the number of the first point at or after h.
func (r *ring) at(h uint64) int {
	i, _ := slices.BinarySearch(r.points, h)
	if i == len(r.points) {
		return 0
	}
	return i
}

// byKey is the member of a key: the first on the ring that has less than its part of
// the calls in flight, by load times what would be even. (Mirrokni, Thorup,
// Zadimoghaddam, "Consistent hashing with bounded loads", 2018, with weights.)
func (t *tier) byKey(key []byte, tried *Tried, inFlight int64, load float64) *Member {
	r := t.ring
	h := xxhash.Sum64(key)
	i := r.at(h)
	// Divided last: what is whole stays whole.
	load *= float64(max(0, inFlight) + 1)
	laden := func(m *Member, weight uint64) bool {
		// Below the bound, rounded up: a member may always have one.
		return float64(m.inFlight.Load()) >= load*float64(weight)/float64(t.total)
	}
	var first *Member
	for range min(len(r.points), maxSteps) {
		owner := r.owners[i]
		if i++; i == len(r.points) {
			i = 0
		}
		m := r.members[owner]
		if t.parts[owner] == 0 || m == first || tried.Has(m) || !m.allows() {
			continue
		}
		if first == nil {
			first = m
		}
		if !laden(m, t.parts[owner]) {
			return m
		}
	}
	return t.anyone(int(part(h, uint64(len(t.up)))), first, tried, laden)
}

// anyone is the member below the bound that is found without the ring, when the way
// along it has passed nobody: nearly all are left out, or full. Without one it is
// the first that the ring led to, or whom a turn leads to.
func (t *tier) anyone(i int, first *Member, tried *Tried, laden func(*Member, uint64) bool) *Member {
	for range t.up {
		if m := t.up[i]; m != first && !laden(m, t.weight(i)) && !tried.Has(m) && m.allows() {
			return m
		}
		if i++; i == len(t.up) {
			i = 0
		}
	}
	if first == nil {
		return t.from(i, tried)
	}
	return first
}

// maxSteps bounds the way along the ring.
const maxSteps = 8 * pointsEach

// part is x of total, as the whole range of uint64 is to one.
func part(x, total uint64) uint64 {
	hi, _ := bits.Mul64(x, total)
	return hi
}
