package packet

import (
	"strconv"
	"unicode/utf8"
)

// takeProperties cuts a property block with its length off the front of b and
// checks it for packet t. rest is what stands behind it.
func takeProperties(b []byte, t Type, from Side) (p Properties, rest []byte, m *Malformed) {
	length, size := varint(b)
	if size <= 0 || size+length > len(b) {
		return nil, nil, refuse(t.visible(), V5, MalformedPacket, "MQTT-2.2.2-1", "", "the property length is missing, malformed or too large")
	}
	rest = b[size+length:]
	if length == 0 {
		return nil, rest, nil
	}
	p = Properties(b[size : size+length : size+length])
	return p, rest, p.check(t, from)
}

// visible is the packet's type as an error names it.
func (t Type) visible() Type {
	if t == typeWill {
		return TypeConnect
	}
	return t
}

// check tells whether the block is one that a packet of type t may have.
func (p Properties) check(t Type, from Side) *Malformed {
	var seen uint64
	bad := func(reason Code, statement, text string) *Malformed {
		return refuse(t.visible(), V5, reason, statement, "", text)
	}
	for len(p) > 0 {
		var f Property
		size := f.read(p)
		switch {
		case size == 0:
			return bad(MalformedPacket, "2.2.2.2", "there is no property with the identifier "+strconv.Itoa(int(p[0])))
		case propertyRules[f.ID].in&(1<<t) == 0:
			return bad(MalformedPacket, "2.2.2.2", "this packet cannot have a "+f.ID.String())
		case size < 0:
			return bad(MalformedPacket, "2.2.2.2", "the "+f.ID.String()+" runs past the property length or is malformed")
		}
		bit := uint64(1) << f.ID
		if seen&bit != 0 && !f.repeats(t) {
			return bad(ProtocolError, "2.2.2.2", "the "+f.ID.String()+" is there twice")
		}
		seen |= bit
		if m := f.check(t, from); m != nil {
			return m
		}
		p = p[size:]
	}
	if seen&(1<<AuthData) != 0 && seen&(1<<AuthMethod) == 0 {
		return bad(ProtocolError, "3.1.2.11.10", "authentication data without an authentication method")
	}
	return nil
}

// repeats tells whether a packet may have the property more than once.
func (f *Property) repeats(t Type) bool {
	return f.ID == UserProperty || f.ID == SubscriptionIdentifier && t == TypePublish
}

// check looks at the value of a property that is of its kind.
func (f *Property) check(t Type, from Side) *Malformed {
	bad := func(reason Code, statement, text string) *Malformed {
		return refuse(t.visible(), V5, reason, statement, "", text)
	}
	rule := &propertyRules[f.ID]
	switch rule.kind {
	case kindText:
		if !ValidString(f.Value) {
			return bad(MalformedPacket, f.ID.textStatement(), "the "+f.ID.String()+" is not UTF-8 or has U+0000")
		}
	case kindPair:
		if !ValidString(f.Name) || !ValidString(f.Value) {
			return bad(MalformedPacket, "MQTT-1.5.7-1", "a user property is not UTF-8 or has U+0000")
		}
	case kindBit:
		if f.Number > 1 {
			return bad(ProtocolError, "2.2.2.2", "the "+f.ID.String()+" is neither 0 nor 1")
		}
	}
	switch {
	case f.ID == TopicAlias && f.Number == 0:
		return bad(TopicAliasInvalid, "MQTT-3.3.2-8", "topic alias 0")
	case rule.notZero && f.Number == 0:
		return bad(ProtocolError, "2.2.2.2", "the "+f.ID.String()+" cannot be 0")
	case f.ID == ResponseTopic && !ValidTopic(f.Value):
		return bad(ProtocolError, "MQTT-3.3.2-14", "the response topic is empty or has a wildcard")
	case f.ID == SubscriptionIdentifier && t == TypePublish && from == FromClient:
		return bad(ProtocolError, "MQTT-3.3.4-6", "a client's PUBLISH has a subscription identifier")
	case f.ID == SessionExpiry && t == TypeDisconnect && from == FromServer:
		return bad(ProtocolError, "MQTT-3.14.2-2", "a server's DISCONNECT has a session expiry interval")
	case f.ID == ServerReference && t == TypeDisconnect && from == FromClient:
		return bad(ProtocolError, "3.14.2.2.5", "a client's DISCONNECT has a server reference")
	}
	return nil
}

// textStatement is the statement that asks for UTF-8 in the property.
func (id PropertyID) textStatement() string {
	switch id {
	case ResponseTopic:
		return "MQTT-3.3.2-13"
	case ContentType:
		return "MQTT-3.3.2-19"
	}
	return "MQTT-1.5.4-1"
}

// ValidPayload tells whether a payload keeps what its payload format indicator
// says: 1 is well-formed UTF-8 (section 3.3.2.3.2).
func ValidPayload(format uint32, payload []byte) bool {
	return format != 1 || utf8.Valid(payload)
}

// sizeProperties is how long the block is with its length in front; 0 for 3.1.1,
// which has none.
func sizeProperties(p Properties, v Version) int {
	if v != V5 {
		return 0
	}
	return varintSize(len(p)) + len(p)
}

func appendProperties(dst []byte, p Properties, v Version) []byte {
	if v != V5 {
		return dst
	}
	return append(appendVarint(dst, len(p)), p...)
}
