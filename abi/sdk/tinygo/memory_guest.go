//go:build wasm || tinygo.wasm

package weft

import "unsafe"

// In a guest an address is a pointer. (TinyGo's wasm-unknown says that it is an
// arm, hence the second build tag.)

func at(address uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), address) }

func addressOf(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

// chunk is memory that stays where it is: the words keep it aligned to 8, and
// reachable.
type chunk struct {
	words    []uint64
	at, size uint32
}

func allocate(size uint32) chunk {
	words := make([]uint64, (size+7)/8+1)
	return chunk{words, addressOf(unsafe.Pointer(unsafe.SliceData(words))), size}
}
