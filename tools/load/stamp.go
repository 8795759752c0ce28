package load

import (
	"bytes"
	"encoding/binary"
)

// A stamp names a message and says when it was due. As bytes it is two
// big-endian words: publisher (14 bits), topic (14 bits) and number (36 bits, the
// top one marks a probe), then a check (16 bits) and the time (48 bits:
// nanoseconds since the run began, 0 where the message carries no time).
// In text it is the mark "w~" and the same bytes in lower-case hexadecimal,
// which any text format and JSON leave as they are.
type stamp struct {
	publisher, topic int
	number           uint64
	probe            bool
	time             int64
}

const (
	binaryStamp = 16
	textStamp   = len(stampMark) + 2*binaryStamp
	stampMark   = "w~"

	stampCheck = 0x5745 << 48
	timeMask   = 1<<48 - 1
	probeBit   = 1 << 35
	numberMask = probeBit - 1
	fieldMask  = 1<<14 - 1
)

func (s stamp) words() (id, when uint64) {
	id = uint64(s.publisher)<<50 | uint64(s.topic)<<36 | s.number&numberMask
	if s.probe {
		id |= probeBit
	}
	return id, stampCheck | uint64(s.time)&timeMask
}

func stampOf(id, when uint64) (s stamp, ok bool) {
	s = stamp{
		publisher: int(id >> 50), topic: int(id >> 36 & fieldMask),
		number: id & numberMask, probe: id&probeBit != 0, time: int64(when & timeMask),
	}
	return s, when&^timeMask == stampCheck
}

// put writes the stamp over the first bytes of b, as text or binary.
func (s stamp) put(b []byte, text bool) {
	id, when := s.words()
	if !text {
		binary.BigEndian.PutUint64(b, id)
		binary.BigEndian.PutUint64(b[8:], when)
		return
	}
	copy(b, stampMark)
	putHex(b[len(stampMark):], id)
	putHex(b[len(stampMark)+16:], when)
}

// stampReader finds the stamps in a stream of payloads. In text it expects each
// where the last one was and searches where it is not: a plugin may have
// rewritten the payload around it.
type stampReader struct {
	text  bool
	guess int
}

func (r *stampReader) read(payload []byte) (stamp, bool) {
	if !r.text {
		if len(payload) < binaryStamp {
			return stamp{}, false
		}
		return stampOf(binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:]))
	}
	at := r.guess
	if at+textStamp > len(payload) || payload[at] != stampMark[0] || payload[at+1] != stampMark[1] {
		at = bytes.Index(payload, []byte(stampMark))
		if at < 0 || at+textStamp > len(payload) {
			return stamp{}, false
		}
		r.guess = at
	}
	id, ok := getHex(payload[at+len(stampMark):])
	when, okToo := getHex(payload[at+len(stampMark)+16:])
	if !ok || !okToo {
		return stamp{}, false
	}
	return stampOf(id, when)
}

const hexDigits = "0123456789abcdef"

// putHex writes v as 16 hexadecimal digits.
func putHex(b []byte, v uint64) {
	_ = b[15]
	for i := 15; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

// getHex reads 16 lower-case hexadecimal digits.
func getHex(b []byte) (v uint64, ok bool) {
	_ = b[15]
	for _, c := range b[:16] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}
