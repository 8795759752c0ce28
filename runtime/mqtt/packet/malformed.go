package packet

import "fmt"

// Malformed says why a packet was refused. Every error of this package's decoders
// is one. Of a packet that was refused, nothing may be used but what the decoder
// says.
type Malformed struct {
	// Reason is the code to end the connection with: in a DISCONNECT, or in a
	// CONNACK when it was the CONNECT that was refused.
	Reason Code
	// Packet is the type of the packet; 0 if even that is not valid.
	Packet Type
	// Statement is the normative statement that was broken, such as MQTT-3.3.2-8
	// of the connection's version, or the section if no statement has a number for
	// it ("3.1.2.11.3").
	Statement string
	// Text says what was found, for a person to read. It fits a reason string.
	Text string
}

// Error names the packet, the finding, the reason code and the statement.
func (m *Malformed) Error() string {
	packet := "packet"
	if m.Packet != 0 {
		packet = m.Packet.String()
	}
	return fmt.Sprintf("mqtt: %s refused: %s (0x%02X %s, [%s])", packet, m.Text, uint8(m.Reason), m.Reason, m.Statement)
}

// refuse makes the error. s5 and s311 are the statement in the two versions.
func refuse(t Type, v Version, reason Code, s5, s311, text string) *Malformed {
	if v == V311 && s311 != "" {
		s5 = s311
	}
	return &Malformed{Reason: reason, Packet: t, Statement: s5, Text: text}
}
