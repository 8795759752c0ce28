package packet

import "encoding/binary"

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct {
	Type Type
	// ID is the packet identifier of the PUBLISH.
	ID uint16
	// Reason is Success in 3.1.1, which has no reasons here.
	Reason     Code
	Properties Properties
}

// Decode reads one whole acknowledgement, as Cut found it, and sets every field of
// a; its type is that of the packet. It allocates only to describe a fault.
func (a *Ack) Decode(b []byte, v Version) error {
	if m := a.decode(b, v); m != nil {
		return m
	}
	return nil
}

func (a *Ack) decode(b []byte, v Version) *Malformed {
	*a = Ack{}
	if len(b) == 0 || TypeOf(b) < TypePuback || TypeOf(b) > TypePubcomp {
		return refuse(0, v, ProtocolError, "2.1.2", "", "the packet is no acknowledgement of a PUBLISH")
	}
	t := TypeOf(b)
	rest, m := body(b, t, v)
	if m != nil {
		return m
	}
	a.Type = t
	if len(rest) < 2 || v == V311 && len(rest) != 2 {
		return refuse(t, v, MalformedPacket, "MQTT-2.2.1-5", "MQTT-2.3.1-6", "the packet is not as long as an acknowledgement must be")
	}
	if a.ID = binary.BigEndian.Uint16(rest); a.ID == 0 {
		return refuse(t, v, ProtocolError, "MQTT-2.2.1-5", "MQTT-2.3.1-6", "packet identifier 0")
	}
	if len(rest) == 2 {
		return nil
	}
	a.Reason = Code(rest[2])
	if !a.Reason.oneOf(ackCodes(t)) {
		return refuse(t, v, ProtocolError, ackStatement(t), "", "a reason code that this packet cannot have")
	}
	if rest = rest[3:]; len(rest) == 0 {
		return nil
	}
	if a.Properties, rest, m = takeProperties(rest, t, 0); m != nil {
		return m
	}
	if len(rest) > 0 {
		return trailing(t, v)
	}
	return nil
}

func trailing(t Type, v Version) *Malformed {
	return refuse(t, v, MalformedPacket, "4.13.1", "4.8", "there are bytes behind the packet's last field")
}

func ackCodes(t Type) string {
	if t == TypePuback || t == TypePubrec {
		return pubackCodes
	}
	return pubrelCodes
}

func ackStatement(t Type) string {
	switch t {
	case TypePuback:
		return "MQTT-3.4.2-1"
	case TypePubrec:
		return "MQTT-3.5.2-1"
	case TypePubrel:
		return "MQTT-3.6.2-1"
	}
	return "MQTT-3.7.2-1"
}

// AppendAck adds a to dst, in its shortest form. Reason and properties are left
// out for 3.1.1. Properties of more than MaxRemaining add nothing at all.
func AppendAck(dst []byte, a *Ack, v Version) []byte {
	switch {
	case v != V5 || a.Reason == Success && len(a.Properties) == 0:
		return append(dst, a.Type.first(), 2, byte(a.ID>>8), byte(a.ID))
	case len(a.Properties) == 0:
		return append(dst, a.Type.first(), 3, byte(a.ID>>8), byte(a.ID), byte(a.Reason))
	}
	n := 3 + sizeProperties(a.Properties, v)
	if n > MaxRemaining {
		return dst
	}
	dst = appendVarint(append(dst, a.Type.first()), n)
	dst = append(dst, byte(a.ID>>8), byte(a.ID), byte(a.Reason))
	return appendProperties(dst, a.Properties, v)
}

// AppendPingreq adds a PINGREQ to dst.
func AppendPingreq(dst []byte) []byte { return append(dst, TypePingreq.first(), 0) }

// AppendPingresp adds a PINGRESP to dst.
func AppendPingresp(dst []byte) []byte { return append(dst, TypePingresp.first(), 0) }

// DecodePing checks one whole PINGREQ or PINGRESP.
func DecodePing(b []byte, v Version) error {
	t := TypePingreq
	if len(b) > 0 && TypeOf(b) == TypePingresp {
		t = TypePingresp
	}
	rest, m := body(b, t, v)
	if m == nil && len(rest) > 0 {
		m = trailing(t, v)
	}
	if m != nil {
		return m
	}
	return nil
}
