package packet

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	ID         uint16
	Properties Properties
	// Filters has at least one. Decode reuses the slice; filters alias the input.
	Filters [][]byte
}

// Decode reads one whole UNSUBSCRIBE, as Cut found it, and sets every field of u.
// A packet of n bytes gives at most n/3 filters.
func (u *Unsubscribe) Decode(b []byte, v Version) error {
	*u = Unsubscribe{Filters: u.Filters[:0]}
	r := newReader(b, TypeUnsubscribe, v)
	u.ID = r.id()
	u.Properties = r.properties(TypeUnsubscribe, FromClient)
	if len(r.b) == 0 {
		r.fail(ProtocolError, "MQTT-3.10.3-2", "MQTT-3.10.3-2", "there is no topic filter")
	}
	for r.m == nil && len(r.b) > 0 {
		u.Filters = append(u.Filters, r.filter())
	}
	return r.end()
}

// AppendUnsubscribe adds u to dst. Properties are left out for 3.1.1. A filter of
// more than 65,535 bytes adds nothing at all.
func AppendUnsubscribe(dst []byte, u *Unsubscribe, v Version) []byte {
	n := 2 + sizeProperties(u.Properties, v)
	for _, filter := range u.Filters {
		n += 2 + len(filter)
		if len(filter) > 0xFFFF {
			return dst
		}
	}
	if n > MaxRemaining {
		return dst
	}
	dst = appendUint16(appendVarint(append(dst, TypeUnsubscribe.first()), n), u.ID)
	dst = appendProperties(dst, u.Properties, v)
	for _, filter := range u.Filters {
		dst = appendBytes(dst, filter)
	}
	return dst
}

// Unsuback is an UNSUBACK packet.
type Unsuback struct {
	ID         uint16
	Properties Properties
	// Reasons has one for each filter of the UNSUBSCRIBE, in its order; 3.1.1 has
	// none. Decode reuses the slice.
	Reasons []Code
}

// Decode reads one whole UNSUBACK, as Cut found it, and sets every field of u.
func (u *Unsuback) Decode(b []byte, v Version) error {
	*u = Unsuback{Reasons: u.Reasons[:0]}
	r := newReader(b, TypeUnsuback, v)
	u.ID = r.id()
	u.Properties = r.properties(TypeUnsuback, FromServer)
	if v == V5 {
		u.Reasons = r.codes(u.Reasons, unsubackCodes, "MQTT-3.11.3-2", "")
	}
	return r.end()
}

// AppendUnsuback adds u to dst. For 3.1.1 properties and reasons are left out.
func AppendUnsuback(dst []byte, u *Unsuback, v Version) []byte {
	if v != V5 {
		return appendUint16(append(dst, TypeUnsuback.first(), 2), u.ID)
	}
	n := 2 + sizeProperties(u.Properties, v) + len(u.Reasons)
	if n > MaxRemaining {
		return dst
	}
	dst = appendUint16(appendVarint(append(dst, TypeUnsuback.first()), n), u.ID)
	dst = appendProperties(dst, u.Properties, v)
	for _, c := range u.Reasons {
		dst = append(dst, byte(c))
	}
	return dst
}
