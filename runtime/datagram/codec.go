package datagram

import (
	"errors"

	"github.com/weftrun/weft/abi"
)

// Codec is messages of this protocol in a row, as client.Stream takes and gives them:
// records with the plain header, in which the sequence is the request's id, 0 for
// none. The attribute "channel" is the channel.
type Codec struct {
	// Channel is that of messages without the attribute.
	Channel uint8
}

// Name is the protocol's name.
func (Codec) Name() string { return "mcp-dgram" }

// Text reports that payloads are bytes.
func (Codec) Text() bool { return false }

// Append encodes one message behind dst.
func (k Codec) Append(dst []byte, m *abi.Message) ([]byte, error) {
	if len(m.Payload) > MaxPayload {
		return dst, ErrTooLong
	}
	kind, id, channel := Event, uint32(0), k.Channel
	switch m.Type {
	case abi.TypeRequest:
		kind, id = Request, uint32(m.Seq)
	case abi.TypeResponse, abi.TypeAck:
		kind, id = Response, uint32(m.Seq)
	case abi.TypeHeartbeat:
		return dst, errors.New("datagram: the connection sends its heartbeats itself")
	}
	if number, ok := m.Attrs.Get("channel"); ok {
		n := 0
		for _, digit := range number {
			if n = 10*n + int(digit-'0'); digit < '0' || digit > '9' || n >= MaxChannels {
				return dst, errors.New("datagram: the attribute channel is no number from 0 to 255")
			}
		}
		channel = uint8(n)
	}
	return append(appendHeader(dst, id, channel, uint8(kind), len(m.Payload)), m.Payload...), nil
}

// Decode decodes the message at the front of b. n is 0 if it is not whole.
func (Codec) Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error) {
	h, ok := parse(b)
	if !ok {
		return 0, scratch, nil
	}
	*m = abi.Message{Seq: uint64(h.seq), Frame: b[:HeaderSize+h.size], Payload: b[HeaderSize : HeaderSize+h.size]}
	switch Kind(h.kind) {
	case Request:
		m.Type = abi.TypeRequest
	case Response:
		m.Type = abi.TypeResponse
	}
	if h.channel != 0 {
		start := len(scratch)
		var digits [3]byte
		text := digits[:0]
		for n, div := h.channel, uint8(100); div > 0; div /= 10 {
			if n >= div || len(text) > 0 {
				text = append(text, '0'+n/div)
			}
			n %= div
		}
		scratch = abi.Attributes(scratch).Append("channel", text)
		m.Attrs = scratch[start:len(scratch):len(scratch)]
	}
	return HeaderSize + h.size, scratch, nil
}

// AppendHeartbeatReply has nothing to do: connections answer heartbeats themselves.
func (Codec) AppendHeartbeatReply(dst []byte, _ *abi.Message) ([]byte, bool) { return dst, true }

// AppendRecord writes a message as Codec does.
func AppendRecord(dst []byte, m Message) []byte {
	return append(appendHeader(dst, m.ID, m.Channel, uint8(m.Kind), len(m.Payload)), m.Payload...)
}

// ParseRecord reads a message as AppendRecord writes it; size is 0 if it is not whole.
func ParseRecord(b []byte) (m Message, size int) {
	h, ok := parse(b)
	if !ok {
		return m, 0
	}
	size = HeaderSize + h.size
	return Message{ID: h.seq, HasID: h.seq != 0, Channel: h.channel, Kind: Kind(h.kind), Payload: b[HeaderSize:size:size]}, size
}
