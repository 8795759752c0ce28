package backbone

import "strings"

// token writes any text as one token of a subject and as part of a stream's name:
// letters, digits and "-" stay, other bytes become "_" and two hexadecimal digits.
// Two texts never have the same token.
func token(text string) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			s.WriteByte(c)
		default:
			s.WriteByte('_')
			s.WriteByte(digits[c>>4])
			s.WriteByte(digits[c&15])
		}
	}
	return s.String()
}
