package hostfuncs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
)

// KV is the key-value store of the process: in memory, bounded by namespace,
// shared by every plugin and loop. Its methods may be called from any goroutine.
type KV struct {
	clock  Clock
	mu     sync.Mutex
	spaces map[string]*Namespace

	sharing sync.Mutex // guards what follows; held while a Sharer works
	sharer  Sharer
	shared  map[string]*Namespace
}

// ErrNamespace is wrapped by the errors of [KV.Namespace].
var ErrNamespace = errors.New("bad namespace")

// NewKV makes an empty store. A nil clock is the system's.
func NewKV(clock Clock) *KV {
	if clock == nil {
		clock = SystemClock{}
	}
	return &KV{clock: clock, spaces: make(map[string]*Namespace), shared: make(map[string]*Namespace)}
}

// Namespace returns the namespace of that name, making it if need be. Its bound
// is the largest size in bytes it was ever asked for with; 0 is DefaultKVSize.
func (kv *KV) Namespace(name string, size int64) (*Namespace, error) {
	size, err := checkNamespace(name, size)
	if err != nil {
		return nil, err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	s := kv.spaces[name]
	if s == nil {
		s = newNamespace(kv.clock)
		kv.spaces[name] = s
	}
	s.limit.Store(max(s.limit.Load(), size))
	return s, nil
}

func checkNamespace(name string, size int64) (int64, error) {
	if name == "" || size < 0 {
		return 0, fmt.Errorf("%w: name %q, size %d: expected a name and a size that is not negative", ErrNamespace, name, size)
	}
	if size == 0 {
		size = DefaultKVSize
	}
	return size, nil
}

func newNamespace(clock Clock) *Namespace {
	s := &Namespace{clock: clock, seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].entries = make(map[string]*node)
		s.shards[i].earliest.Store(math.MaxInt64)
	}
	return s
}

// Bounds are how many bytes and entries the namespace may have: the largest that it
// was asked for with. 0 entries is no bound of their own.
func (s *Namespace) Bounds() (size, entries int64) { return s.limit.Load(), s.most.Load() }

// bound sets how many entries the namespace may have; of several the largest
// counts, and 0 changes nothing.
func (s *Namespace) bound(entries int64) {
	for {
		was := s.most.Load()
		if entries <= was || s.most.CompareAndSwap(was, entries) {
			return
		}
	}
}

const shards = 16

// entryCost is what an entry counts beside the bytes of its key and value:
// about what the map and the headers take.
const entryCost = 96

// Namespace is keys and values under one bound in bytes. A key has a revision
// that grows with every change anywhere in the namespace and is never 0, so a key
// that was deleted and set again does not repeat one.
type Namespace struct {
	clock    Clock
	seed     maphash.Seed
	limit    atomic.Int64
	used     atomic.Int64
	most     atomic.Int64 // how many entries; 0: no bound of their own
	count    atomic.Int64
	revision atomic.Int64
	replica  *Replica // nil for one of the process alone
	shards   [shards]shard
}

type shard struct {
	earliest atomic.Int64 // when the first entry expires: Clock.Monotonic; written under mu

	mu       sync.Mutex // guards what follows
	entries  map[string]*node
	expiring expiries
}

type entry struct {
	value    []byte
	revision int64
	expires  int64 // Clock.Monotonic, 0 for never
}

func (e entry) alive(now int64) bool { return e.expires == 0 || now < e.expires }

// cost is what an entry counts whose key has so many bytes.
func cost(key int, e entry) int64 { return int64(key+len(e.value)) + entryCost }

// Used is how many bytes the namespace counts, expired entries that were not
// swept yet included.
func (s *Namespace) Used() int64 { return s.used.Load() }

// Len is how many entries the namespace has, expired ones that were not swept yet
// included.
func (s *Namespace) Len() int64 { return s.count.Load() }

// Get copies the key's value into buffer, if it fits, and returns its length.
func (s *Namespace) Get(key, buffer []byte) (int, abi.Status) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := s.lookup(sh, key)
	if n == nil {
		return 0, abi.StatusNotFound
	}
	if len(n.value) <= len(buffer) {
		copy(buffer, n.value)
	}
	return len(n.value), abi.StatusOK
}

// Revision returns the key's revision.
func (s *Namespace) Revision(key []byte) (int64, abi.Status) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := s.lookup(sh, key)
	if n == nil {
		return 0, abi.StatusNotFound
	}
	return n.revision, abi.StatusOK
}

// Set sets the key for ttl milliseconds, 0 for ever, and returns its revision.
// The value is copied.
func (s *Namespace) Set(key, value []byte, ttl int64) (int64, abi.Status) {
	return s.update(key, ttl, change{kind: changeSet}, func(entry, bool) ([]byte, abi.Status) { return value, abi.StatusOK })
}

// CompareAndSet is Set if the key's revision is the given one; 0 says that the
// key must not exist.
func (s *Namespace) CompareAndSet(key []byte, revision int64, value []byte, ttl int64) (int64, abi.Status) {
	return s.update(key, ttl, change{kind: changeCompare}, func(old entry, _ bool) ([]byte, abi.Status) {
		if old.revision != revision {
			return nil, abi.StatusConflict
		}
		return value, abi.StatusOK
	})
}

// Add adds delta to the key's value, an 8-byte little-endian integer, and
// returns the sum. A missing key counts as 0 and gets the ttl; one that exists
// keeps its own. A sum that an int64 does not hold is refused.
func (s *Namespace) Add(key []byte, delta, ttl int64) (sum int64, status abi.Status) {
	_, status = s.update(key, ttl, change{kind: changeAdd, delta: delta}, func(old entry, exists bool) ([]byte, abi.Status) {
		if sum, status = addTo(old, exists, delta); status != abi.StatusOK {
			return nil, status
		}
		return binary.LittleEndian.AppendUint64(nil, uint64(sum)), abi.StatusOK
	})
	return sum, status
}

