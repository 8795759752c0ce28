package load

import (
	"encoding/binary"
	"net"
)

// shape recognises frames that look like one seen before: same total length,
// same place of the payload, and a header whose bytes are the same except where
// earlier frames of that shape already differed (a sequence field, the digits
// of a topic). A header that agrees in its length field has the same length, so
// the frame need not be parsed.
type shape struct {
	total, off, len int
	reach           int // bytes that a comparison reads
	values, masks   []uint64
	header          []byte
}

// known tells whether b begins with a whole frame of this shape.
func (s *shape) known(b []byte) bool {
	if s.total == 0 || len(b) < s.reach {
		return false
	}
	for i, mask := range s.masks {
		if (binary.LittleEndian.Uint64(b[8*i:])^s.values[i])&mask != 0 {
			return false
		}
	}
	return true
}

// learn takes over the shape of a frame that was parsed.
func (s *shape) learn(frame []byte, payload Span) {
	head := frame[:payload.Off]
	if s.total != len(frame) || s.off != payload.Off || s.len != payload.Len {
		words := (len(head) + 7) / 8
		*s = shape{
			total: len(frame), off: payload.Off, len: payload.Len, reach: max(len(frame), 8*words),
			values: make([]uint64, words), masks: make([]uint64, words), header: append([]byte(nil), head...),
		}
		for i, c := range head {
			s.values[i/8] |= uint64(c) << (8 * (i % 8))
			s.masks[i/8] |= 0xff << (8 * (i % 8))
		}
		return
	}
	for i, c := range head {
		if c != s.header[i] {
			s.masks[i/8] &^= 0xff << (8 * (i % 8))
		}
	}
}

// parser reads one frame at the start of b. n is 0 if more bytes are needed;
// message is false for a frame that is none (skip n bytes).
type parser func(b []byte) (payload Span, n int, message bool, err error)

// cutter is the Cutter of every protocol: a parser, spared where a shape is known.
type cutter struct {
	parse   parser
	shaped  bool // false: frames that end at a delimiter have no shape
	shape   shape
	replies []byte
	outcomes
}

// outcomes is what a server has told about messages sent, where a protocol has it.
type outcomes struct {
	acked   uint64 // the server is done with so many, whatever came of them
	refused uint64 // among them
	why     string // what the server said about the last one refused
}

func (o *outcomes) refuse(why string) {
	o.refused++
	o.why = why
}

// told implements telling.
func (o *outcomes) told() *outcomes { return o }

// telling is a Cutter that knows what became of messages sent.
type telling interface{ told() *outcomes }

// crediting is a protocol that bounds how many messages a publisher's connection may
// have unacknowledged; 0 for no bound.
type crediting interface{ Credit() uint64 }

// stampless is a protocol whose messages have no room for a stamp: Request mode alone
// can measure it.
type stampless interface{ Stampless() bool }

// opener is a protocol that puts something between itself and a connection, after TLS
// and before its handshake.
type opener interface {
	Open(conn net.Conn, p Peer) (net.Conn, error)
}

func (c *cutter) Cut(b []byte, spans []Span) ([]Span, int, error) {
	c.replies = c.replies[:0]
	at := 0
	for at < len(b) {
		for c.shape.known(b[at:]) {
			spans = append(spans, Span{at + c.shape.off, c.shape.len})
			at += c.shape.total
		}
		payload, n, message, err := c.parse(b[at:])
		if err != nil {
			return spans, at, err
		}
		if n == 0 {
			break
		}
		if message {
			if c.shaped {
				c.shape.learn(b[at:at+n], payload)
			}
			spans = append(spans, Span{at + payload.Off, payload.Len})
		}
		at += n
	}
	return spans, at, nil
}

func (c *cutter) Reply() []byte { return c.replies }
