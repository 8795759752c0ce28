package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// utf8State checks text that arrives in parts. The zero value is the state between
// two characters.
type utf8State struct {
	left     uint8 // continuation bytes that are still to come
	low, top uint8 // bounds of the next one
}

// check tells whether b, behind what came before, is the beginning of valid UTF-8
// (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF). It is wrong
// at the first byte that cannot be.
func (s *utf8State) check(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) > 0 {
		if s.left == 0 {
			for len(b) >= 8 && binary.LittleEndian.Uint64(b)&high == 0 {
				b = b[8:]
			}
			if len(b) == 0 {
				break
			}
			if b[0] >= 0x80 && !s.lead(b[0]) {
				return false
			}
			b = b[1:]
			continue
		}
		if b[0] < s.low || b[0] > s.top {
			return false
		}
		s.left, s.low, s.top = s.left-1, 0x80, 0xBF
		b = b[1:]
	}
	return true
}

// lead takes the first byte of a character of several.
func (s *utf8State) lead(c byte) bool {
	s.low, s.top = 0x80, 0xBF
	switch {
	case c >= 0xC2 && c <= 0xDF:
		s.left = 1
	case c >= 0xE0 && c <= 0xEF:
		s.left = 2
		switch c {
		case 0xE0:
			s.low = 0xA0
		case 0xED:
			s.top = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		s.left = 3
		switch c {
		case 0xF0:
			s.low = 0x90
		case 0xF4:
			s.top = 0x8F
		}
	default:
		return false
	}
	return true
}

// whole tells whether no character is cut.
func (s *utf8State) whole() bool { return s.left == 0 }

// IsText tells whether b can be a text message.
func IsText(b []byte) bool { return utf8.Valid(b) }
