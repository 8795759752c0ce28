package codec

import (
	"math"
)

// Major types of CBOR (RFC 8949, section 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const cborBreak = 0xff

// cborHead reads an item's first byte and its argument. indefinite: there is none.
func (t *tape) cborHead() (major byte, argument uint64, indefinite, ok bool) {
	at := t.pos
	first, ok := t.take(1)
	if !ok {
		return 0, 0, false, false
	}
	major, info := byte(first>>5), byte(first&0x1f)
	switch {
	case info < 24:
		return major, uint64(info), false, true
	case info <= 27:
		argument, ok = t.take(1 << (info - 24))
		return major, argument, false, ok
	case info == 31 && major >= cborBytes && major <= cborMap:
		return major, 0, true, true
	}
	return 0, 0, false, t.fail(ErrMalformed, at, "the byte 0x%02x begins no item", first)
}

// cborValue reads one data item.
func (t *tape) cborValue() bool { return t.cborItem(0) }

// cborItem reads an item under so many tags.
func (t *tape) cborItem(tags int) bool {
	at := t.pos
	if t.pos < len(t.source) && t.source[t.pos]>>5 == cborSimple {
		return t.cborSimpleValue()
	}
	major, v, indefinite, ok := t.cborHead()
	if !ok {
		return false
	}
	switch major {
	case cborUint:
		return t.scalar(kindUint, at, v)
	case cborNegative: // -1 - v
		if v > math.MaxInt64 {
			return t.fail(ErrNoCounterpart, at, "the integer -1-%d needs more than 64 bits: send it as text", v)
		}
		return t.scalar(kindInt, at, ^v)
	case cborBytes, cborText:
		k := kindBytes
		if major == cborText {
			k = kindText
		}
		if indefinite {
			return t.cborChunks(k, major, at)
		}
		from, to, ok := t.span(v)
		return ok && t.text(k, at, from, to, false)
	case cborArray, cborMap:
		k := kindArray
		if major == cborMap {
			k = kindObject
		}
		if indefinite {
			return t.cborEndless(k, at)
		}
		return t.elements(k, at, v, (*tape).cborValue)
	}
	return t.cborTagged(v, at, tags)
}

// cborEndless reads a list or map up to its break.
func (t *tape) cborEndless(k kind, offset int) bool {
	at := t.open(k, offset)
	if at < 0 {
		return false
	}
	for count := 0; ; count++ {
		if t.pos >= len(t.source) {
			return t.cutShort()
		}
		if t.source[t.pos] == cborBreak {
			t.pos++
			return t.close(at, count)
		}
		if k == kindObject && !t.key((*tape).cborValue) {
			return false
		}
		if !t.cborValue() {
			return false
		}
	}
}

// cborChunks reads a string that comes in chunks, each of which is a string of
// definite length.
func (t *tape) cborChunks(k kind, major byte, at int) bool {
	from := len(t.extra)
	for {
		if t.pos >= len(t.source) {
			return t.cutShort()
		}
		if t.source[t.pos] == cborBreak {
			t.pos++
			return t.text(k, at, from, len(t.extra), true)
		}
		offset := t.pos
		part, length, indefinite, ok := t.cborHead()
		if !ok {
			return false
		}
		if part != major || indefinite {
			return t.fail(ErrMalformed, offset, "a chunk of a string is no string of its kind")
		}
		begin, end, ok := t.span(length)
		if !ok {
			return false
		}
		t.extra = append(t.extra, t.source[begin:end]...)
	}
}

// cborTagged reads what a tag stands before.
func (t *tape) cborTagged(tag uint64, at, tags int) bool {
	if tags >= t.limits.Depth {
		return t.fail(ErrLimit, at, "more than %d tags before a value", t.limits.Depth)
	}
	if tag != 2 && tag != 3 {
		return t.cborItem(tags + 1)
	}
	index := len(t.nodes)
	if !t.cborItem(tags + 1) {
		return false
	}
	n := &t.nodes[index]
	if n.kind != kindBytes {
		return t.fail(ErrMalformed, at, "tag %d, a bignum, stands before %s, expected bytes", tag, kindNames[n.kind])
	}
	var v uint64
	b := t.bytes(n)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > 8 {
		return t.fail(ErrNoCounterpart, at, "a bignum of %d bytes: integers have 64 bits; send it as text", len(b))
	}
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	n.kind, n.bits, n.from, n.to = kindUint, v, 0, 0
	if tag == 3 {
		if v > math.MaxInt64 {
			return t.fail(ErrNoCounterpart, at, "the integer -1-%d needs more than 64 bits: send it as text", v)
		}
		n.kind, n.bits = kindInt, ^v
	}
	return true
}

// cborSimpleValue reads major type 7: simple values and floats.
func (t *tape) cborSimpleValue() bool {
	at := t.pos
	first, _ := t.take(1)
	switch first & 0x1f {
	case 20:
		return t.scalar(kindFalse, at, 0)
	case 21:
		return t.scalar(kindTrue, at, 0)
	case 22, 23: // null, undefined
		return t.scalar(kindNull, at, 0)
	case 24: // a simple value of two bytes
		v, ok := t.take(1)
		if !ok {
			return false
		}
		if v < 32 {
			return t.fail(ErrMalformed, at, "the simple value %d is written in two bytes", v)
		}
		return t.fail(ErrNoCounterpart, at, "the simple value %d has no meaning here", v)
	case 25:
		v, ok := t.take(2)
		return ok && t.scalar(kindFloat, at, math.Float64bits(fromHalf(uint16(v))))
	case 26:
		v, ok := t.take(4)
		return ok && t.scalar(kindFloat, at, math.Float64bits(float64(math.Float32frombits(uint32(v)))))
	case 27:
		v, ok := t.take(8)
		return ok && t.scalar(kindFloat, at, v)
	case 28, 29, 30:
		return t.fail(ErrMalformed, at, "the byte 0x%02x begins no item", first)
	case 31:
		return t.fail(ErrMalformed, at, "a break where nothing is to be ended")
	}
	return t.fail(ErrNoCounterpart, at, "the simple value %d has no meaning here", first&0x1f)
}

// fromHalf is a float of 16 bits (IEEE 754, binary16; RFC 8949, appendix D).
func fromHalf(h uint16) float64 {
	exponent, mantissa := int(h>>10&0x1f), float64(h&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		f = math.Inf(1)
		if mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if h&0x8000 != 0 {
		f = math.Copysign(f, -1)
	}
	return f
}
