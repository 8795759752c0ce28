package packet

// Suback is a SUBACK packet.
type Suback struct {
	ID         uint16
	Properties Properties
	// Reasons has one for each filter of the SUBSCRIBE, in its order. Decode reuses
	// the slice.
	Reasons []Code
}

// Decode reads one whole SUBACK, as Cut found it, and sets every field of s.
func (s *Suback) Decode(b []byte, v Version) error {
	*s = Suback{Reasons: s.Reasons[:0]}
	r := newReader(b, TypeSuback, v)
	s.ID = r.id()
	s.Properties = r.properties(TypeSuback, FromServer)
	codes := subackCodes
	if v != V5 {
		codes = suback311
	}
	s.Reasons = r.codes(s.Reasons, codes, "MQTT-3.9.3-2", "MQTT-3.9.3-2")
	return r.end()
}

// codes takes the rest of the packet as reason codes, each of which must be one of
// those allowed.
func (r *reader) codes(to []Code, allowed, s5, s311 string) []Code {
	if len(r.b) == 0 {
		r.fail(ProtocolError, "4.13.1", "4.8", "there is no reason code")
	}
	for r.m == nil && len(r.b) > 0 {
		c := Code(r.byte())
		if !c.oneOf(allowed) {
			r.fail(ProtocolError, s5, s311, "a reason code that this packet cannot have")
		}
		to = append(to, c)
	}
	return to
}

// AppendSuback adds s to dst. For 3.1.1 properties are left out and every failure
// is 0x80.
func AppendSuback(dst []byte, s *Suback, v Version) []byte {
	n := 2 + sizeProperties(s.Properties, v) + len(s.Reasons)
	if n > MaxRemaining {
		return dst
	}
	dst = appendUint16(appendVarint(append(dst, TypeSuback.first()), n), s.ID)
	dst = appendProperties(dst, s.Properties, v)
	for _, c := range s.Reasons {
		if v != V5 && c.Failed() {
			c = UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return dst
}
