package main

// read is what an argument means.
func read(word string) []byte {
	switch {
	case word == "-":
		return nil
	case len(word) >= 2 && word[:2] == "0x":
		b := make([]byte, 0, len(word)/2)
		for i := 2; i+1 < len(word); i += 2 {
			b = append(b, nibble(word[i])<<4|nibble(word[i+1]))
		}
		return b
	case word != "" && word[0] == '*':
		b := make([]byte, unsigned(word[1:]))
		for i := range b {
			b[i] = 'a' + byte(i%26)
		}
		return b
	}
	return []byte(word)
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// write appends bytes to a report.
func write(to, b []byte) []byte {
	if len(b) == 0 {
		return append(to, '-')
	}
	plain := b[0] != '-' && b[0] != '*' && b[0] != '!' && (len(b) < 2 || string(b[:2]) != "0x")
	for _, c := range b {
		plain = plain && c >= 0x21 && c <= 0x7e
	}
	if plain {
		return append(to, b...)
	}
	return hex(append(to, '0', 'x'), b)
}

func hex(to, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		to = append(to, digits[c>>4], digits[c&15])
	}
	return to
}

func decimal(n uint64) []byte {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = '0' + byte(n%10)
		if n /= 10; n == 0 {
			return append([]byte(nil), b[i:]...)
		}
	}
}

func unsigned(word string) (n uint64) {
	if word == "" {
		panic("expected a number")
	}
	for _, c := range []byte(word) {
		if c < '0' || c > '9' {
			panic("expected a number, found " + word)
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

func signed(word string) int64 {
	if word != "" && word[0] == '-' {
		return -int64(unsigned(word[1:]))
	}
	return int64(unsigned(word))
}

// cut is the text before the first separator and behind it.
func cut(s string, separator byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == separator {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
