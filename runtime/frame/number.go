package frame

import "encoding/binary"

// number is how an unsigned integer lies in a frame: its size in bytes and its
// byte order, in one value that read and write switch on.
type number uint8

const (
	_ number = iota
	byte1
	big2
	big4
	big8
	little2
	little4
	little8

	// oddBase + size is big-endian, oddBase + 8 + size little-endian, for the
	// sizes 3, 5, 6 and 7.
	oddBase = 16
)

func numberOf(size int, little bool) number {
	switch {
	case size == 1:
		return byte1
	case size == 2 && little:
		return little2
	case size == 2:
		return big2
	case size == 4 && little:
		return little4
	case size == 4:
		return big4
	case size == 8 && little:
		return little8
	case size == 8:
		return big8
	case little:
		return number(oddBase + 8 + size)
	}
	return number(oddBase + size)
}

// largest is the largest number that fits into size bytes.
func largest(size int) uint64 {
	if size >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

// window is where a big-endian number lies in a load of 8 bytes: reading through
// one takes no branch on the size.
type window struct {
	load  int // offset of the load
	shift uint8
	mask  uint64
}

// windowOf is the window of a number of size bytes at offset, in a header of at
// least 8 bytes.
func windowOf(offset, size, header int) window {
	load := min(offset, header-8)
	return window{load, uint8(8 * (load + 8 - offset - size)), largest(size)}
}

func (w *window) read(b []byte) uint64 {
	return binary.BigEndian.Uint64(b[w.load:]) >> (w.shift & 63) & w.mask
}

// read returns the number at the start of b.
func (n number) read(b []byte) uint64 {
	switch n {
	case byte1:
		return uint64(b[0])
	case big2:
		return uint64(binary.BigEndian.Uint16(b))
	case big4:
		return uint64(binary.BigEndian.Uint32(b))
	case big8:
		return binary.BigEndian.Uint64(b)
	}
	return n.readRare(b)
}

func (n number) readRare(b []byte) uint64 {
	switch n {
	case little2:
		return uint64(binary.LittleEndian.Uint16(b))
	case little4:
		return uint64(binary.LittleEndian.Uint32(b))
	case little8:
		return binary.LittleEndian.Uint64(b)
	}
	var v uint64
	size := int(n-oddBase) % 8
	for i := range size {
		if n >= oddBase+8 {
			v |= uint64(b[i]) << (8 * i)
		} else {
			v = v<<8 | uint64(b[i])
		}
	}
	return v
}

// write puts v, which must fit, at the start of b.
func (n number) write(b []byte, v uint64) {
	switch n {
	case byte1:
		b[0] = byte(v)
	case big2:
		binary.BigEndian.PutUint16(b, uint16(v))
	case big4:
		binary.BigEndian.PutUint32(b, uint32(v))
	case big8:
		binary.BigEndian.PutUint64(b, v)
	default:
		n.writeRare(b, v)
	}
}

func (n number) writeRare(b []byte, v uint64) {
	switch n {
	case little2:
		binary.LittleEndian.PutUint16(b, uint16(v))
		return
	case little4:
		binary.LittleEndian.PutUint32(b, uint32(v))
		return
	case little8:
		binary.LittleEndian.PutUint64(b, v)
		return
	}
	size := int(n-oddBase) % 8
	for i := range size {
		if n >= oddBase+8 {
			b[i] = byte(v >> (8 * i))
		} else {
			b[i] = byte(v >> (8 * (size - 1 - i)))
		}
	}
}
