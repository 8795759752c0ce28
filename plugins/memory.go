package plugins

import (
	"github.com/tetratelabs/wazero/experimental"
)

// guestMemory is the linear memory of one instance. Where the system allows it
// is mapped outside the Go heap: the collector then neither counts nor clears it,
// growing never copies, only pages that were touched cost anything, and free
// gives it back at once. It belongs to one goroutine.
type guestMemory struct {
	reserved []byte // the whole range, address space only
	limit    uint64
}

// Allocate implements experimental.MemoryAllocator. It is called once.
func (g *guestMemory) Allocate(_, limit uint64) experimental.LinearMemory {
	g.limit = min(limit, g.limit)
	g.reserved = reserve(g.limit)
	return g
}

// Reallocate returns the first size bytes, nil if there are not so many.
func (g *guestMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(g.reserved)) {
		return nil
	}
	return g.reserved[:size:size]
}

// Free gives the memory back. Every view of it dies with it.
func (g *guestMemory) Free() {
	release(g.reserved)
	g.reserved = nil
}
