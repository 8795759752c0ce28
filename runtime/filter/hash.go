package filter

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// hash finds entries by listener and prefix: open addressing, one writer, any number of
// readers. An entry never moves; where it was deleted a mark stays until another takes the
// place or all is copied into a larger one, so that a reader that is on its way misses
// nothing.
type hash struct {
	slots []slot
	mask  uint64
	seed  [4]uint64
	used  int // slots with a tag that is not empty
	live  int
}

// slot is one place. The tag is a part of the hash, so that most others are told apart
// without looking at them.
type slot struct {
	tag   atomic.Uint64
	entry atomic.Pointer[hashEntry]
}

// The tags that are no hash.
const (
	tagEmpty = 0
	tagGone  = 1
)

// hashEntry is an Entry; never changed.
type hashEntry struct {
	hi, lo   uint64
	until    int64
	listener uint16
	bits     uint16
	v6       bool
	reason   Reason // Pass if it allows
	prefix   netip.Prefix
}

func newHashEntry(e Entry) *hashEntry {
	made := &hashEntry{listener: e.Listener, bits: uint16(e.Prefix.Bits()), v6: !e.Prefix.Addr().Is4(), prefix: e.Prefix, until: untilOf(e.Until)}
	if made.v6 {
		made.hi, made.lo = halves(e.Prefix.Addr())
	} else {
		b := e.Prefix.Addr().As4()
		made.lo = uint64(binary.BigEndian.Uint32(b[:]))
	}
	if e.Action == Deny {
		if made.reason = e.Reason; e.Reason == Pass {
			made.reason = Denied
		}
	}
	return made
}

// newHash makes one with room for half as many entries as it has slots, a power of two.
func newHash(slots int) *hash {
	return &hash{
		slots: make([]slot, slots), mask: uint64(slots - 1),
		seed: [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()},
	}
}

// sum mixes a key with the seed: who chooses addresses cannot make them collide.
func (h *hash) sum(listener, n uint16, hi, lo uint64, v6 bool) uint64 {
	meta := uint64(listener)<<16 | uint64(n)
	if v6 {
		meta |= 1 << 32
	}
	return mix(hi^h.seed[0], lo^h.seed[1]) ^ mix(meta^h.seed[2], lo+h.seed[3])
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func tagOf(sum uint64) uint64 { return sum | 2 } // neither empty nor gone

// get finds an entry, or nil.
func (h *hash) get(listener, n uint16, hi, lo uint64, v6 bool) *hashEntry {
	sum := h.sum(listener, n, hi, lo, v6)
	tag := tagOf(sum)
	for i := sum >> 8; ; i++ {
		s := &h.slots[i&h.mask]
		switch s.tag.Load() {
		case tagEmpty:
			return nil
		case tag:
			if e := s.entry.Load(); e != nil && e.lo == lo && e.hi == hi && e.bits == n && e.listener == listener && e.v6 == v6 {
				return e
			}
		}
	}
}

// put adds or replaces one; added tells which.
func (h *hash) put(e *hashEntry) (added bool) {
	sum := h.sum(e.listener, e.bits, e.hi, e.lo, e.v6)
	tag := tagOf(sum)
	var free *slot
	for i := sum >> 8; ; i++ {
		s := &h.slots[i&h.mask]
		switch s.tag.Load() {
		case tagEmpty:
			if free == nil {
				free = s
				h.used++
			}
			free.entry.Store(e)
			free.tag.Store(tag)
			h.live++
			return true
		case tagGone:
			if free == nil {
				free = s
			}
		case tag:
			if old := s.entry.Load(); old.same(e) {
				s.entry.Store(e)
				return false
			}
		}
	}
}

// remove deletes one and tells whether it was there.
func (h *hash) remove(e *hashEntry) bool {
	sum := h.sum(e.listener, e.bits, e.hi, e.lo, e.v6)
	tag := tagOf(sum)
	for i := sum >> 8; ; i++ {
		s := &h.slots[i&h.mask]
		switch s.tag.Load() {
		case tagEmpty:
			return false
		case tag:
			if s.entry.Load().same(e) {
				s.tag.Store(tagGone)
				s.entry.Store(nil)
				h.live--
				return true
			}
		}
	}
}

func (e *hashEntry) same(o *hashEntry) bool {
	return e.lo == o.lo && e.hi == o.hi && e.bits == o.bits && e.listener == o.listener && e.v6 == o.v6
}

// crowded tells that the next put may not be made.
func (h *hash) crowded() bool { return 2*(h.used+1) > len(h.slots) }

// grown is a copy with room, without the marks of what was deleted.
func (h *hash) grown() *hash {
	slots := len(h.slots)
	for 4*(h.live+1) > slots {
		slots *= 2
	}
	for slots > 64 && 16*(h.live+1) < slots {
		slots /= 2
	}
	next := newHash(slots)
	h.each(func(e *hashEntry) { next.put(e) })
	return next
}

func (h *hash) each(f func(*hashEntry)) {
	for i := range h.slots {
		if e := h.slots[i].entry.Load(); e != nil {
			f(e)
		}
	}
}

// halves is an IPv6 address as two words.
func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// maskHalves keeps the first n of 128 bits.
func maskHalves(hi, lo uint64, n int) (uint64, uint64) {
	if n <= 64 {
		return hi & (^uint64(0) << (64 - n)), 0
	}
	return hi, lo & (^uint64(0) << (128 - n))
}
