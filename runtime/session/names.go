package session

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// holder says who holds a name: a session, by its id, or a queue group. It never
// changes: who takes a name over gets a holder of their own.
type holder[V comparable] struct {
	name string
	who  V
}

// names is a hash table from names to holders, divided into shards. Readers
// probe a shard without a lock; writers take the shard's mutex.
type names[V comparable] struct {
	seed   maphash.Seed
	gone   holder[V] // stands in slots whose name was released
	count  atomic.Int64
	shards [nameShards]nameShard[V]
	// observe is told of names that are held now, and not any more; may be nil.
	observe func(name string, held bool)
}

// nameShards is a power of two.
const nameShards = 64

type nameShard[V comparable] struct {
	mu    sync.Mutex
	table atomic.Pointer[nameTable[V]]
	live  int // names
	used  int // names and places of released ones
}

// nameTable is open addressing with linear probing. Readers are safe because a
// name never moves within a table and no slot between it and its first choice is
// ever empty: a released name leaves gone behind, unless the next slot is empty.
type nameTable[V comparable] struct{ slots []atomic.Pointer[holder[V]] }

const firstNames = 8

func (n *names[V]) init() {
	n.seed = maphash.MakeSeed()
	for i := range n.shards {
		n.shards[i].table.Store(&nameTable[V]{make([]atomic.Pointer[holder[V]], firstNames)})
	}
}

func (n *names[V]) len() int { return int(n.count.Load()) }

func (n *names[V]) lookup(name []byte) (who V, ok bool) {
	hash := maphash.Bytes(n.seed, name)
	table := n.shards[hash%nameShards].table.Load()
	mask := uint64(len(table.slots) - 1)
	for i := hash / nameShards; ; i++ {
		switch h := table.slots[i&mask].Load(); {
		case h == nil:
			return who, false
		case h.name == string(name) && h != &n.gone:
			return h.who, true
		}
	}
}

// claim gives the name to who. Another who holds it is answered: with ErrTaken, or
// with no error where it may be taken over.
func (n *names[V]) claim(name string, who V, takeOver bool, limit int) (held *holder[V], other V, err error) {
	hash := maphash.String(n.seed, name)
	shard := &n.shards[hash%nameShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	table := shard.table.Load()
	if slot := n.slot(table, hash, name); slot != nil {
		former := slot.Load()
		if former.who != who && !takeOver {
			return nil, former.who, ErrTaken
		}
		h := &holder[V]{name, who}
		slot.Store(h)
		if former.who != who {
			other = former.who
		}
		return h, other, nil
	}
	if n.count.Load() >= int64(limit) {
		return nil, other, ErrLimit
	}
	if shard.used+1 > len(table.slots)/4*3 {
		table = n.rebuild(shard, table)
	}
	h := &holder[V]{name, who}
	if reused := table.place(hash, h, &n.gone); !reused {
		shard.used++
	}
	shard.live++
	n.count.Add(1)
	if n.observe != nil {
		n.observe(name, true)
	}
	return h, other, nil
}

// release ends the hold if it is still the one in force.
func (n *names[V]) release(h *holder[V]) {
	hash := maphash.String(n.seed, h.name)
	shard := &n.shards[hash%nameShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	slot := n.slot(shard.table.Load(), hash, h.name)
	if slot == nil || slot.Load() != h {
		return
	}
	slot.Store(&n.gone)
	shard.live--
	n.count.Add(-1)
	if n.observe != nil {
		n.observe(h.name, false)
	}
	n.sweep(shard, hash)
	if table := shard.table.Load(); len(table.slots) > firstNames && shard.live < len(table.slots)/8 {
		n.rebuild(shard, table)
	}
}

// sweep empties slots of released names in the run that a hash begins in, from
// its end backwards.
func (n *names[V]) sweep(shard *nameShard[V], hash uint64) {
	slots := shard.table.Load().slots
	mask := uint64(len(slots) - 1)
	end := hash / nameShards
	for slots[end&mask].Load() != nil {
		end++
	}
	for end--; slots[end&mask].Load() == &n.gone; end-- {
		slots[end&mask].Store(nil)
		shard.used--
	}
}

// slot is where the name's holder stands, nil if nobody holds it.
func (n *names[V]) slot(table *nameTable[V], hash uint64, name string) *atomic.Pointer[holder[V]] {
	mask := uint64(len(table.slots) - 1)
	for i := hash / nameShards; ; i++ {
		slot := &table.slots[i&mask]
		switch h := slot.Load(); {
		case h == nil:
			return nil
		case h.name == name && h != &n.gone:
			return slot
		}
	}
}

// rebuild replaces the shard's table by one of the right size without released
// places.
func (n *names[V]) rebuild(shard *nameShard[V], old *nameTable[V]) *nameTable[V] {
	size := firstNames
	for size < 2*(shard.live+1) {
		size *= 2
	}
	table := &nameTable[V]{make([]atomic.Pointer[holder[V]], size)}
	for i := range old.slots {
		if h := old.slots[i].Load(); h != nil && h != &n.gone {
			table.place(maphash.String(n.seed, h.name), h, &n.gone)
		}
	}
	shard.used = shard.live
	shard.table.Store(table)
	return table
}

// place puts a holder of a new name into the first slot that is free and reports
// whether that was one of a released name.
func (t *nameTable[V]) place(hash uint64, h, gone *holder[V]) (reused bool) {
	mask := uint64(len(t.slots) - 1)
	for i := hash / nameShards; ; i++ {
		slot := &t.slots[i&mask]
		if old := slot.Load(); old == nil || old == gone {
			slot.Store(h)
			return old != nil
		}
	}
}

func (n *names[V]) all(visit func(name string, who V) bool) {
	for i := range n.shards {
		table := n.shards[i].table.Load()
		for j := range table.slots {
			h := table.slots[j].Load()
			if h != nil && h != &n.gone && !visit(h.name, h.who) {
				return
			}
		}
	}
}
