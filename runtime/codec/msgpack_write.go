package codec

import "encoding/binary"

// msgpack writes the value at index at, each in its shortest form; floats have 64
// bits.
func (w *writer) msgpack(at int) *Error {
	n := &w.tape.nodes[at]
	switch n.kind {
	case kindNull:
		w.dst = append(w.dst, 0xc0)
	case kindFalse:
		w.dst = append(w.dst, 0xc2)
	case kindTrue:
		w.dst = append(w.dst, 0xc3)
	case kindInt:
		w.dst = appendMsgpackInt(w.dst, int64(n.bits))
	case kindUint:
		w.dst = appendMsgpackUint(w.dst, n.bits)
	case kindFloat:
		w.dst = binary.BigEndian.AppendUint64(append(w.dst, 0xcb), n.bits)
	case kindNumber:
		return w.tooWide(at)
	case kindText:
		b := w.tape.bytes(n)
		if len(b) < 32 {
			w.dst = append(w.dst, 0xa0|byte(len(b)))
		} else {
			w.dst = appendMsgpackLength(w.dst, 0xd9, len(b))
		}
		w.dst = append(w.dst, b...)
	case kindBytes:
		b := w.tape.bytes(n)
		w.dst = append(appendMsgpackLength(w.dst, 0xc4, len(b)), b...)
	case kindArray:
		w.dst = appendMsgpackCount(w.dst, 0x90, 0xdc, int(n.count))
		return w.all(at, int(n.next), (*writer).msgpack)
	case kindObject:
		w.dst = appendMsgpackCount(w.dst, 0x80, 0xde, int(n.count))
		return w.all(at, int(n.next), (*writer).msgpack)
	}
	return w.full(at)
}

// all writes everything that is in a list or map.
func (w *writer) all(at, end int, write func(*writer, int) *Error) *Error {
	for i := at + 1; i < end; i = int(w.tape.nodes[i].next) {
		if err := write(w, i); err != nil {
			return err
		}
	}
	return w.full(at)
}

func (w *writer) tooWide(at int) *Error {
	return w.tape.refuse(at, w.codec, "the number %.60s needs more than 64 bits: send it as text", w.tape.bytes(&w.tape.nodes[at]))
}

// appendMsgpackLength writes a length of 8, 16 or 32 bits: base, base+1, base+2.
func appendMsgpackLength(dst []byte, base byte, n int) []byte {
	switch {
	case n < 1<<8:
		return append(dst, base, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, base+1), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, base+2), uint32(n))
}

// appendMsgpackCount writes a count of 4, 16 or 32 bits.
func appendMsgpackCount(dst []byte, small, wide byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, small|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, wide), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, wide+1), uint32(n))
}

func appendMsgpackUint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(dst, byte(v))
	case v < 1<<8:
		return append(dst, 0xcc, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

// appendMsgpackInt writes an integer below 0.
func appendMsgpackInt(dst []byte, v int64) []byte {
	switch {
	case v >= -32:
		return append(dst, byte(v))
	case v >= -1<<7:
		return append(dst, 0xd0, byte(v))
	case v >= -1<<15:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case v >= -1<<31:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
}
