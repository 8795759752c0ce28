package server

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/mqtt"
)

// directory says which nodes have something of a name: a set of slots as bits. Loops
// read it without a lock; the link writes it.
type directory struct {
	shards [dirShards]atomic.Pointer[map[string]uint64]
	any    atomic.Uint64 // nodes that have more than they tell one by one
	counts [backbone.MaxLinkNodes]int
}

const dirShards = 256

func (d *directory) init() {
	for i := range d.shards {
		d.shards[i].Store(&map[string]uint64{})
	}
}

// lookup is the nodes that may have the name.
func (d *directory) lookup(name []byte) uint64 {
	return (*d.shards[hashOf(name)%dirShards].Load())[string(name)] | d.any.Load()
}

// has tells whether the node has anything.
func (d *directory) has(bit uint64) bool {
	slot := 0
	eachSlot(bit, func(s int) { slot = s })
	return d.counts[slot] > 0
}

// change notes what a node has now, and not any more. Each shard is copied once.
func (d *directory) change(kind backbone.InterestKind, bit uint64, added, removed []backbone.Interest) {
	copied := map[uint64]map[string]uint64{}
	shard := func(name string) map[string]uint64 {
		at := hashOf(name) % dirShards
		if copied[at] == nil {
			copied[at] = maps.Clone(*d.shards[at].Load())
		}
		return copied[at]
	}
	eachSlot(bit, func(slot int) {
		for _, i := range added {
			if i.Kind != kind {
				continue
			}
			d.counts[slot]++
			if i.Text == "" {
				d.any.Or(bit)
				continue
			}
			shard(i.Text)[i.Text] |= bit
		}
		for _, i := range removed {
			if i.Kind != kind {
				continue
			}
			d.counts[slot]--
			if i.Text == "" {
				d.any.And(^bit)
				continue
			}
			m := shard(i.Text)
			if m[i.Text] &^= bit; m[i.Text] == 0 {
				delete(m, i.Text)
			}
		}
	})
	for at, m := range copied {
		d.shards[at].Store(&m)
	}
}

// hashOf is FNV-1a (Fowler, Noll, Vo), mixed: the same on every node.
func hashOf[T string | []byte](b T) uint64 {
	x := uint64(14695981039346656037)
	for i := range len(b) {
		x = (x ^ uint64(b[i])) * 1099511628211
	}
	return mixed(x)
}

// mixed spreads a number over all its bits (the finaliser of MurmurHash3, Appleby).
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Shared subscriptions are known between nodes by the hash of their group's name, a 0
// byte and their filter.

// sharedText is how others are told of one.
func sharedText(g *mqtt.Group) string { return g.Name + "\x00" + g.Filter }

// filterOf is the filter in such a text.
func filterOf(text string) (filter string, ok bool) {
	_, filter, ok = strings.Cut(text, "\x00")
	return filter, ok
}

// keyOf is the hash of a shared subscription of this node. It does not allocate.
func keyOf(g *mqtt.Group) uint64 {
	x := uint64(14695981039346656037)
	for i := range len(g.Name) {
		x = (x ^ uint64(g.Name[i])) * 1099511628211
	}
	x *= 1099511628211
	for i := range len(g.Filter) {
		x = (x ^ uint64(g.Filter[i])) * 1099511628211
	}
	return mixed(x)
}

// sharedNumbers gives shared subscriptions of other nodes numbers, from 1, that fit
// into a router.Subscriber. Loops read the keys without a lock.
type sharedNumbers struct {
	keys atomic.Pointer[[]uint64]

	mu   sync.Mutex
	by   map[string]sharedNumber
	free []uint32
}

type sharedNumber struct {
	number uint32
	nodes  int
}

// number is the number of a shared subscription that one more node has, or one less.
func (s *sharedNumbers) number(text string, on bool) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.by[text]
	switch {
	case !on:
		if n.nodes--; n.nodes > 0 {
			s.by[text] = n
		} else if ok {
			delete(s.by, text)
			s.free = append(s.free, n.number)
		}
		return n.number
	case !ok:
		n = sharedNumber{number: s.take(hashOf(text))}
	}
	n.nodes++
	if s.by == nil {
		s.by = map[string]sharedNumber{}
	}
	s.by[text] = n
	return n.number
}

// take finds a number for a key.
func (s *sharedNumbers) take(key uint64) uint32 {
	var keys []uint64
	if old := s.keys.Load(); old != nil {
		keys = *old
	}
	number := uint32(len(keys) + 1)
	next := make([]uint64, len(keys), len(keys)+1)
	copy(next, keys)
	if n := len(s.free); n > 0 {
		number, s.free = s.free[n-1], s.free[:n-1]
		next[number-1] = key
	} else {
		next = append(next, key)
	}
	s.keys.Store(&next)
	return number
}

// key is that of a number that the trie has; 0 for one that it has no more.
func (s *sharedNumbers) key(number uint32) uint64 {
	keys := s.keys.Load()
	if keys == nil || number == 0 || int(number) > len(*keys) {
		return 0
	}
	return (*keys)[number-1]
}
