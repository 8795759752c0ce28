package packet

import "encoding/binary"

// reader takes the fields of a packet one by one. After the first fault it gives
// zeros, and m says what the fault was: a decoder reads all its fields and looks
// once. PUBLISH and the acknowledgements do without it.
type reader struct {
	b []byte
	t Type
	v Version
	m *Malformed
}

func newReader(b []byte, t Type, v Version) reader {
	rest, m := body(b, t, v)
	return reader{b: rest, t: t, v: v, m: m}
}

// fail notes a fault unless there is one already.
func (r *reader) fail(reason Code, s5, s311, text string) {
	if r.m == nil {
		r.m = refuse(r.t, r.v, reason, s5, s311, text)
		r.b = nil
	}
}

func (r *reader) short() {
	r.fail(MalformedPacket, "4.13.1", "4.8", "a field is missing or runs past the packet's end")
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.short()
		return 0
	}
	n := r.b[0]
	r.b = r.b[1:]
	return n
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.short()
		return 0
	}
	n := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return n
}

// bytes is a binary field: not nil, unless there was a fault.
func (r *reader) bytes() []byte {
	value, size := field(r.b)
	if size == 0 {
		r.short()
		return nil
	}
	r.b = r.b[size:]
	return value
}

// text is a string; s5 and s311 are the statements that ask for UTF-8 there.
func (r *reader) text(s5, s311, what string) []byte {
	value := r.bytes()
	if r.m == nil && !ValidString(value) {
		r.fail(MalformedPacket, s5, s311, what+" is not UTF-8 or has U+0000")
		return nil
	}
	return value
}

// id is a packet identifier.
func (r *reader) id() uint16 {
	n := r.uint16()
	if r.m == nil && n == 0 {
		r.fail(ProtocolError, "MQTT-2.2.1-3", "MQTT-2.3.1-1", "packet identifier 0")
	}
	return n
}

// properties is the property block of packet t; in 3.1.1 there is none.
func (r *reader) properties(t Type, from Side) Properties {
	if r.m != nil || r.v != V5 {
		return nil
	}
	p, rest, m := takeProperties(r.b, t, from)
	if m != nil {
		r.m, r.b = m, nil
		return nil
	}
	r.b = rest
	return p
}

// end is the fault of the packet, if there was one or if there are bytes left.
func (r *reader) end() error {
	if r.m == nil && len(r.b) > 0 {
		r.m = trailing(r.t, r.v)
	}
	if r.m != nil {
		return r.m
	}
	return nil
}
