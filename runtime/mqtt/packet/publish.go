package packet

import (
	"encoding/binary"
	"slices"
)

// Publish is a PUBLISH packet. The slices of a decoded one alias the input.
type Publish struct {
	Dup    bool
	Retain bool
	// QoS is 0, 1 or 2.
	QoS uint8
	// ID is the packet identifier: 0 at QoS 0, otherwise not 0.
	ID uint16
	// Topic is valid, or empty if Properties have a topic alias (5.0 only).
	Topic      []byte
	Properties Properties
	Payload    []byte
}

// Decode reads one whole PUBLISH, as Cut found it, and sets every field of p. It
// allocates only to describe a fault.
func (p *Publish) Decode(b []byte, v Version, from Side) error {
	if m := p.decode(b, v, from); m != nil {
		return m
	}
	return nil
}

func (p *Publish) decode(b []byte, v Version, from Side) *Malformed {
	rest, m := body(b, TypePublish, v)
	if m != nil {
		return m
	}
	*p = Publish{Dup: b[0]&0x08 != 0, Retain: b[0]&0x01 != 0, QoS: b[0] >> 1 & 0x03}
	topic, size := field(rest)
	if size == 0 {
		return refuse(TypePublish, v, MalformedPacket, "MQTT-3.3.2-1", "", "the topic name runs past the packet's end")
	}
	p.Topic, rest = topic, rest[size:]
	if p.QoS > 0 {
		if len(rest) < 2 {
			return refuse(TypePublish, v, MalformedPacket, "MQTT-2.2.1-3", "MQTT-2.3.1-1", "the packet identifier is missing")
		}
		if p.ID = binary.BigEndian.Uint16(rest); p.ID == 0 {
			return refuse(TypePublish, v, ProtocolError, "MQTT-2.2.1-3", "MQTT-2.3.1-1", "packet identifier 0")
		}
		rest = rest[2:]
	}
	if v == V5 {
		if p.Properties, rest, m = takeProperties(rest, TypePublish, from); m != nil {
			return m
		}
	}
	p.Payload = rest
	return p.checkTopic(v)
}

func (p *Publish) checkTopic(v Version) *Malformed {
	if ValidTopic(p.Topic) {
		return nil
	}
	if len(p.Topic) == 0 {
		if v == V5 && p.Properties.Has(TopicAlias) {
			return nil
		}
		return refuse(TypePublish, v, ProtocolError, "3.3.2.1", "MQTT-4.7.3-1", "the topic name is empty and there is no topic alias")
	}
	if !ValidString(p.Topic) {
		return refuse(TypePublish, v, MalformedPacket, "MQTT-3.3.2-1", "", "the topic name is not UTF-8 or has U+0000")
	}
	return refuse(TypePublish, v, TopicNameInvalid, "MQTT-3.3.2-2", "", "the topic name has a wildcard")
}

// Size is how many bytes AppendPublish adds: what the receiver's maximum packet
// size is compared with. It is 0 if p cannot be encoded: a topic of more than
// 65,535 bytes, more than MaxRemaining in all.
func (p *Publish) Size(v Version) int {
	n := p.remaining(v)
	if n < 0 {
		return 0
	}
	return 1 + varintSize(n) + n
}

func (p *Publish) remaining(v Version) int {
	n := 2 + len(p.Topic) + sizeProperties(p.Properties, v) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	if len(p.Topic) > 0xFFFF || n > MaxRemaining {
		return -1
	}
	return n
}

// AppendPublish adds p to dst. It allocates only if dst has to grow; Properties
// are left out for 3.1.1. If p cannot be encoded (see Size) it adds nothing. It
// does not check what a decoder would: topic, properties and packet identifier are
// the caller's.
func AppendPublish(dst []byte, p *Publish, v Version) []byte {
	n := p.remaining(v)
	if n < 0 {
		return dst
	}
	dst = slices.Grow(dst, n+5)
	dst = appendVarint(append(dst, p.first()), n)
	dst = appendBytes(dst, p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.ID)
	}
	dst = appendProperties(dst, p.Properties, v)
	return append(dst, p.Payload...)
}

func (p *Publish) first() byte {
	first := byte(TypePublish)<<4 | p.QoS&0x03<<1
	if p.Dup {
		first |= 0x08
	}
	if p.Retain {
		first |= 0x01
	}
	return first
}

// IDOffset is where the packet identifier of an encoded PUBLISH begins, so that
// one encoded unit can be copied and given another identifier for each receiver;
// -1 at QoS 0, which has none. unit must be what AppendPublish wrote.
func IDOffset(unit []byte) int {
	if len(unit) < 2 || TypeOf(unit) != TypePublish || unit[0]&0x06 == 0 {
		return -1
	}
	_, size := varint(unit[1:])
	at := 1 + size
	if size <= 0 || at+2 > len(unit) {
		return -1
	}
	if at += 2 + int(binary.BigEndian.Uint16(unit[at:])); at+2 > len(unit) {
		return -1
	}
	return at
}

// PatchID writes a packet identifier into an encoded PUBLISH, at the offset that
// IDOffset gave.
func PatchID(unit []byte, offset int, id uint16) { binary.BigEndian.PutUint16(unit[offset:], id) }

// PatchDup sets or clears DUP in an encoded PUBLISH.
func PatchDup(unit []byte, dup bool) { patch(unit, 0x08, dup) }

// PatchRetain sets or clears RETAIN in an encoded PUBLISH.
func PatchRetain(unit []byte, retain bool) { patch(unit, 0x01, retain) }

func patch(unit []byte, bit byte, set bool) {
	unit[0] &^= bit
	if set {
		unit[0] |= bit
	}
}
