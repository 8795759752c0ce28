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

// nameTable is open addressing with linear probing. A slot goes from nil to a
// holder, from holder to holder of the same name, and at last to gone; only a
// new table makes it free again.
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
	table.place(hash, h)
	shard.live++
	shard.used++
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
	if table := shard.table.Load(); len(table.slots) > firstNames && shard.live < len(table.slots)/8 {
		n.rebuild(shard, table)
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
			table.place(maphash.String(n.seed, h.name), h)
		}
	}
	shard.used = shard.live
	shard.table.Store(table)
	return table
}

func (t *nameTable) place(hash uint64, h *holder) {
	mask := uint64(len(t.slots) - 1)
	for i := hash / nameShards; ; i++ {
		if slot := &t.slots[i&mask]; slot.Load() == nil {
			slot.Store(h)
			return
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
