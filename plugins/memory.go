package plugins

import (
	"slices"
	"sync"

	"github.com/tetratelabs/wazero/experimental"
)

// guestMemory is the linear memory of one instance. Where the system allows it
// is mapped outside the Go heap: the collector then neither counts nor clears it,
// growing never copies, only pages that were touched cost anything, and free
// gives it back at once, or to those that are kept. It belongs to one goroutine.
type guestMemory struct {
	kept     *keptMemory // nil: none is kept
	reserved []byte      // the whole range, address space only
	limit    uint64
	used     uint64 // bytes from the start that the guest could touch
	again    bool   // others will want some: keep it
}

// Allocate implements experimental.MemoryAllocator. It is called once.
func (g *guestMemory) Allocate(_, limit uint64) experimental.LinearMemory {
	g.limit = min(limit, g.limit)
	g.reserved = g.kept.take(g.limit)
	g.again = g.again || g.reserved != nil
	if g.reserved == nil {
		g.reserved = reserve(g.limit)
	}
	return g
}

// Reallocate returns the first size bytes, nil if there are not so many.
func (g *guestMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(g.reserved)) {
		return nil
	}
	g.used = max(g.used, size)
	return g.reserved[:size:size]
}

// Free gives the memory back. Every view of it dies with it.
func (g *guestMemory) Free() {
	if !g.again || !g.kept.keep(g.reserved, g.used) {
		release(g.reserved)
	}
	g.reserved, g.used = nil, 0
}

// keptMemory is memory of instances that are gone, for those to come: the pages are
// there, and to clear them takes a tenth of the time that the system takes to take them
// away and to bring others, while the processors tell each other of it. What is given
// back to it reads as zero when it is taken. A nil one keeps nothing. Nothing is kept
// before the first generation goes: a process that never swaps has no use for it.
type keptMemory struct {
	most uint64 // bytes of pages

	mu   sync.Mutex
	held uint64
	list []keptRange // the one kept last is last
	shut bool
}

type keptRange struct {
	reserved []byte
	used     uint64
}

// keep takes a range whose first used bytes may be other than zero; false if there is no
// room for so many.
func (k *keptMemory) keep(reserved []byte, used uint64) bool {
	if k == nil || used == 0 || used > k.most/4 {
		return false
	}
	clear(reserved[:used])
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shut || k.held+used > k.most {
		return false
	}
	k.held += used
	k.list = append(k.list, keptRange{reserved, used})
	return true
}

// take returns a range of that size, nil if there is none.
func (k *keptMemory) take(size uint64) []byte {
	if k == nil || size == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, r := range slices.Backward(k.list) {
		if uint64(len(r.reserved)) == size {
			k.list = slices.Delete(k.list, i, i+1)
			k.held -= r.used
			return r.reserved
		}
	}
	return nil
}

// close gives everything back, and what comes later is not kept.
func (k *keptMemory) close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.list {
		release(r.reserved)
	}
	k.list, k.held, k.shut = nil, 0, true
}
