package codec

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// readJSON reads one JSON text (RFC 8259), and nothing after it.
func (t *tape) readJSON() bool {
	t.space()
	if t.pos == len(t.source) {
		return t.fail(ErrMalformed, t.pos, "the payload is empty, expected a JSON value")
	}
	if !t.jsonValue() {
		return false
	}
	if t.space(); t.pos < len(t.source) {
		return t.fail(ErrMalformed, t.pos, "%s after the end of the value", t.found())
	}
	return true
}

func (t *tape) space() {
	for t.pos < len(t.source) {
		switch t.source[t.pos] {
		case ' ', '\t', '\r', '\n':
			t.pos++
		default:
			return
		}
	}
}

// found is what stands at the reader's place, for errors.
func (t *tape) found() string {
	if t.pos >= len(t.source) {
		return "the end"
	}
	if r, size := utf8.DecodeRune(t.source[t.pos:]); r != utf8.RuneError || size > 1 {
		return "found " + strconv.QuoteRuneToASCII(r)
	}
	return "found the byte 0x" + strconv.FormatUint(uint64(t.source[t.pos]), 16)
}

func (t *tape) jsonValue() bool {
	if t.pos >= len(t.source) {
		return t.cutShort()
	}
	at := t.pos
	switch c := t.source[at]; {
	case c == '{':
		return t.jsonObject()
	case c == '[':
		return t.jsonArray()
	case c == '"':
		return t.jsonString()
	case c == '-' || c >= '0' && c <= '9':
		return t.jsonNumber()
	case c == 't':
		return t.jsonWord("true") && t.scalar(kindTrue, at, 0)
	case c == 'f':
		return t.jsonWord("false") && t.scalar(kindFalse, at, 0)
	case c == 'n':
		return t.jsonWord("null") && t.scalar(kindNull, at, 0)
	}
	return t.fail(ErrMalformed, at, "%s, expected a JSON value", t.found())
}

func (t *tape) jsonWord(word string) bool {
	rest := t.source[t.pos:]
	for i := range len(word) {
		if i >= len(rest) {
			return t.cutShort()
		}
		if rest[i] != word[i] {
			t.pos += i
			return t.fail(ErrMalformed, t.pos, "%s, expected %s", t.found(), word)
		}
	}
	t.pos += len(word)
	return true
}

// jsonNext reads the comma or the end of a list or map.
func (t *tape) jsonNext(end byte, first bool) (more, ok bool) {
	t.space()
	if t.pos >= len(t.source) {
		return false, t.cutShort()
	}
	c := t.source[t.pos]
	if c == end {
		t.pos++
		return false, true
	}
	if first {
		return true, true
	}
	if c != ',' {
		return false, t.fail(ErrMalformed, t.pos, "%s, expected ',' or '%c'", t.found(), end)
	}
	t.pos++
	t.space()
	return true, true
}

func (t *tape) jsonArray() bool {
	at := t.open(kindArray, t.pos)
	if at < 0 {
		return false
	}
	t.pos++
	for count := 0; ; count++ {
		more, ok := t.jsonNext(']', count == 0)
		if !ok {
			return false
		}
		if !more {
			return t.close(at, count)
		}
		if !t.jsonValue() {
			return false
		}
	}
}

func (t *tape) jsonObject() bool {
	at := t.open(kindObject, t.pos)
	if at < 0 {
		return false
	}
	t.pos++
	for count := 0; ; count++ {
		more, ok := t.jsonNext('}', count == 0)
		if !ok {
			return false
		}
		if !more {
			return t.close(at, count)
		}
		if t.pos >= len(t.source) {
			return t.cutShort()
		}
		if t.source[t.pos] != '"' {
			return t.fail(ErrMalformed, t.pos, "%s, expected a key in quotes", t.found())
		}
		if !t.jsonString() {
			return false
		}
		if t.space(); t.pos >= len(t.source) {
			return t.cutShort()
		}
		if t.source[t.pos] != ':' {
			return t.fail(ErrMalformed, t.pos, "%s, expected ':' after a key", t.found())
		}
		t.pos++
		t.space()
		if !t.jsonValue() {
			return false
		}
	}
}

func (t *tape) jsonString() bool {
	begin := t.pos
	for i := begin + 1; i < len(t.source); i++ {
		switch c := t.source[i]; {
		case c == '"':
			t.pos = i + 1
			return t.text(kindText, begin, begin+1, i, false)
		case c == '\\':
			return t.jsonEscaped(begin, i)
		case c < ' ':
			return t.fail(ErrMalformed, i, "the control character 0x%02x in a string: write \\u%04x", c, c)
		}
	}
	return t.cutShort()
}

