package json

// The scanners give the offset behind what they read, or the complement of the
// offset of the first byte that does not fit.

func space(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\n' || b[at] == '\r' || b[at] == '\t') {
		at++
	}
	return at
}

// peek is the byte at an offset, 0 behind the end.
func peek(b []byte, at int) byte {
	if at < len(b) {
		return b[at]
	}
	return 0
}

// skip passes the value that begins at at. It goes into arrays and objects
// without calling itself: one bit for each level says which of the two it is.
func skip(b []byte, at int) int {
	var objects [MaxDepth / 64]uint64
	depth := 0
	for {
		switch c := peek(b, at); {
		case c == '{' || c == '[':
			if depth == MaxDepth {
				return ^at
			}
			word, bit := &objects[depth/64], uint64(1)<<(depth%64)
			depth++
			at = space(b, at+1)
			switch {
			case c == '{' && peek(b, at) == '}', c == '[' && peek(b, at) == ']':
				at++
				depth--
			case c == '{':
				*word |= bit
				if at = key(b, at); at < 0 {
					return at
				}
				continue
			default:
				*word &^= bit
				continue
			}
		default:
			if at = scalar(b, at); at < 0 {
				return at
			}
		}
		// A value has ended: close what ends with it, or go on behind a comma.
		for closing := true; closing; {
			if depth == 0 {
				return at
			}
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			at = space(b, at)
			switch c := peek(b, at); {
			case c == ',':
				at = space(b, at+1)
				if object {
					at = key(b, at)
				}
				if at < 0 {
					return at
				}
				closing = false
			case object && c == '}', !object && c == ']':
				at++
				depth--
			default:
				return ^at
			}
		}
	}
}

// key passes the key that begins at at, up to its value.
func key(b []byte, at int) int {
	if at = quoted(b, at); at < 0 {
		return at
	}
	if at = space(b, at); peek(b, at) != ':' {
		return ^at
	}
	return space(b, at+1)
}

// scalar passes a string, a number or a word.
func scalar(b []byte, at int) int {
	switch c := peek(b, at); {
	case c == '"':
		return quoted(b, at)
	case c == '-', c >= '0' && c <= '9':
		return number(b, at)
	case c == 't':
		return word(b, at, "true")
	case c == 'f':
		return word(b, at, "false")
	case c == 'n':
		return word(b, at, "null")
	}
	return ^at
}

func word(b []byte, at int, want string) int {
	if end := at + len(want); end <= len(b) && string(b[at:end]) == want {
		return end
	}
	return ^at
}

func number(b []byte, at int) int {
	if b[at] == '-' {
		at++
	}
	first := at
	if at = digits(b, at); at < 0 {
		return at
	}
	if b[first] == '0' && at > first+1 {
		return ^(first + 1)
	}
	if peek(b, at) == '.' {
		if at = digits(b, at+1); at < 0 {
			return at
		}
	}
	if c := peek(b, at); c == 'e' || c == 'E' {
		if c := peek(b, at+1); c == '+' || c == '-' {
			at++
		}
		at = digits(b, at+1)
	}
	return at
}

func digits(b []byte, at int) int {
	from := at
	for at < len(b) && b[at] >= '0' && b[at] <= '9' {
		at++
	}
	if at == from {
		return ^at
	}
	return at
}

// quoted passes the string that begins at at, with its quotes.
func quoted(b []byte, at int) int {
	if peek(b, at) != '"' {
		return ^at
	}
	for at++; at < len(b); {
		switch c := b[at]; {
		case c == '"':
			return at + 1
		case c < 0x20:
			return ^at
		case c != '\\':
			at++
		default:
			n := escape(b, at)
			if n == 0 {
				return ^at
			}
			at += n
		}
	}
	return ^at
}

// escape is the length of the escape at at, 0 for none.
func escape(b []byte, at int) int {
	switch peek(b, at+1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex(b, at+2) >= 0 {
			return 6
		}
	}
	return 0
}

// hex is the number that the four digits at at mean, -1 if they are none.
func hex(b []byte, at int) rune {
	if at+4 > len(b) {
		return -1
	}
	var n rune
	for _, c := range b[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
