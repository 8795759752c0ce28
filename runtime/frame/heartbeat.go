package frame

import (
	"bytes"

	"github.com/weftrun/weft/abi"
)

// beat is a compiled heartbeat.
type beat struct {
	conditions []patch
	empty      bool
	frame      []byte  // what weft sends; nil if it sends none
	mark       []patch // by which a heartbeat is known as weft's own
	answer     []patch
	answers    bool
}

// patch is the value of a field in the header.
type patch struct {
	offset int
	number number
	raw    uint64
}

func matches(patches []patch, header []byte) bool {
	for _, p := range patches {
		if p.number.read(header[p.offset:]) != p.raw {
			return false
		}
	}
	return true
}

// is tells whether a whole frame is a heartbeat by its conditions.
func (t *beat) is(b []byte, payload int) bool {
	return len(t.conditions) > 0 && (!t.empty || payload == 0) && matches(t.conditions, b)
}

// Heartbeat is the frame that weft sends to a silent connection, without a node
// or an attribute; ok is false if the format has no heartbeat. The frame is
// shared and must not be changed. For a heartbeat to one node, Append a message of
// type heartbeat with the node's attribute.
func (f *Format) Heartbeat() (frame []byte, ok bool) { return f.beat.frame, f.beat.frame != nil }

// AppendHeartbeatReply appends to dst the answer to m, a heartbeat as Decode returned
// it, and reports whether there is one. There is none for a message that is no
// heartbeat or has no Frame, and none for a heartbeat that is marked as the answer
// to weft's own: two sides that answer each other would never end.
func (f *Format) AppendHeartbeatReply(dst []byte, m *abi.Message) (longer []byte, ok bool) {
	if !f.beat.answers || m.Type != abi.TypeHeartbeat || len(m.Frame) < f.header+f.trailer || f.IsHeartbeatReply(m) {
		return dst, false
	}
	at := len(dst)
	dst = append(dst, m.Frame[:f.header]...)
	dst = append(dst, f.blankEnd...)
	out := dst[at:]
	for _, p := range f.beat.answer {
		p.number.write(out[p.offset:], p.raw)
	}
	var sizes [maxParts]int
	if fault := f.finish(out, &sizes); fault != nil {
		return dst[:at], false
	}
	return dst, true
}

// IsHeartbeatReply reports whether m, as Decode returned it, is the answer to the
// frame that Heartbeat gave: it keeps the connection alive and is nobody's
// message. In a format where an empty response is also that, it is true for every
// empty response; ask only if no request is outstanding.
func (f *Format) IsHeartbeatReply(m *abi.Message) bool {
	if f.beat.frame == nil || len(f.beat.mark) == 0 || len(m.Frame) < f.header {
		return false
	}
	if f.beat.empty && len(m.Payload) > 0 {
		return false
	}
	return matches(f.beat.mark, m.Frame)
}

// AsMessage gives m, a heartbeat as Decode returned it, the type that its frame has
// apart from that: it is for somebody else than weft. It leaves a frame whose type
// itself says heartbeat as it is, and answers false.
func (f *Format) AsMessage(m *abi.Message) bool {
	if m.Type != abi.TypeHeartbeat {
		return true
	}
	t := f.typ
	for i := range f.heads {
		if v := &f.heads[i]; v.types != nil {
			t = abi.Type(v.types.typeOf(v.number.read(m.Frame[v.offset:])) - 1)
		}
	}
	for i := range f.tails {
		if v := &f.tails[i]; v.types != nil {
			t = abi.Type(v.types.typeOf(v.number.read(m.Frame[len(m.Frame)-f.trailer+v.offset:])) - 1)
		}
	}
	if t == abi.TypeHeartbeat {
		return false
	}
	m.Type = t
	return true
}

// leading is the constants that a frame begins with, without a gap.
func leading(constants []fixed) []byte {
	var start []byte
	for _, c := range constants {
		if c.offset != len(start) {
			break
		}
		start = append(start, c.bytes...)
	}
	return bytes.Clone(start)
}
