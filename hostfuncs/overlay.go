package hostfuncs

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"

	"github.com/weftrun/weft/abi"
)

// keySpace is keys and values: a Namespace, or what a shadow sees of one.
type keySpace interface {
	Get(key, buffer []byte) (int, abi.Status)
	Revision(key []byte) (int64, abi.Status)
	Set(key, value []byte, ttl int64) (int64, abi.Status)
	CompareAndSet(key []byte, revision int64, value []byte, ttl int64) (int64, abi.Status)
	Add(key []byte, delta, ttl int64) (int64, abi.Status)
	Delete(key []byte) abi.Status
}

// overlay is a namespace as a shadow sees it: it reads what is there and keeps
// what it writes to itself. What it has written or deleted once no longer follows
// the namespace. Its bound is the namespace's.
type overlay struct {
	below *Namespace
	clock Clock

	mu       sync.Mutex
	own      map[string]*node // what the shadow has written, or deleted
	expiring expiries
	used     int64
	revision int64
}

// overlayRevisions is where a shadow's own revisions begin: no namespace gets
// there.
const overlayRevisions = 1 << 62

func newOverlay(below *Namespace) *overlay {
	return &overlay{below: below, clock: below.clock, own: make(map[string]*node), revision: overlayRevisions}
}

// read finds a living entry. Its value must not be changed.
func (o *overlay) read(key []byte) (entry, bool) {
	if n := o.own[string(key)]; n != nil {
		return n.entry, !n.gone && n.alive(o.clock.Monotonic())
	}
	return o.below.read(key)
}

// Get is Namespace.Get.
func (o *overlay) Get(key, buffer []byte) (int, abi.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.read(key)
	if !ok {
		return 0, abi.StatusNotFound
	}
	if len(e.value) <= len(buffer) {
		copy(buffer, e.value)
	}
	return len(e.value), abi.StatusOK
}

// Revision is Namespace.Revision.
func (o *overlay) Revision(key []byte) (int64, abi.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.read(key)
	if !ok {
		return 0, abi.StatusNotFound
	}
	return e.revision, abi.StatusOK
}

// Set is Namespace.Set.
func (o *overlay) Set(key, value []byte, ttl int64) (int64, abi.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.write(key, value, ttl, 0)
}

// CompareAndSet is Namespace.CompareAndSet.
func (o *overlay) CompareAndSet(key []byte, revision int64, value []byte, ttl int64) (int64, abi.Status) {
	if !validTTL(ttl) {
		return 0, abi.StatusInvalid
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	old, ok := o.read(key)
	if ok && old.revision != revision || !ok && revision != 0 {
		return 0, abi.StatusConflict
	}
	return o.write(key, value, ttl, 0)
}

// Add is Namespace.Add.
func (o *overlay) Add(key []byte, delta, ttl int64) (int64, abi.Status) {
	if !validTTL(ttl) {
		return 0, abi.StatusInvalid
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	old, exists := o.read(key)
	sum, status := addTo(old, exists, delta)
	if status != abi.StatusOK {
		return 0, status
	}
	expires := int64(0)
	if exists {
		ttl, expires = 0, old.expires
	}
	if _, status = o.write(key, binary.LittleEndian.AppendUint64(nil, uint64(sum)), ttl, expires); status != abi.StatusOK {
		return 0, status
	}
	return sum, abi.StatusOK
}

// Delete is Namespace.Delete.
func (o *overlay) Delete(key []byte) abi.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.read(key); !ok {
		return abi.StatusNotFound
	}
	return o.put(key, entry{}, true)
}

// write keeps a value for ttl milliseconds, or until expires.
func (o *overlay) write(key, value []byte, ttl, expires int64) (int64, abi.Status) {
	if !validTTL(ttl) {
		return 0, abi.StatusInvalid
	}
	if ttl > 0 {
		expires = o.clock.Monotonic() + ttl*1e6
	}
	o.revision++
	e := entry{value: bytes.Clone(value), revision: o.revision, expires: expires}
	return e.revision, o.put(key, e, false)
}

func (o *overlay) put(key []byte, e entry, gone bool) abi.Status {
	n := o.own[string(key)]
	delta := cost(len(key), e)
	if n != nil {
		delta -= cost(len(key), n.entry)
	}
	if delta > 0 && !o.hasRoom(delta) {
		o.expire(delta, n)
		if !o.hasRoom(delta) {
			return abi.StatusLimit
		}
	}
	if n == nil {
		n = &node{key: string(key), at: -1}
		o.own[n.key] = n
	}
	o.used += delta
	n.entry, n.gone = e, gone
	o.expiring.put(n)
	return abi.StatusOK
}

func (o *overlay) hasRoom(room int64) bool { return o.used+room <= o.below.limit.Load() }

// expire forgets what has expired until there is so much room, but for the node
// that is about to be written. A key that is in the namespace as well stays, as
// deleted.
func (o *overlay) expire(room int64, but *node) {
	if but != nil {
		o.expiring.drop(but)
		defer o.expiring.put(but)
	}
	now := o.clock.Monotonic()
	for !o.hasRoom(room) && o.expiring.next() <= now {
		n := o.expiring[0]
		o.expiring.drop(n)
		o.used -= cost(len(n.key), n.entry)
		n.entry, n.gone = entry{}, true
		if _, below := o.below.read([]byte(n.key)); below {
			o.used += cost(len(n.key), n.entry)
		} else {
			delete(o.own, n.key)
		}
	}
}

func validTTL(ttl int64) bool { return ttl >= 0 && ttl <= math.MaxInt64/2_000_000 }

// addTo is what an entry's integer becomes.
func addTo(old entry, exists bool, delta int64) (int64, abi.Status) {
	before := int64(0)
	if exists {
		if len(old.value) != 8 {
			return 0, abi.StatusInvalid
		}
		before = int64(binary.LittleEndian.Uint64(old.value))
	}
	sum := before + delta
	if (delta > 0) != (sum > before) && delta != 0 || sum < math.MinInt64+16 {
		return 0, abi.StatusLimit
	}
	return sum, abi.StatusOK
}
