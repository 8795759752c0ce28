package delivery

import (
	"sync"
	"sync/atomic"
)

// Ring brings items to a loop, in order: any goroutine puts them, the loop takes them
// without a lock. It is as large as it was made and never grows: who puts knows that
// no more can be on their way.
type Ring[T any] struct {
	slots []T
	mu    sync.Mutex // of those who put
	head  atomic.Uint32
	tail  atomic.Uint32
}

// NewRing returns a ring for at least size items.
func NewRing[T any](size int) *Ring[T] {
	n := 1
	for n < size {
		n *= 2
	}
	return &Ring[T]{slots: make([]T, n)}
}

// Put adds an item behind the others; false if there is no room. Not for loops.
func (r *Ring[T]) Put(item T) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tail.Load()
	if t-r.head.Load() == uint32(len(r.slots)) {
		return false
	}
	r.slots[t%uint32(len(r.slots))] = item
	r.tail.Store(t + 1)
	return true
}

// Take removes the first item; false if there is none. One goroutine calls it.
func (r *Ring[T]) Take() (item T, ok bool) {
	h := r.head.Load()
	if h == r.tail.Load() {
		return item, false
	}
	at := &r.slots[h%uint32(len(r.slots))]
	item = *at
	var none T
	*at = none
	r.head.Store(h + 1)
	return item, true
}
