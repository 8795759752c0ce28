package packet

// Version is the protocol level of a connection, as CONNECT gives it.
type Version uint8

// The protocol levels that this package speaks.
const (
	V311 Version = 4
	V5   Version = 5
)

// String is the version as people write it.
func (v Version) String() string {
	switch v {
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "unknown"
}

// Side is who sent a packet. Some packets may say different things depending on
// it.
type Side uint8

// The two ends of a connection.
const (
	FromClient Side = iota
	FromServer
)

// Type is the type of a control packet, the upper half of its first byte.
type Type uint8

// The types of packets (MQTT 5.0, section 2.1.2). TypeAuth does not exist in
// 3.1.1.
const (
	TypeConnect     Type = 1
	TypeConnack     Type = 2
	TypePublish     Type = 3
	TypePuback      Type = 4
	TypePubrec      Type = 5
	TypePubrel      Type = 6
	TypePubcomp     Type = 7
	TypeSubscribe   Type = 8
	TypeSuback      Type = 9
	TypeUnsubscribe Type = 10
	TypeUnsuback    Type = 11
	TypePingreq     Type = 12
	TypePingresp    Type = 13
	TypeDisconnect  Type = 14
	TypeAuth        Type = 15

	// typeWill stands for the will in a CONNECT where properties are checked.
	typeWill Type = 0
)

// TypeOf is the type of the packet that begins with b, which is not empty.
func TypeOf(b []byte) Type { return Type(b[0] >> 4) }

var typeNames = [16]string{"WILL", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

// String is the type's name as the specification writes it.
func (t Type) String() string {
	if t == 0 || int(t) >= len(typeNames) {
		return "unknown"
	}
	return typeNames[t]
}

// first is the first byte of a packet of this type that is not a PUBLISH: the
// lower half is fixed.
func (t Type) first() byte {
	if t == TypePubrel || t == TypeSubscribe || t == TypeUnsubscribe {
		return byte(t)<<4 | 0x02
	}
	return byte(t) << 4
}
