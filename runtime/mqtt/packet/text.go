package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// ValidString tells whether b can be a UTF-8 string of MQTT: at most 65,535 bytes
// of well-formed UTF-8 (no surrogates), without U+0000 [MQTT-1.5.4-1, -2].
func ValidString(b []byte) bool {
	plain, _ := scan(b)
	return len(b) <= 0xFFFF && (plain || utf8.Valid(b) && bytes.IndexByte(b, 0) < 0)
}

// ValidTopic tells whether b can be published to: a string that is not empty and
// has no wildcard [MQTT-3.3.2-2, MQTT-4.7.3-1].
func ValidTopic(b []byte) bool {
	plain, wild := scan(b)
	return len(b) > 0 && len(b) <= 0xFFFF && !wild && (plain || utf8.Valid(b) && bytes.IndexByte(b, 0) < 0)
}

// ValidFilter tells whether b can be subscribed to: a string that is not empty, in
// which '+' is a level of its own and '#' is the last level [MQTT-4.7.1-1, -2].
// It does not look at $share; see ParseShare.
func ValidFilter(b []byte) bool {
	return len(b) > 0 && filterFault(b) == 0 && ValidString(b)
}

// filterFault is the first wildcard in b that is not where it may be, 0 if there
// is none.
func filterFault(b []byte) byte {
	for i, c := range b {
		if c != '+' && c != '#' {
			continue
		}
		last := i+1 == len(b)
		if i > 0 && b[i-1] != '/' || !last && (c == '#' || b[i+1] != '/') {
			return c
		}
	}
	return 0
}

const sharePrefix = "$share/"

// ParseShare takes $share/GROUP/FILTER apart (MQTT 5.0, section 4.8.2). shared
// tells that filter begins with $share/; ok that it is well-formed: GROUP is not
// empty and has no wildcard, FILTER is valid. Where shared is false the filter is
// an ordinary one, and rest is all of it. A decoder has checked it for 5.0; 3.1.1
// does not know it, and there it may be anything.
func ParseShare(filter []byte) (group, rest []byte, shared, ok bool) {
	if !bytes.HasPrefix(filter, []byte(sharePrefix)) {
		return nil, filter, false, true
	}
	group, rest, _ = bytes.Cut(filter[len(sharePrefix):], []byte{'/'})
	ok = len(group) > 0 && bytes.IndexByte(group, '+') < 0 && bytes.IndexByte(group, '#') < 0 && ValidFilter(rest)
	return group, rest, true, ok
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scan tells whether b is ASCII without a zero byte, and whether it has one of
// MQTT's wildcards. It looks at eight bytes at a time; the last eight may have
// been looked at already.
func scan(b []byte) (plain, wild bool) {
	var odd, joker uint64
	if len(b) < 8 {
		odd, joker = scanWord(short(b), 0, 0)
		return odd == 0, joker != 0
	}
	last := binary.LittleEndian.Uint64(b[len(b)-8:])
	for ; len(b) > 8; b = b[8:] {
		odd, joker = scanWord(binary.LittleEndian.Uint64(b), odd, joker)
	}
	odd, joker = scanWord(last, odd, joker)
	return odd == 0, joker != 0
}

// short is a word with the bytes of b, at most 7, and letters.
func short(b []byte) uint64 {
	word := uint64(ones * 'a')
	for _, c := range b {
		word = word<<8 | uint64(c)
	}
	return word
}

// scanWord adds to odd if a byte of the word is 0 or not ASCII, to joker if one is
// a wildcard. '#' and '+' differ in one bit. Taking one from each byte sets the
// highest bit of those that are 0, and of those above them at most.
func scanWord(x, odd, joker uint64) (uint64, uint64) {
	y := x&^(ones*0x08) ^ ones*'#'
	return odd | (x|(x-ones))&highs, joker | (y-ones)&^y&highs
}
