package packet

// Connack is a CONNACK packet.
type Connack struct {
	SessionPresent bool
	// Reason is a reason code of 5.0 for 3.1.1 too; see Code.ReturnCode.
	Reason     Code
	Properties Properties
}

// Decode reads one whole CONNACK, as Cut found it, and sets every field of c. Of
// 3.1.1, return code 3 reads as ServerUnavailable, 4 and 5 as
// BadUserNameOrPassword and NotAuthorized.
func (c *Connack) Decode(b []byte, v Version) error {
	*c = Connack{}
	r := newReader(b, TypeConnack, v)
	flags, reason := r.byte(), r.byte()
	c.Properties = r.properties(TypeConnack, FromServer)
	if flags > 1 {
		r.fail(MalformedPacket, "MQTT-3.2.2-1", "3.2.2.1", "reserved acknowledge flags are set")
	}
	c.SessionPresent = flags&1 != 0
	switch {
	case v == V5 && !Code(reason).oneOf(connackCodes):
		r.fail(ProtocolError, "MQTT-3.2.2-8", "", "a reason code that a CONNACK cannot have")
	case v == V311 && int(reason) >= len(returnCodes):
		r.fail(MalformedPacket, "", "3.2.2.3", "a return code over 5 is reserved")
	case v == V311:
		c.Reason = Code(returnCodes[reason])
	default:
		c.Reason = Code(reason)
	}
	if c.SessionPresent && c.Reason != Success {
		r.fail(ProtocolError, "MQTT-3.2.2-6", "MQTT-3.2.2-4", "session present, but the connection was refused")
	}
	return r.end()
}

// AppendConnack adds c to dst. For 3.1.1 properties are left out and the reason
// becomes a return code; a reason that has none (Code.ReturnCode) adds nothing:
// close without a CONNACK.
func AppendConnack(dst []byte, c *Connack, v Version) []byte {
	present := byte(0)
	if c.SessionPresent {
		present = 1
	}
	if v != V5 {
		code, ok := c.Reason.ReturnCode()
		if !ok {
			return dst
		}
		return append(dst, TypeConnack.first(), 2, present, code)
	}
	n := 2 + sizeProperties(c.Properties, v)
	if n > MaxRemaining {
		return dst
	}
	dst = appendVarint(append(dst, TypeConnack.first()), n)
	return appendProperties(append(dst, present, byte(c.Reason)), c.Properties, v)
}
