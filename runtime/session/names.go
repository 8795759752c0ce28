package session

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// holder says that a session holds a name. It never changes: who takes a name
// over gets a holder of their own.
type holder struct {
	name string
	id   uint64
}

// names is a hash table from names to holders, divided into shards. Readers
// probe a shard without a lock; writers take the shard's mutex.
type names struct {
	seed   maphash.Seed
	gone   holder // stands in slots whose name was released
	count  atomic.Int64
	shards [nameShards]nameShard
}

// nameShards is a power of two.
const nameShards = 64

type nameShard struct {
	mu    sync.Mutex
	table atomic.Pointer[nameTable]
	live  int // names
	used  int // names and places of released ones
}

// nameTable is open addressing with linear probing. Readers are safe because a
// name never moves within a table and no slot between it and its first choice is
// ever empty: a released name leaves gone behind, unless the next slot is empty.
type nameTable struct{ slots []atomic.Pointer[holder] }

const firstNames = 8

func (n *names) init() {
	n.seed = maphash.MakeSeed()
	for i := range n.shards {
		n.shards[i].table.Store(&nameTable{make([]atomic.Pointer[holder], firstNames)})
	}
}

func (n *names) len() int { return int(n.count.Load()) }

func (n *names) lookup(name []byte) (uint64, bool) {
	hash := maphash.Bytes(n.seed, name)
	table := n.shards[hash%nameShards].table.Load()
	mask := uint64(len(table.slots) - 1)
	for i := hash / nameShards; ; i++ {
		switch h := table.slots[i&mask].Load(); {
		case h == nil:
			return 0, false
		case h.name == string(name) && h != &n.gone:
			return h.id, true
		}
	}
}

// claim makes id the name's holder. Another holder is answered: with ErrTaken,
// or with no error where it may be taken over.
func (n *names) claim(name string, id uint64, takeOver bool, limit int) (*holder, uint64, error) {
	hash := maphash.String(n.seed, name)
	shard := &n.shards[hash%nameShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	table := shard.table.Load()
	if slot := n.slot(table, hash, name); slot != nil {
		former := slot.Load()
		if former.id != id && !takeOver {
			return nil, former.id, ErrTaken
		}
		h := &holder{name, id}
		slot.Store(h)
		if former.id == id {
			return h, 0, nil
		}
		return h, former.id, nil
	}
	if n.count.Load() >= int64(limit) {
		return nil, 0, ErrLimit
	}
	if shard.used+1 > len(table.slots)/4*3 {
		table = n.rebuild(shard, table)
	}
	h := &holder{name, id}
	if reused := table.place(hash, h, &n.gone); !reused {
		shard.used++
	}
	shard.live++
	n.count.Add(1)
	return h, 0, nil
}

// release ends the hold if it is still the one in force.
func (n *names) release(h *holder) {
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
	n.sweep(shard, hash)
	if table := shard.table.Load(); len(table.slots) > firstNames && shard.live < len(table.slots)/8 {
		n.rebuild(shard, table)
	}
}

// sweep empties slots of released names in the run that a hash begins in, from
// its end backwards.
func (n *names) sweep(shard *nameShard, hash uint64) {
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
func (n *names) slot(table *nameTable, hash uint64, name string) *atomic.Pointer[holder] {
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
func (n *names) rebuild(shard *nameShard, old *nameTable) *nameTable {
	size := firstNames
	for size < 2*(shard.live+1) {
		size *= 2
	}
	table := &nameTable{make([]atomic.Pointer[holder], size)}
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
func (t *nameTable) place(hash uint64, h, gone *holder) (reused bool) {
	mask := uint64(len(t.slots) - 1)
	for i := hash / nameShards; ; i++ {
		slot := &t.slots[i&mask]
		if old := slot.Load(); old == nil || old == gone {
			slot.Store(h)
			return old != nil
		}
	}
}

func (n *names) all(visit func(name string, id uint64) bool) {
	for i := range n.shards {
		table := n.shards[i].table.Load()
		for j := range table.slots {
			h := table.slots[j].Load()
			if h != nil && h != &n.gone && !visit(h.name, h.id) {
				return
			}
		}
	}
}
