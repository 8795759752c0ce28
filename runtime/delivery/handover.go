package delivery

import "sync/atomic"

// Handover brings items from one loop to whoever collects them, without a lock
// and without ever making the loop wait. The loop fills a parcel and posts it;
// while the last one was not collected it goes on filling, up to a bound, behind
// which items are lost and counted. At most three parcels are there: the one
// being filled, the one posted, the one being read.
//
// Room, Copy, Put, Post and Waits belong to the loop; Collect and Lost to anybody.
type Handover[T any] struct {
	limits HandoverLimits
	open   *Parcel[T] // of the loop
	early  bool       // posted because it was full, before the loop asked for it
	ready  atomic.Pointer[Parcel[T]]
	spare  atomic.Pointer[Parcel[T]]
	lost   atomic.Uint64 // of which the loop is the only writer
}

// HandoverLimits bounds one parcel. 0 is the default.
type HandoverLimits struct {
	// Items is how many items a parcel holds; 0 is 8192.
	Items int
	// Bytes is how many bytes of items a parcel holds; 0 is 4 MiB. An item that
	// is larger goes by itself.
	Bytes int
}

// Parcel is items on their way. They and their bytes belong to whoever has the
// parcel.
type Parcel[T any] struct {
	Items []T
	bytes []byte
	used  int
}

const (
	defaultParcelItems = 8192
	defaultParcelBytes = 4 << 20
	keptParcelBytes    = 1 << 20 // of a parcel that waits to be used again
)

// NewHandover returns a Handover. It takes no memory for parcels before the
// first item.
func NewHandover[T any](limits HandoverLimits) *Handover[T] {
	if limits.Items <= 0 {
		limits.Items = defaultParcelItems
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultParcelBytes
	}
	return &Handover[T]{limits: limits}
}

// Room tells whether so many items with so many bytes fit. If not they count as
// lost.
func (h *Handover[T]) Room(items, bytes int) bool {
	p := h.open
	if p == nil {
		if p = h.spare.Swap(nil); p == nil {
			p = &Parcel[T]{}
		}
		h.open = p
	}
	full := len(p.Items)+items > h.limits.Items || p.used+bytes > h.limits.Bytes
	if len(p.Items) == 0 || !full {
		return true
	}
	if h.ready.Load() != nil {
		h.lost.Store(h.lost.Load() + uint64(items))
		return false
	}
	h.early = h.Post()
	return h.Room(items, bytes)
}

// Copy copies bytes into the parcel in which Room found room. nil stays nil.
func (h *Handover[T]) Copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	p := h.open
	start := len(p.bytes)
	if start+len(b) > cap(p.bytes) {
		// What lies in the old array stays there: it is only read.
		p.bytes, start = make([]byte, 0, max(2*cap(p.bytes), len(b), 4096)), 0
	}
	p.bytes = append(p.bytes, b...)
	p.used += len(b)
	return p.bytes[start:len(p.bytes):len(p.bytes)]
}

// Put adds an item to the parcel in which Room found room.
func (h *Handover[T]) Put(item T) { h.open.Items = append(h.open.Items, item) }

// Post makes what was put ready to be collected; true if there is something new
// to collect since it was called last. What it finds no place for stays and goes
// with the next Post.
func (h *Handover[T]) Post() bool {
	posted := h.early
	h.early = false
	if h.open == nil || len(h.open.Items) == 0 || h.ready.Load() != nil {
		return posted
	}
	h.ready.Store(h.open)
	h.open = nil
	return true
}

// Waits tells whether something is left that Post found no place for.
func (h *Handover[T]) Waits() bool { return h.open != nil && len(h.open.Items) > 0 }

// Collect takes what was posted and hands it to read, which must copy what it
// keeps; false if there was nothing.
func (h *Handover[T]) Collect(read func(*Parcel[T])) bool {
	p := h.ready.Swap(nil)
	if p == nil {
		return false
	}
	read(p)
	clear(p.Items)
	p.Items, p.bytes, p.used = p.Items[:0], p.bytes[:0], 0
	if cap(p.bytes) > keptParcelBytes {
		p.bytes = nil
	}
	h.spare.Store(p)
	return true
}

// Lost is how many items found no room.
func (h *Handover[T]) Lost() uint64 { return h.lost.Load() }
