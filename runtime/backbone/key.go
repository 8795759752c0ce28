package backbone

import (
	"fmt"
	"strings"
)

// KeyMax is how many bytes a key of a bucket may have.
const KeyMax = 1024

const upperHex = "0123456789ABCDEF"

// subjectOfKey writes a key as the end of a subject, whatever bytes it has. Letters,
// digits, - and _ stand for themselves; a slash between two other bytes is a dot, so
// that prefixes which end there are found by the server; everything else is = and two
// hexadecimal digits. No two keys have one spelling.
func subjectOfKey(key string) string { return spellKey(key, len(key)) }

// spellKey spells the first n bytes of a key.
func spellKey(key string, n int) string {
	var b strings.Builder
	b.Grow(n + 8)
	for i := range n {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		case c == '/' && i > 0 && i < len(key)-1 && key[i-1] != '/':
			b.WriteByte('.')
		default:
			b.WriteByte('=')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// keyOfSubject reads what subjectOfKey wrote; false if somebody else wrote it.
func keyOfSubject(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '.':
			b.WriteByte('/')
		case '=':
			if i+2 >= len(s) {
				return "", false
			}
			high, low := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	key := b.String()
	return key, subjectOfKey(key) == s
}

// filters are the ends of subjects among which all keys with the prefix are; others
// may be too.
func filters(prefix string) []string {
	// With something behind it a prefix is spelled as if it went on.
	spelled := spellKey(prefix+"x", len(prefix))
	cut := strings.LastIndexByte(spelled, '.')
	if cut < 0 {
		return []string{">"}
	}
	list := []string{spelled[:cut+1] + ">"}
	if whole := subjectOfKey(prefix); !strings.HasPrefix(whole, spelled[:cut+1]) {
		list = append(list, whole)
	}
	return list
}

func checkKey(key string) error {
	if key == "" || len(key) > KeyMax {
		return fmt.Errorf("%w: %d bytes, it has 1 to %d", ErrKey, len(key), KeyMax)
	}
	return nil
}
