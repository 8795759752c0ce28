package mqtt

import "math/bits"

// buffers is a pool of byte slices by size class: powers of two and their
// halves between (64, 96, 128, 192, ...). What is larger than the largest class
// is made and left to the collector.
type buffers struct {
	free [numClasses][][]byte
	held int // bytes in free
}

const (
	numClasses = 21                           // 64 B to 64 KiB
	noClass    = numClasses                   // larger
	maxHeld    = 1 << 20                      // bytes that are kept for later
	maxClass   = 64 << ((numClasses - 1) / 2) // 64 KiB
)

// classOf is the smallest class that n bytes fit.
func classOf(n int) int {
	if n <= 64 {
		return 0
	}
	if n > maxClass {
		return noClass
	}
	power := bits.Len(uint(n-1)) - 7 // 64<<power < n <= 128<<power
	if n <= 96<<power {
		return 2*power + 1
	}
	return 2*power + 2
}

// classSize is how many bytes a buffer of the class has; n for those without one.
func classSize(class, n int) int {
	switch {
	case class == noClass:
		return n
	case class&1 == 1:
		return 96 << (class / 2)
	}
	return 64 << (class / 2)
}

// get returns a buffer of the class with n bytes of length.
func (b *buffers) get(class, n int) []byte {
	if class == noClass {
		return make([]byte, n)
	}
	free := b.free[class]
	if k := len(free); k > 0 {
		buf := free[k-1]
		free[k-1] = nil
		b.free[class] = free[:k-1]
		b.held -= cap(buf)
		return buf[:n]
	}
	return make([]byte, n, classSize(class, n))
}

// put takes a buffer back that get returned.
func (b *buffers) put(buf []byte) {
	class := classOf(cap(buf))
	if class == noClass || b.held+cap(buf) > maxHeld {
		return
	}
	b.free[class] = append(b.free[class], buf[:0])
	b.held += cap(buf)
}
