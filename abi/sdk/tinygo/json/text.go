package json

import "unsafe"

// same tells whether the inside of a string means s.
func same(inside []byte, s string) bool {
	if string(inside) == s {
		return true
	}
	if !escaped(inside) {
		return false
	}
	b, ok := unescape(inside)
	return ok && string(b) == s
}

func escaped(inside []byte) bool {
	for _, c := range inside {
		if c == '\\' {
			return true
		}
	}
	return false
}

// valid tells whether the bytes are UTF-8. The language checks it: a byte that
// does not fit reads as U+FFFD and is one byte long.
func valid(b []byte) bool {
	for i, r := range unsafe.String(unsafe.SliceData(b), len(b)) {
		if r == '\uFFFD' && (i+3 > len(b) || string(b[i:i+3]) != "\uFFFD") {
			return false
		}
	}
	return true
}

// unescape is what the inside of a string means; false if it is no UTF-8.
func unescape(inside []byte) ([]byte, bool) {
	if !valid(inside) {
		return nil, false
	}
	if !escaped(inside) {
		return inside, true
	}
	out := make([]byte, 0, len(inside))
	for i := 0; i < len(inside); {
		if inside[i] != '\\' {
			out = append(out, inside[i])
			i++
			continue
		}
		c := peek(inside, i+1)
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex(inside, i)
			i += 4
			if r >= 0xd800 && r < 0xdc00 && peek(inside, i) == '\\' && peek(inside, i+1) == 'u' {
				if low := hex(inside, i+2); low >= 0xdc00 && low < 0xe000 {
					r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
					i += 6
				}
			}
			out = append(out, string(r)...) // half a pair becomes U+FFFD
		default:
			out = append(out, c)
		}
	}
	return out, true
}

// Quote appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func Quote(to []byte, s string) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			to = append(to, '\\', byte(r))
		case r == '\n':
			to = append(to, '\\', 'n')
		case r == '\r':
			to = append(to, '\\', 'r')
		case r == '\t':
			to = append(to, '\\', 't')
		case r < 0x20:
			to = append(to, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		case r < 0x80:
			to = append(to, byte(r))
		default:
			to = append(to, string(r)...)
		}
	}
	return append(to, '"')
}
