//go:build !wasm && !tinygo.wasm

package weft

import "unsafe"

// On a developer's own machine pointers are wider than addresses: a region
// stands in for the guest's memory, and an address is the distance from where it
// begins. The system maps its pages when they are touched.
const regionSize = 256 << 20

var region struct {
	words []uint64
	base  unsafe.Pointer
	next  uint32
}

func at(address uint32) unsafe.Pointer { return unsafe.Add(region.base, address) }

func addressOf(p unsafe.Pointer) uint32 {
	if distance := uintptr(p) - uintptr(region.base); distance < regionSize {
		return uint32(distance)
	}
	return ^uint32(0) // outside, hence in no span
}

type chunk struct{ at, size uint32 }

func allocate(size uint32) chunk {
	if region.words == nil {
		region.words = make([]uint64, regionSize/8)
		region.base = unsafe.Pointer(unsafe.SliceData(region.words))
		region.next = 4096
	}
	c := chunk{region.next, size}
	end := uint64(region.next) + (uint64(size)+15)/8*8
	if end > regionSize {
		panic("weft: the memory that stands in for the guest's is used up")
	}
	region.next = uint32(end)
	return c
}

// forget makes the region as good as new.
func forget() {
	lent.current, lent.top, lent.spent, lent.input = chunk{}, 0, nil, chunk{}
	region.next = 4096
}
