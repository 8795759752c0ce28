package engine

import "math/bits"

const (
	minClass = 8  // 256 bytes
	maxClass = 20 // 1 MiB; longer buffers are left to the garbage collector
)

// bytePool keeps buffers by powers of two. It belongs to one loop. What nobody
// needed between two trims is given back, half of it at a time.
type bytePool struct {
	free [maxClass - minClass + 1]freeList[[]byte]
}

// get returns an empty buffer with room for at least n bytes.
func (p *bytePool) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), minClass)
	if n <= 1 {
		class = minClass
	}
	if class > maxClass {
		return make([]byte, 0, n)
	}
	if b, ok := p.free[class-minClass].take(); ok {
		return b
	}
	return make([]byte, 0, 1<<class)
}

func (p *bytePool) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minClass || class > maxClass || cap(b) != 1<<class {
		return
	}
	p.free[class-minClass].give(b[:0])
}

func (p *bytePool) trim() {
	for i := range p.free {
		p.free[i].trim()
	}
}

// freeList is a stack of things to use again. low is the fewest that lay in it
// since the last trim: so many nobody needed.
type freeList[T any] struct {
	items []T
	low   int
}

func (f *freeList[T]) take() (item T, ok bool) {
	n := len(f.items) - 1
	if n < 0 {
		return item, false
	}
	var zero T
	item, f.items[n] = f.items[n], zero
	f.items = f.items[:n]
	f.low = min(f.low, n)
	return item, true
}

func (f *freeList[T]) give(item T) { f.items = append(f.items, item) }

// trim lets go of half of what was not needed since the last trim. The bottom of
// the stack goes: it was used least.
func (f *freeList[T]) trim() {
	if drop := (f.low + 1) / 2; drop > 0 {
		n := copy(f.items, f.items[drop:])
		clear(f.items[n:])
		f.items = f.items[:n]
		if cap(f.items) > 64 && n < cap(f.items)/4 {
			f.items = append(make([]T, 0, 2*n), f.items...)
		}
	}
	f.low = len(f.items)
}
