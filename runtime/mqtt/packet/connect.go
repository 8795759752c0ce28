package packet

// Connect is a CONNECT packet. The slices of a decoded one alias the input.
type Connect struct {
	// Version is the protocol level that the client asked for.
	Version Version
	// CleanStart is Clean Session in 3.1.1.
	CleanStart bool
	// KeepAlive is in seconds; 0 is none.
	KeepAlive  uint16
	Properties Properties
	// ClientID may be empty: in 3.1.1 only with CleanStart.
	ClientID []byte
	// HasWill tells whether Will counts.
	HasWill bool
	Will    Will
	// Username and Password are nil if they are not there; they may be there and
	// empty.
	Username []byte
	Password []byte
}

// Will is the message to be published when the client has gone.
type Will struct {
	QoS        uint8
	Retain     bool
	Properties Properties
	Topic      []byte
	Payload    []byte
}

const (
	flagReserved = 1 << iota
	flagCleanStart
	flagWill
	flagWillQoS1
	flagWillQoS2
	flagWillRetain
	flagPassword
	flagUsername
)

// Decode reads one whole CONNECT, as Cut found it, and sets every field of c.
// When it was refused, Version still says in which form a CONNACK with the
// error's reason can go back; 0: in none, because the protocol is not MQTT.
func (c *Connect) Decode(b []byte) error {
	*c = Connect{}
	r := newReader(b, TypeConnect, V311)
	c.decodeVersion(&r)
	flags := r.byte()
	c.KeepAlive = r.uint16()
	if r.m == nil {
		checkConnectFlags(&r, flags)
	}
	c.CleanStart = flags&flagCleanStart != 0
	c.Properties = r.properties(TypeConnect, FromClient)
	c.ClientID = r.text("MQTT-3.1.3-4", "MQTT-3.1.3-4", "the client identifier")
	if r.m == nil && len(c.ClientID) == 0 && r.v == V311 && !c.CleanStart {
		r.fail(ClientIdentifierNotValid, "", "MQTT-3.1.3-8", "the client identifier is empty and the session is not a clean one")
	}
	if c.HasWill = flags&flagWill != 0; c.HasWill {
		c.Will.QoS = flags >> 3 & 0x03
		c.Will.Retain = flags&flagWillRetain != 0
		c.Will.decode(&r)
	}
	if flags&flagUsername != 0 {
		c.Username = r.text("MQTT-3.1.3-12", "MQTT-3.1.3-11", "the user name")
	}
	if flags&flagPassword != 0 {
		c.Password = r.bytes()
	}
	return r.end()
}

// decodeVersion reads the protocol's name and level.
func (c *Connect) decodeVersion(r *reader) {
	name, level := string(r.bytes()), r.byte()
	switch {
	case r.m != nil:
	case name == "MQTT" && (level == byte(V311) || level == byte(V5)):
		c.Version = Version(level)
		r.v = c.Version
	case name == "MQTT" || name == "MQIsdp":
		c.Version = V311
		// Bridges of mosquitto set bit 7 and ask again without it when they are
		// answered in the form of the version that is left.
		if level&0x7F > byte(V311) {
			c.Version = V5
		}
		r.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-2", "MQTT-3.1.2-2", "the protocol version is neither 4 (3.1.1) nor 5")
	default:
		r.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-1", "MQTT-3.1.2-1", "the protocol name is not MQTT")
	}
}

func checkConnectFlags(r *reader, flags byte) {
	switch {
	case flags&flagReserved != 0:
		r.fail(MalformedPacket, "MQTT-3.1.2-3", "MQTT-3.1.2-3", "the reserved connect flag is set")
	case flags&flagWill == 0 && flags&(flagWillQoS1|flagWillQoS2) != 0:
		r.fail(MalformedPacket, "MQTT-3.1.2-11", "MQTT-3.1.2-13", "there is a will QoS, but no will")
	case flags&flagWill == 0 && flags&flagWillRetain != 0:
		r.fail(MalformedPacket, "MQTT-3.1.2-13", "MQTT-3.1.2-15", "will retain is set, but there is no will")
	case flags&flagWillQoS1 != 0 && flags&flagWillQoS2 != 0:
		r.fail(MalformedPacket, "MQTT-3.1.2-12", "MQTT-3.1.2-14", "will QoS 3 is reserved")
	case r.v == V311 && flags&flagPassword != 0 && flags&flagUsername == 0:
		r.fail(MalformedPacket, "", "MQTT-3.1.2-22", "there is a password, but no user name")
	}
}

func (w *Will) decode(r *reader) {
	w.Properties = r.properties(typeWill, FromClient)
	w.Topic = r.text("MQTT-3.1.3-11", "MQTT-3.1.3-10", "the will topic")
	switch {
	case r.m != nil:
	case len(w.Topic) == 0:
		r.fail(TopicNameInvalid, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "the will topic is empty")
	case !ValidTopic(w.Topic):
		r.fail(TopicNameInvalid, "MQTT-4.7.0-1", "MQTT-4.7.1-1", "the will topic has a wildcard")
	}
	w.Payload = r.bytes()
}

// AppendConnect adds c to dst. Properties are left out for 3.1.1. A CONNECT with
// a field of more than 65,535 bytes adds nothing.
func AppendConnect(dst []byte, c *Connect) []byte {
	n := 10 + sizeProperties(c.Properties, c.Version) + 2 + len(c.ClientID)
	flags, longest := byte(0), max(len(c.ClientID), len(c.Username), len(c.Password))
	if c.CleanStart {
		flags |= flagCleanStart
	}
	if c.HasWill {
		n += sizeProperties(c.Will.Properties, c.Version) + 4 + len(c.Will.Topic) + len(c.Will.Payload)
		longest = max(longest, len(c.Will.Topic), len(c.Will.Payload))
		flags |= flagWill | c.Will.QoS&0x03<<3
		if c.Will.Retain {
			flags |= flagWillRetain
		}
	}
	if c.Username != nil {
		n += 2 + len(c.Username)
		flags |= flagUsername
	}
	if c.Password != nil {
		n += 2 + len(c.Password)
		flags |= flagPassword
	}
	if longest > 0xFFFF || n > MaxRemaining {
		return dst
	}
	dst = appendVarint(append(dst, TypeConnect.first()), n)
	dst = append(dst, 0, 4, 'M', 'Q', 'T', 'T', byte(c.Version), flags, byte(c.KeepAlive>>8), byte(c.KeepAlive))
	dst = appendProperties(dst, c.Properties, c.Version)
	dst = appendBytes(dst, c.ClientID)
	if c.HasWill {
		dst = appendProperties(dst, c.Will.Properties, c.Version)
		dst = appendBytes(appendBytes(dst, c.Will.Topic), c.Will.Payload)
	}
	if c.Username != nil {
		dst = appendBytes(dst, c.Username)
	}
	if c.Password != nil {
		dst = appendBytes(dst, c.Password)
	}
	return dst
}
