package codec

import (
	"math"
	"time"
)

// msgpackValue reads one value of MessagePack
// (github.com/msgpack/msgpack/blob/master/spec.md).
func (t *tape) msgpackValue() bool {
	at := t.pos
	first, ok := t.take(1)
	if !ok {
		return false
	}
	switch c := byte(first); {
	case c <= 0x7f:
		return t.scalar(kindUint, at, first)
	case c <= 0x8f:
		return t.elements(kindObject, at, first&0x0f, (*tape).msgpackValue)
	case c <= 0x9f:
		return t.elements(kindArray, at, first&0x0f, (*tape).msgpackValue)
	case c <= 0xbf:
		return t.msgpackText(kindText, at, first&0x1f)
	case c >= 0xe0:
		return t.integer(at, int64(int8(c)))
	case c == 0xc0:
		return t.scalar(kindNull, at, 0)
	case c == 0xc2:
		return t.scalar(kindFalse, at, 0)
	case c == 0xc3:
		return t.scalar(kindTrue, at, 0)
	case c >= 0xd4 && c <= 0xd8: // fixext 1, 2, 4, 8, 16
		return t.msgpackExt(at, 1<<(c-0xd4))
	}
	return t.msgpackWide(at, byte(first))
}

// msgpackWide reads a value whose first byte is followed by a number.
func (t *tape) msgpackWide(at int, c byte) bool {
	width := 0
	switch c {
	case 0xc4, 0xc7, 0xcc, 0xd0, 0xd9: // bin, ext, uint, int, str of 8 bits
		width = 1
	case 0xc5, 0xc8, 0xcd, 0xd1, 0xda, 0xdc, 0xde:
		width = 2
	case 0xc6, 0xc9, 0xca, 0xce, 0xd2, 0xdb, 0xdd, 0xdf:
		width = 4
	case 0xcb, 0xcf, 0xd3:
		width = 8
	default:
		return t.fail(ErrMalformed, at, "the byte 0x%02x begins no value", c)
	}
	v, ok := t.take(width)
	if !ok {
		return false
	}
	switch c {
	case 0xc4, 0xc5, 0xc6:
		return t.msgpackText(kindBytes, at, v)
	case 0xc7, 0xc8, 0xc9:
		return t.msgpackExt(at, v)
	case 0xca:
		return t.scalar(kindFloat, at, math.Float64bits(float64(math.Float32frombits(uint32(v)))))
	case 0xcb:
		return t.scalar(kindFloat, at, v)
	case 0xd0:
		return t.integer(at, int64(int8(v)))
	case 0xd1:
		return t.integer(at, int64(int16(v)))
	case 0xd2:
		return t.integer(at, int64(int32(v)))
	case 0xd3:
		return t.integer(at, int64(v))
	case 0xd9, 0xda, 0xdb:
		return t.msgpackText(kindText, at, v)
	case 0xdc, 0xdd:
		return t.elements(kindArray, at, v, (*tape).msgpackValue)
	case 0xde, 0xdf:
		return t.elements(kindObject, at, v, (*tape).msgpackValue)
	}
	return t.scalar(kindUint, at, v) // 0xcc to 0xcf
}

func (t *tape) msgpackText(k kind, at int, length uint64) bool {
	from, to, ok := t.span(length)
	return ok && t.text(k, at, from, to, false)
}

// msgpackExt reads an extension of so many bytes. The timestamp, extension -1,
// becomes text; nothing else has a counterpart.
func (t *tape) msgpackExt(at int, length uint64) bool {
	id, ok := t.take(1)
	if !ok {
		return false
	}
	from, to, ok := t.span(length)
	if !ok {
		return false
	}
	if int8(id) != -1 {
		return t.fail(ErrNoCounterpart, at, "an extension of type %d: only -1, the timestamp, is converted", int8(id))
	}
	return t.msgpackTime(at, t.source[from:to])
}

func (t *tape) msgpackTime(at int, b []byte) bool {
	number := func(b []byte) (v uint64) {
		for _, c := range b {
			v = v<<8 | uint64(c)
		}
		return v
	}
	var seconds int64
	var nanos uint64
	switch len(b) {
	case 4:
		seconds = int64(number(b))
	case 8:
		v := number(b)
		seconds, nanos = int64(v&(1<<34-1)), v>>34
	case 12:
		seconds, nanos = int64(number(b[4:])), number(b[:4])
	default:
		return t.fail(ErrMalformed, at, "a timestamp of %d bytes, expected 4, 8 or 12", len(b))
	}
	const year0, year10000 = -62167219200, 253402300800 // the years that RFC 3339 can write
	if nanos >= 1e9 || seconds < year0 || seconds >= year10000 {
		return t.fail(ErrNoCounterpart, at, "a timestamp of %d s and %d ns, which RFC 3339 cannot write", seconds, nanos)
	}
	from := len(t.extra)
	t.extra = time.Unix(seconds, int64(nanos)).UTC().AppendFormat(t.extra, time.RFC3339Nano)
	return t.text(kindText, at, from, len(t.extra), true)
}
