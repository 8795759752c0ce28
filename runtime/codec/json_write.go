package codec

import (
	"encoding/base64"
	"math"
	"strconv"
)

// writer appends a tape in the form of one codec.
type writer struct {
	tape  *tape
	dst   []byte
	most  int // bytes that dst may have
	codec Codec
}

// full is the error about too large a result, nil while it is not.
func (w *writer) full(at int) *Error {
	if len(w.dst) <= w.most {
		return nil
	}
	e := w.tape.refuse(at, w.codec, "the result is larger than %d bytes", w.tape.limits.Size)
	e.Kind = ErrLimit
	return e
}

// json writes the value at index at, without white space.
func (w *writer) json(at int) *Error {
	n := &w.tape.nodes[at]
	switch n.kind {
	case kindNull:
		w.dst = append(w.dst, "null"...)
	case kindFalse:
		w.dst = append(w.dst, "false"...)
	case kindTrue:
		w.dst = append(w.dst, "true"...)
	case kindInt, kindUint, kindFloat, kindNumber:
		if err := w.jsonNumber(at, n); err != nil {
			return err
		}
	case kindText:
		w.dst = appendJSONText(w.dst, w.tape.bytes(n))
	case kindBytes:
		w.dst = append(w.dst, '"')
		w.dst = base64.StdEncoding.AppendEncode(w.dst, w.tape.bytes(n))
		w.dst = append(w.dst, '"')
	case kindArray:
		return w.jsonArray(at, int(n.next))
	case kindObject:
		return w.jsonObject(at, int(n.next))
	}
	return w.full(at)
}

func (w *writer) jsonArray(at, end int) *Error {
	w.dst = append(w.dst, '[')
	for i := at + 1; i < end; i = int(w.tape.nodes[i].next) {
		if i > at+1 {
			w.dst = append(w.dst, ',')
		}
		if err := w.json(i); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, ']')
	return w.full(at)
}

func (w *writer) jsonObject(at, end int) *Error {
	w.dst = append(w.dst, '{')
	for i := at + 1; i < end; i = int(w.tape.nodes[i+1].next) {
		if i > at+1 {
			w.dst = append(w.dst, ',')
		}
		w.dst = appendJSONText(w.dst, w.tape.bytes(&w.tape.nodes[i]))
		w.dst = append(w.dst, ':')
		if err := w.json(i + 1); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return w.full(at)
}

func (w *writer) jsonNumber(at int, n *node) *Error {
	if n.to > n.from { // a literal of JSON
		w.dst = append(w.dst, w.tape.bytes(n)...)
		return nil
	}
	switch n.kind {
	case kindInt:
		w.dst = strconv.AppendInt(w.dst, int64(n.bits), 10)
	case kindUint:
		w.dst = strconv.AppendUint(w.dst, n.bits, 10)
	default:
		f := math.Float64frombits(n.bits)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return w.tape.refuse(at, w.codec, "%v is no number of JSON: send null or leave it out", f)
		}
		w.dst = appendJSONFloat(w.dst, f)
	}
	return nil
}

// appendJSONFloat writes the shortest text that reads back as the same float, in
// the form of ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20), but for whole
// numbers beyond 2^53: their shortest digits would read back as another integer, so
// they get an exponent.
func appendJSONFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1<<53) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if format == 'e' { // e-09 is e-9
		if n := len(dst); n-start >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendJSONText quotes text that is UTF-8.
func appendJSONText(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}