// jsonEscaped reads a string whose first escape stands at i.
func (t *tape) jsonEscaped(begin, i int) bool {
	from := len(t.extra)
	t.extra = append(t.extra, t.source[begin+1:i]...)
	for i < len(t.source) {
		switch c := t.source[i]; {
		case c == '"':
			t.pos = i + 1
			return t.text(kindText, begin, from, len(t.extra), true)
		case c < ' ':
			return t.fail(ErrMalformed, i, "the control character 0x%02x in a string: write \\u%04x", c, c)
		case c != '\\':
			t.extra = append(t.extra, c)
			i++
		default:
			used := t.jsonEscape(i)
			if used == 0 {
				return false
			}
			i += used
		}
	}
	return t.cutShort()
}

// jsonEscape reads the escape at i and returns its length, 0 if it is none.
func (t *tape) jsonEscape(i int) int {
	if i+1 >= len(t.source) {
		t.cutShort()
		return 0
	}
	c := t.source[i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return t.jsonUnicode(i)
	default:
		t.fail(ErrMalformed, i, `%q after '\' in a string is no escape`, rune(c))
		return 0
	}
	t.extra = append(t.extra, c)
	return 2
}

func (t *tape) jsonUnicode(i int) int {
	r, ok := t.hex4(i)
	if !ok {
		return 0
	}
	used := 6
	if utf16.IsSurrogate(r) {
		low, ok := rune(0), false
		if i+7 < len(t.source) && t.source[i+6] == '\\' && t.source[i+7] == 'u' {
			if low, ok = t.hex4(i + 6); !ok {
				return 0
			}
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			t.fail(ErrMalformed, i, "half of a surrogate pair stands alone")
			return 0
		}
		used = 12
	}
	t.extra = utf8.AppendRune(t.extra, r)
	return used
}

// hex4 reads the four digits of the escape \u at i.
func (t *tape) hex4(i int) (r rune, ok bool) {
	if i+6 > len(t.source) {
		return 0, t.cutShort()
	}
	for _, c := range t.source[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, t.fail(ErrMalformed, i, `\u needs four hexadecimal digits`)
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// digits skips digits and fails where there is none.
func (t *tape) digits() bool {
	begin := t.pos
	for t.pos < len(t.source) && t.source[t.pos]-'0' <= 9 {
		t.pos++
	}
	if t.pos == begin {
		if t.pos == len(t.source) {
			return t.cutShort()
		}
		return t.fail(ErrMalformed, t.pos, "%s in a number, expected a digit", t.found())
	}
	return true
}

func (t *tape) jsonNumber() bool {
	begin := t.pos
	negative := t.source[begin] == '-'
	if negative {
		t.pos++
	}
	first := t.pos
	if !t.digits() {
		return false
	}
	if t.source[first] == '0' && t.pos > first+1 {
		return t.fail(ErrMalformed, first, "a number begins with 0")
	}
	whole := true
	if t.pos < len(t.source) && t.source[t.pos] == '.' {
		t.pos++
		whole = false
		if !t.digits() {
			return false
		}
	}
	if t.pos < len(t.source) && t.source[t.pos]|0x20 == 'e' {
		t.pos++
		whole = false
		if t.pos < len(t.source) && (t.source[t.pos] == '+' || t.source[t.pos] == '-') {
			t.pos++
		}
		if !t.digits() {
			return false
		}
	}
	n := t.add(kindNumber, begin)
	if n == nil {
		return false
	}
	n.from, n.to = int32(begin), int32(t.pos)
	n.number(t.source[begin:t.pos], whole, negative)
	return true
}

// number finds the kind that holds what the literal says. A whole number beyond
// 64 bits is a float only if no digit is lost by it.
func (n *node) number(literal []byte, whole, negative bool) {
	if whole && len(literal) <= 20 {
		if !negative {
			if u, err := strconv.ParseUint(string(literal), 10, 64); err == nil {
				n.kind, n.bits = kindUint, u
				return
			}
		} else if i, err := strconv.ParseInt(string(literal), 10, 64); err == nil && i != 0 {
			n.kind, n.bits = kindInt, uint64(i)
			return
		}
	}
	f, err := strconv.ParseFloat(string(literal), 64)
	if err != nil {
		return
	}
	if whole && f != 0 {
		var room [320]byte
		if exact := strconv.AppendFloat(room[:0], f, 'f', 0, 64); string(exact) != string(literal) {
			return
		}
	}
	n.kind, n.bits = kindFloat, math.Float64bits(f)
}
