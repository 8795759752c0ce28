package codec

import "encoding/binary"

// take reads so many bytes of the source as an integer, big-endian; n is 1, 2, 4
// or 8.
func (t *tape) take(n int) (v uint64, ok bool) {
	if len(t.source)-t.pos < n {
		return 0, t.cutShort()
	}
	b := t.source[t.pos:]
	t.pos += n
	switch n {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true
	}
	return binary.BigEndian.Uint64(b), true
}

// span skips n bytes of the source; n comes from the payload.
func (t *tape) span(n uint64) (from, to int, ok bool) {
	if n > uint64(len(t.source)-t.pos) {
		return 0, 0, t.fail(ErrMalformed, t.pos, "%d bytes are announced, %d are left", n, len(t.source)-t.pos)
	}
	from = t.pos
	t.pos += int(n)
	return from, t.pos, true
}

// fits checks a count of values of at least so many bytes each against what is
// left.
func (t *tape) fits(count, each uint64, offset int) bool {
	if left := uint64(len(t.source) - t.pos); count > left/each {
		return t.fail(ErrMalformed, offset, "%d elements are announced, %d bytes are left", count, left)
	}
	return true
}

// readAll reads one value by next, and nothing after it.
func (t *tape) readAll(next func(*tape) bool) bool {
	if len(t.source) == 0 {
		return t.fail(ErrMalformed, 0, "the payload is empty, expected a value")
	}
	if !next(t) {
		return false
	}
	if left := len(t.source) - t.pos; left > 0 {
		return t.fail(ErrMalformed, t.pos, "%d bytes after the end of the value", left)
	}
	return true
}

// elements reads the count elements of a list, or pairs of a map, by next.
func (t *tape) elements(k kind, offset int, count uint64, next func(*tape) bool) bool {
	each := uint64(1)
	if k == kindObject {
		each = 2
	}
	if !t.fits(count, each, offset) {
		return false
	}
	at := t.open(k, offset)
	if at < 0 {
		return false
	}
	for range count {
		if k == kindObject && !t.key(next) {
			return false
		}
		if !next(t) {
			return false
		}
	}
	return t.close(at, int(count))
}

var kindNames = [...]string{
	kindNull: "null", kindFalse: "a boolean", kindTrue: "a boolean", kindInt: "an integer", kindUint: "an integer", kindFloat: "a float",
	kindNumber: "a number", kindText: "text", kindBytes: "bytes", kindArray: "a list", kindObject: "a map",
}

// key reads a key of a map, which must be text.
func (t *tape) key(next func(*tape) bool) bool {
	at, offset := len(t.nodes), t.pos
	if !next(t) {
		return false
	}
	if k := t.nodes[at].kind; k != kindText {
		t.nodes = t.nodes[:at]
		return t.fail(ErrNoCounterpart, offset, "a map has %s as a key: only text is converted, so write the keys as text", kindNames[k])
	}
	return true
}