// read finds a living entry for a shadow. Values are replaced, never changed.
func (s *Namespace) read(key []byte) (entry, bool) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n := s.lookup(sh, key); n != nil {
		return n.entry, true
	}
	return entry{}, false
}

// Delete removes the key.
func (s *Namespace) Delete(key []byte) abi.Status {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := s.lookup(sh, key)
	if n == nil {
		return abi.StatusNotFound
	}
	if s.replica != nil {
		s.bury(sh, n)
		s.replica.mark(n, change{kind: changeSet})
		return abi.StatusOK
	}
	s.remove(sh, n)
	return abi.StatusOK
}

// update replaces the key's entry by what value makes of it, which is copied.
// When the bound is reached it removes what has expired and tries again.
func (s *Namespace) update(key []byte, ttl int64, c change, value func(old entry, exists bool) ([]byte, abi.Status)) (int64, abi.Status) {
	if !validTTL(ttl) {
		return 0, abi.StatusInvalid
	}
	revision, room, status := s.tryUpdate(key, ttl, c, value)
	if room > 0 && s.expire(room) {
		revision, _, status = s.tryUpdate(key, ttl, c, value)
	}
	return revision, status
}

// tryUpdate is update as far as there is room; if there is not, room is how many
// bytes it wants.
func (s *Namespace) tryUpdate(key []byte, ttl int64, c change, next func(entry, bool) ([]byte, abi.Status)) (revision, room int64, status abi.Status) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := s.lookup(sh, key)
	exists, old := n != nil, entry{}
	if exists {
		old = n.entry
	}
	value, status := next(old, exists)
	if status == abi.StatusOK && s.replica != nil {
		status = s.replica.takes(key, value, exists)
	}
	if status != abi.StatusOK {
		return 0, 0, status
	}
	e := entry{value: bytes.Clone(value)}
	switch {
	case exists && c.kind == changeAdd: // the time at which it expires stays as it is
		e.expires = old.expires
	case ttl > 0:
		e.expires = s.clock.Monotonic() + ttl*1e6
	}
	if n, room = s.put(sh, n, key, e); n == nil {
		return 0, room, abi.StatusLimit
	}
	if s.replica != nil {
		c.absent = !exists
		s.replica.mark(n, c)
	}
	return n.revision, 0, abi.StatusOK
}

// put makes e, with a revision of its own, the entry of a key that n is the living
// node of, nil for none. It returns the node; or nil and how much room it wants.
func (s *Namespace) put(sh *shard, n *node, key []byte, e entry) (*node, int64) {
	exists, old := n != nil, entry{}
	delta := cost(len(key), e)
	if exists {
		old = n.entry
		delta -= cost(len(key), old)
	}
	if s.used.Add(delta) > s.limit.Load() && delta > 0 {
		s.used.Add(-delta)
		return nil, delta
	}
	if !exists && !s.addEntry() {
		s.used.Add(-delta)
		return nil, delta
	}
	e.revision = s.revision.Add(1)
	switch {
	case exists:
	case s.replica != nil && sh.entries[string(key)] != nil: // one that is gone
		n = sh.entries[string(key)]
		s.unbury(n)
	default:
		n = &node{key: string(key), at: -1}
		sh.entries[n.key] = n
	}
	n.entry = e
	if old.expires != e.expires {
		sh.list(n)
	}
	return n, 0
}

// addEntry counts one more entry unless there are as many as there may be.
func (s *Namespace) addEntry() bool {
	if n, most := s.count.Add(1), s.most.Load(); most > 0 && n > most {
		s.count.Add(-1)
		return false
	}
	return true
}

func (s *Namespace) shard(key []byte) *shard {
	return &s.shards[maphash.Bytes(s.seed, key)%shards]
}

// lookup finds a living entry, nil if there is none, and removes an expired one.
func (s *Namespace) lookup(sh *shard, key []byte) *node {
	n := sh.entries[string(key)]
	if n != nil && n.expires != 0 && !n.alive(s.clock.Monotonic()) {
		s.expired(sh, n)
		return nil
	}
	if n != nil && n.gone {
		return nil
	}
	return n
}

// expired removes an entry whose time is over.
func (s *Namespace) expired(sh *shard, n *node) {
	if n.sync != nil {
		s.bury(sh, n)
		return
	}
	s.remove(sh, n)
}

func (s *Namespace) remove(sh *shard, n *node) {
	delete(sh.entries, n.key)
	s.used.Add(-cost(len(n.key), n.entry))
	s.count.Add(-1)
	if n.at >= 0 {
		sh.expiring.drop(n)
		sh.earliest.Store(sh.expiring.next())
	}
}

// list puts the node among those that expire, or takes it away.
func (sh *shard) list(n *node) {
	sh.expiring.put(n)
	sh.earliest.Store(sh.expiring.next())
}

// expire removes entries that have expired until there is room for one more of so
// many bytes, and reports whether it removed any.
func (s *Namespace) expire(room int64) bool {
	now, removed := s.clock.Monotonic(), false
	for i := range s.shards {
		sh := &s.shards[i]
		if sh.earliest.Load() > now {
			continue
		}
		sh.mu.Lock()
		for !s.hasRoom(room) && sh.expiring.next() <= now {
			s.expired(sh, sh.expiring[0])
			removed = true
		}
		sh.mu.Unlock()
	}
	return removed
}

func (s *Namespace) hasRoom(room int64) bool {
	most := s.most.Load()
	return s.used.Load()+room <= s.limit.Load() && (most == 0 || s.count.Load() < most)
}
