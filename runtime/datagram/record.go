package datagram

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the length of a record's header: sequence (4 bytes), type (2: the
// channel, then the kind with its flags), length of what follows (2).
const HeaderSize = 8

// MaxPayload is the longest payload of one record.
const MaxPayload = 1<<16 - 1

// Kind says what a record is: the low four bits of its type.
type Kind uint8

// The kinds. A peer that speaks only the plain header knows the first four.
const (
	// Heartbeat keeps a connection alive, measures its round trip, opens and closes
	// it.
	Heartbeat Kind = 0
	// Request is a message that may be answered.
	Request Kind = 1
	// Response answers a request.
	Response Kind = 2
	// Ack says what has arrived on its channel.
	Ack Kind = 3
	// Event is a message that nobody answers. To a plain peer it is a Request.
	Event Kind = 4
)

// Flags of a record, the high four bits of its type's low byte. Only peers that
// have shaken hands in full use them.
const (
	flagID   = 0x10 // the payload begins with a request's id (4 bytes)
	flagMore = 0x20 // the message goes on in the channel's next record
	kindMask = 0x0f
)

// ErrMalformed is a datagram that is no whole number of records.
var ErrMalformed = errors.New("datagram: not a whole number of records")

// header is a record's header.
type header struct {
	seq     uint32
	channel uint8
	kind    uint8 // with flags
	size    int   // of the payload
}

// parse reads the header of the record at the front of b and checks that its
// payload is there too.
func parse(b []byte) (h header, ok bool) {
	if len(b) < HeaderSize {
		return h, false
	}
	word := binary.BigEndian.Uint64(b)
	h = header{seq: uint32(word >> 32), channel: uint8(word >> 24), kind: uint8(word >> 16), size: int(uint16(word))}
	return h, HeaderSize+h.size <= len(b)
}

// appendHeader writes a record's header behind dst.
func appendHeader(dst []byte, seq uint32, channel, kind uint8, size int) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(seq)<<32|uint64(channel)<<24|uint64(kind)<<16|uint64(size))
}

// before tells whether sequence a comes before b, as both go round at 2^32.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// Message is what a connection carries: one record, or several that belong
// together.
type Message struct {
	// Seq is the sequence of its last record on its channel.
	Seq uint32
	// ID is the request that a message is about, if HasID: of a request the name that
	// its answer shall use, of a response the request that it answers. A request
	// without one is named by its Seq.
	ID      uint32
	HasID   bool
	Channel uint8
	Kind    Kind
	Payload []byte
	// Receipt is what Conn.Settle wants to be told of a message that was received; not
	// 0, and different for all that are not settled.
	Receipt uint32
}
