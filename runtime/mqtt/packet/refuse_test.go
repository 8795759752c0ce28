package packet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const (
	v4 = packet.V311
	v5 = packet.V5
)

// refused are packets that break one statement each, written by hand. A packet
// that Cut refuses needs no decoder. version 0 is both.
var refused = []struct {
	statement string // the number that the error has, and that STATEMENTS.md names this test for
	version   packet.Version
	from      packet.Side
	reason    packet.Code
	wire      string
	text      string // what the error says, in part
}{
	// The fixed header.
	{"2.1.2", 0, 0, packet.MalformedPacket, "00 00", "type 0"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "11 00", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "2F 00", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "48 02 0001", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "60 02 0001", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "80 00", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "A0 00", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "E1 00", "reserved flags"},
	{"MQTT-2.1.3-1", 0, 0, packet.MalformedPacket, "F2 00", "reserved flags"},
	{"MQTT-3.3.1-4", 0, 0, packet.MalformedPacket, "36 05 0001'a' 0001", "QoS 3"},
	{"MQTT-3.3.1-2", 0, 0, packet.MalformedPacket, "38 03 0001'a'", "DUP"},
	{"MQTT-1.5.5-1", 0, 0, packet.MalformedPacket, "C0 80 00", "remaining length"},
	{"MQTT-1.5.5-1", 0, 0, packet.MalformedPacket, "30 FF FF FF FF 01", "remaining length"},
	{"MQTT-1.5.5-1", 0, 0, packet.MalformedPacket, "30 80 80 80 80", "remaining length"},

	// CONNECT.
	{"MQTT-3.1.2-1", 0, 0, packet.UnsupportedProtocolVersion, "10 0D 0004'MQTX' 04 02 0000 0001'a'", "protocol name"},
	{"MQTT-3.1.2-1", 0, 0, packet.UnsupportedProtocolVersion, "10 0D 0004'mqtt' 04 02 0000 0001'a'", "protocol name"},
	{"MQTT-3.1.2-2", 0, 0, packet.UnsupportedProtocolVersion, "10 0D 0004'MQTT' 06 02 0000 0001'a'", "protocol version"},
	{"MQTT-3.1.2-2", 0, 0, packet.UnsupportedProtocolVersion, "10 0F 0006'MQIsdp' 03 02 0000 0001'a'", "protocol version"},
	{"MQTT-3.1.2-3", v4, 0, packet.MalformedPacket, "10 0D 0004'MQTT' 04 03 0000 0001'a'", "reserved"},
	{"MQTT-3.1.2-3", v5, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 05 03 0000 00 0001'a'", "reserved"},
	{"MQTT-3.1.2-13", v4, 0, packet.MalformedPacket, "10 0D 0004'MQTT' 04 0A 0000 0001'a'", "will QoS"},
	{"MQTT-3.1.2-11", v5, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 05 12 0000 00 0001'a'", "will QoS"},
	{"MQTT-3.1.2-15", v4, 0, packet.MalformedPacket, "10 0D 0004'MQTT' 04 22 0000 0001'a'", "will retain"},
	{"MQTT-3.1.2-13", v5, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 05 22 0000 00 0001'a'", "will retain"},
	{"MQTT-3.1.2-14", v4, 0, packet.MalformedPacket, "10 13 0004'MQTT' 04 1E 0000 0001'a' 0001't' 0001'p'", "QoS 3"},
	{"MQTT-3.1.2-12", v5, 0, packet.MalformedPacket, "10 15 0004'MQTT' 05 1E 0000 00 0001'a' 00 0001't' 0001'p'", "QoS 3"},
	{"MQTT-3.1.2-22", v4, 0, packet.MalformedPacket, "10 10 0004'MQTT' 04 42 0000 0001'a' 0001'p'", "password"},
	{"MQTT-3.1.3-4", v4, 0, packet.MalformedPacket, "10 0D 0004'MQTT' 04 02 0000 0001 FF", "client identifier"},
	{"MQTT-3.1.3-4", v5, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 05 02 0000 00 0001 00", "client identifier"},
	{"MQTT-3.1.3-8", v4, 0, packet.ClientIdentifierNotValid, "10 0C 0004'MQTT' 04 00 0000 0000", "client identifier is empty"},
	{"MQTT-3.1.3-10", v4, 0, packet.MalformedPacket, "10 13 0004'MQTT' 04 06 0000 0001'a' 0001 FF 0001'p'", "will topic"},
	{"MQTT-3.1.3-11", v5, 0, packet.MalformedPacket, "10 15 0004'MQTT' 05 06 0000 00 0001'a' 00 0001 FF 0001'p'", "will topic"},
	{"MQTT-4.7.1-1", v4, 0, packet.TopicNameInvalid, "10 13 0004'MQTT' 04 06 0000 0001'a' 0001'#' 0001'p'", "wildcard"},
	{"MQTT-4.7.0-1", v5, 0, packet.TopicNameInvalid, "10 15 0004'MQTT' 05 06 0000 00 0001'a' 00 0001'+' 0001'p'", "wildcard"},
	{"MQTT-4.7.3-1", v4, 0, packet.TopicNameInvalid, "10 12 0004'MQTT' 04 06 0000 0001'a' 0000 0001'p'", "empty"},
	{"MQTT-3.1.3-11", v4, 0, packet.MalformedPacket, "10 10 0004'MQTT' 04 82 0000 0001'a' 0001 FF", "user name"},
	{"MQTT-3.1.3-12", v5, 0, packet.MalformedPacket, "10 11 0004'MQTT' 05 82 0000 00 0001'a' 0001 FF", "user name"},
	{"4.8", v4, 0, packet.MalformedPacket, "10 0D 0004'MQTT' 04 82 0000 0001'a'", "missing"},
	{"4.13.1", v5, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 05 C2 0000 00 0001'a'", "missing"},
	{"4.13.1", v5, 0, packet.MalformedPacket, "10 11 0004'MQTT' 05 C2 0000 00 0001'a' 0001'u'", "missing"},
	{"4.8", v4, 0, packet.MalformedPacket, "10 0C 0004'MQTT' 04 02 0000 0001", "missing"},
	{"4.8", v4, 0, packet.MalformedPacket, "10 0E 0004'MQTT' 04 02 0000 0001'a' 00", "behind"},
	{"4.13.1", v5, 0, packet.MalformedPacket, "10 11 0004'MQTT' 05 02 0000 00 0001'a' 0001'u'", "behind"},
	{"MQTT-2.2.2-1", v5, 0, packet.MalformedPacket, "10 0A 0004'MQTT' 05 02 0000", "property length"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "10 11 0004'MQTT' 05 02 0000 03 21 0000 0001'a'", "receive maximum"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "10 13 0004'MQTT' 05 02 0000 05 27 00000000 0001'a'", "maximum packet size"},
	{"3.1.2.11.10", v5, 0, packet.ProtocolError, "10 12 0004'MQTT' 05 02 0000 04 16 0001'd' 0001'a'", "authentication"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "10 13 0004'MQTT' 05 02 0000 05 18 00000001 0001'a'", "will delay"},

	// CONNACK.
	{"MQTT-3.2.2-1", v5, 1, packet.MalformedPacket, "20 03 02 00 00", "flags"},
	{"3.2.2.1", v4, 1, packet.MalformedPacket, "20 02 80 00", "flags"},
	{"MQTT-3.2.2-6", v5, 1, packet.ProtocolError, "20 03 01 87 00", "session present"},
	{"MQTT-3.2.2-4", v4, 1, packet.ProtocolError, "20 02 01 05", "session present"},
	{"MQTT-3.2.2-8", v5, 1, packet.ProtocolError, "20 03 00 01 00", "reason code"},
	{"3.2.2.3", v4, 1, packet.MalformedPacket, "20 02 00 06", "return code"},
	{"4.8", v4, 1, packet.MalformedPacket, "20 03 00 00 00", "behind"},
	{"MQTT-2.2.2-1", v5, 1, packet.MalformedPacket, "20 02 00 00", "property length"},

	// PUBLISH.
	{"MQTT-3.3.2-1", 0, 0, packet.MalformedPacket, "30 01 00", "topic name"},
	{"MQTT-3.3.2-1", 0, 0, packet.MalformedPacket, "30 03 0002'a'", "topic name"},
	{"MQTT-3.3.2-1", v5, 0, packet.MalformedPacket, "30 05 0002 C0 80 00", "UTF-8"},
	{"MQTT-3.3.2-1", v4, 0, packet.MalformedPacket, "30 05 0003 ED A0 80", "UTF-8"},
	{"MQTT-3.3.2-1", v4, 0, packet.MalformedPacket, "30 03 0001 00", "U+0000"},
	{"MQTT-3.3.2-2", v4, 0, packet.TopicNameInvalid, "30 05 0003'a/+'", "wildcard"},
	{"MQTT-3.3.2-2", v5, 0, packet.TopicNameInvalid, "30 0C 0009'abcdefgh#' 00", "wildcard"},
	{"MQTT-4.7.3-1", v4, 0, packet.ProtocolError, "30 02 0000", "empty"},
	{"3.3.2.1", v5, 0, packet.ProtocolError, "30 03 0000 00", "empty"},
	{"MQTT-2.3.1-1", v4, 0, packet.ProtocolError, "32 05 0001'a' 0000", "identifier 0"},
	{"MQTT-2.2.1-3", v5, 0, packet.ProtocolError, "34 06 0001'a' 0000 00", "identifier 0"},
	{"MQTT-2.3.1-1", v4, 0, packet.MalformedPacket, "32 04 0001'a' 00", "missing"},
	{"MQTT-2.2.2-1", v5, 0, packet.MalformedPacket, "30 03 0001'a'", "property length"},
	{"MQTT-2.2.2-1", v5, 0, packet.MalformedPacket, "30 05 0001'a' 02 01", "property length"},
	{"MQTT-2.2.2-1", v5, 0, packet.MalformedPacket, "30 05 0001'a' 80 00", "property length"},
	{"MQTT-3.3.2-8", v5, 0, packet.TopicAliasInvalid, "30 07 0001'a' 03 23 0000", "topic alias 0"},
	{"MQTT-3.3.2-13", v5, 0, packet.MalformedPacket, "30 08 0001'a' 04 08 0001 FF", "response topic"},
	{"MQTT-3.3.2-14", v5, 0, packet.ProtocolError, "30 08 0001'a' 04 08 0001'#'", "response topic"},
	{"MQTT-3.3.2-14", v5, 0, packet.ProtocolError, "30 07 0001'a' 03 08 0000", "response topic"},
	{"MQTT-3.3.2-19", v5, 0, packet.MalformedPacket, "30 08 0001'a' 04 03 0001 00", "content type"},
	{"MQTT-3.3.4-6", v5, 0, packet.ProtocolError, "30 06 0001'a' 02 0B 01", "subscription identifier"},
	{"2.2.2.2", v5, 1, packet.ProtocolError, "30 06 0001'a' 02 0B 00", "subscription identifier cannot be 0"},
	{"2.2.2.2", v5, 1, packet.MalformedPacket, "30 07 0001'a' 03 0B 80 00", "subscription identifier"},
	{"MQTT-1.5.7-1", v5, 0, packet.MalformedPacket, "30 0B 0001'a' 07 26 0001 FF 0001'v'", "user property"},
	{"MQTT-1.5.7-1", v5, 0, packet.MalformedPacket, "30 0B 0001'a' 07 26 0001'k' 0001 00", "user property"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "30 06 0001'a' 02 01 02", "neither 0 nor 1"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 06 0001'a' 02 7F 00", "identifier 127"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 06 0001'a' 02 00 00", "identifier 0"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 07 0001'a' 03 13 0001", "server keep alive"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 09 0001'a' 03 03 0004 'xx'", "content type runs past"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 0A 0001'a' 04 02 000000 'xx'", "message expiry interval runs past"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 0A 0001'a' 06 26 0001'k' 00 'x'", "user property runs past"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "30 05 0001'a' 01 01", "payload format indicator runs past"},

	// The acknowledgements.
	{"MQTT-2.3.1-6", v4, 0, packet.MalformedPacket, "40 01 00", "not as long"},
	{"MQTT-2.3.1-6", v4, 0, packet.MalformedPacket, "40 03 0001 00", "not as long"},
	{"MQTT-2.2.1-5", v5, 0, packet.MalformedPacket, "50 00", "not as long"},
	{"MQTT-2.3.1-6", v4, 0, packet.ProtocolError, "62 02 0000", "identifier 0"},
	{"MQTT-2.2.1-5", v5, 0, packet.ProtocolError, "70 02 0000", "identifier 0"},
	{"MQTT-3.4.2-1", v5, 0, packet.ProtocolError, "40 03 0001 92", "reason code"},
	{"MQTT-3.5.2-1", v5, 0, packet.ProtocolError, "50 03 0001 11", "reason code"},
	{"MQTT-3.6.2-1", v5, 0, packet.ProtocolError, "62 03 0001 80", "reason code"},
	{"MQTT-3.7.2-1", v5, 0, packet.ProtocolError, "70 03 0001 10", "reason code"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "40 06 0001 00 02 01 01", "payload format"},
	{"MQTT-1.5.4-1", v5, 0, packet.MalformedPacket, "40 08 0001 00 04 1F 0001 FF", "reason string is not UTF-8"},
	{"MQTT-1.5.4-1", v5, 0, packet.MalformedPacket, "40 08 0001 00 04 1F 0001 00", "U+0000"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "40 0C 0001 00 08 1F 0001'a' 1F 0001'b'", "twice"},
	{"4.13.1", v5, 0, packet.MalformedPacket, "40 05 0001 00 00 00", "behind"},

	// SUBSCRIBE, SUBACK.
	{"MQTT-2.3.1-1", v4, 0, packet.ProtocolError, "82 06 0000 0001'a' 00", "identifier 0"},
	{"MQTT-2.2.1-3", v5, 0, packet.ProtocolError, "82 07 0000 00 0001'a' 00", "identifier 0"},
	{"MQTT-3.8.3-1", v4, 0, packet.MalformedPacket, "82 06 0001 0001 FF 00", "UTF-8"},
	{"MQTT-3.8.3-1", v5, 0, packet.MalformedPacket, "82 07 0001 00 0001 00 00", "U+0000"},
	{"MQTT-3.8.3-3", v4, 0, packet.ProtocolError, "82 02 0001", "no topic filter"},
	{"MQTT-3.8.3-2", v5, 0, packet.ProtocolError, "82 03 0001 00", "no topic filter"},
	{"MQTT-3-8.3-4", v4, 0, packet.MalformedPacket, "82 06 0001 0001'a' 04", "reserved bits"},
	{"MQTT-3-8.3-4", v4, 0, packet.ProtocolError, "82 06 0001 0001'a' 03", "QoS 3"},
	{"MQTT-3.8.3-5", v5, 0, packet.MalformedPacket, "82 07 0001 00 0001'a' 40", "reserved bits"},
	{"3.8.3.1", v5, 0, packet.ProtocolError, "82 07 0001 00 0001'a' 03", "QoS 3"},
	{"3.8.3.1", v5, 0, packet.ProtocolError, "82 07 0001 00 0001'a' 30", "retain handling 3"},
	{"MQTT-3.8.3-4", v5, 0, packet.ProtocolError, "82 10 0001 00 000A'$share/g/a' 04", "no local"},
	{"MQTT-4.7.3-1", v4, 0, packet.TopicFilterInvalid, "82 05 0001 0000 00", "empty"},
	{"MQTT-4.7.1-2", v4, 0, packet.TopicFilterInvalid, "82 0A 0001 0005'a/#/b' 00", "# in"},
	{"MQTT-4.7.1-1", v5, 0, packet.TopicFilterInvalid, "82 08 0001 00 0002'a#' 00", "# in"},
	{"MQTT-4.7.1-3", v4, 0, packet.TopicFilterInvalid, "82 07 0001 0002'a+' 00", "+ in"},
	{"MQTT-4.7.1-2", v5, 0, packet.TopicFilterInvalid, "82 0A 0001 00 0004'+a/b' 00", "+ in"},
	{"MQTT-4.8.2-1", v5, 0, packet.TopicFilterInvalid, "82 0F 0001 00 0009'$share//a' 00", "empty"},
	{"MQTT-4.8.2-2", v5, 0, packet.TopicFilterInvalid, "82 10 0001 00 000A'$share/+/a' 00", "$share/NAME/FILTER"},
	{"MQTT-4.8.2-2", v5, 0, packet.TopicFilterInvalid, "82 0E 0001 00 0008'$share/g' 00", "$share/NAME/FILTER"},
	{"MQTT-4.8.2-2", v5, 0, packet.TopicFilterInvalid, "82 0F 0001 00 0009'$share/g/' 00", "$share/NAME/FILTER"},
	{"4.13.1", v5, 0, packet.MalformedPacket, "82 06 0001 00 0001'a'", "missing"},
	{"4.8", v4, 0, packet.MalformedPacket, "82 05 0001 0001'a'", "missing"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "82 09 0001 02 0B00 0001'a' 00", "subscription identifier cannot be 0"},
	{"2.2.2.2", v5, 0, packet.ProtocolError, "82 0B 0001 04 0B01 0B02 0001'a' 00", "twice"},
	{"MQTT-3.9.3-2", v4, 1, packet.ProtocolError, "90 03 0001 03", "reason code"},
	{"MQTT-3.9.3-2", v5, 1, packet.ProtocolError, "90 04 0001 00 11", "reason code"},
	{"4.8", v4, 1, packet.ProtocolError, "90 02 0001", "no reason code"},

	// UNSUBSCRIBE, UNSUBACK.
	{"MQTT-2.3.1-1", v4, 0, packet.ProtocolError, "A2 05 0000 0001'a'", "identifier 0"},
	{"MQTT-3.10.3-1", v4, 0, packet.MalformedPacket, "A2 05 0001 0001 FF", "UTF-8"},
	{"MQTT-3.10.3-1", v5, 0, packet.MalformedPacket, "A2 06 0001 00 0001 FF", "UTF-8"},
	{"MQTT-3.10.3-2", v4, 0, packet.ProtocolError, "A2 02 0001", "no topic filter"},
	{"MQTT-3.10.3-2", v5, 0, packet.ProtocolError, "A2 03 0001 00", "no topic filter"},
	{"MQTT-3.11.3-2", v5, 1, packet.ProtocolError, "B0 04 0001 00 01", "reason code"},
	{"4.13.1", v5, 1, packet.ProtocolError, "B0 03 0001 00", "no reason code"},
	{"4.8", v4, 1, packet.MalformedPacket, "B0 03 0001 00", "behind"},

	// PINGREQ, PINGRESP, DISCONNECT, AUTH.
	{"4.8", v4, 0, packet.MalformedPacket, "C0 01 00", "behind"},
	{"4.13.1", v5, 1, packet.MalformedPacket, "D0 01 00", "behind"},
	{"4.8", v4, 0, packet.MalformedPacket, "E0 01 00", "behind"},
	{"MQTT-3.14.2-1", v5, 0, packet.ProtocolError, "E0 01 8E", "reason code"},
	{"MQTT-3.14.2-1", v5, 1, packet.ProtocolError, "E0 01 04", "reason code"},
	{"MQTT-3.14.2-2", v5, 1, packet.ProtocolError, "E0 07 8E 05 11 00000001", "session expiry"},
	{"3.14.2.2.5", v5, 0, packet.ProtocolError, "E0 06 00 04 1C 0001'x'", "server reference"},
	{"2.2.2.2", v5, 0, packet.MalformedPacket, "E0 05 00 03 21 0001", "receive maximum"},
	{"2.2.1", v4, 0, packet.ProtocolError, "F0 00", "3.1.1"},
	{"MQTT-3.15.2-1", v5, 0, packet.ProtocolError, "F0 00", "reason code"},
	{"MQTT-3.15.2-1", v5, 1, packet.ProtocolError, "F0 06 19 04 15 0001'M'", "reason code"},
	{"3.15.2.2.2", v5, 0, packet.ProtocolError, "F0 02 18 00", "authentication method"},
}

func TestRefused(t *testing.T) {
	for _, r := range refused {
		for _, v := range []packet.Version{v4, v5} {
			if r.version != 0 && v != r.version {
				continue
			}
			t.Run(r.statement+" "+v.String()+" "+r.text, func(t *testing.T) {
				wire := unhex(t, r.wire)
				n, _, err := packet.Cut(wire, 0)
				if err == nil && n != len(wire) {
					t.Fatalf("the test's packet of %d bytes is cut at %d", len(wire), n)
				}
				if err == nil {
					_, err = decode(wire, v, r.from)
				}
				var m *packet.Malformed
				switch {
				case !errors.As(err, &m):
					t.Fatalf("%v, want it refused", err)
				case !sendable(m):
					t.Errorf("%v: no packet can carry this reason", err)
				case m.Statement != r.statement || m.Reason != r.reason || !strings.Contains(m.Text, r.text):
					t.Errorf("%v; want 0x%02X, %q, [%s]", err, uint8(r.reason), r.text, r.statement)
				}
			})
		}
	}
}

// sendable tells whether a server can say the refusal's reason to the client: in
// a CONNACK where it was the CONNECT, otherwise in a DISCONNECT.
func sendable(m *packet.Malformed) bool {
	why := props(text(packet.ReasonString, m.Text))
	if m.Packet == packet.TypeConnect {
		return new(packet.Connack).Decode(packet.AppendConnack(nil, &packet.Connack{Reason: m.Reason, Properties: why}, v5), v5) == nil
	}
	wire := packet.AppendDisconnect(nil, &packet.Disconnect{Reason: m.Reason, Properties: why}, v5)
	return new(packet.Disconnect).Decode(wire, v5, packet.FromServer) == nil
}

// TestRefusedTwice: every property that may be there once is refused when it is
// there twice, in every packet that may have it.
func TestRefusedTwice(t *testing.T) {
	samples := map[packet.PropertyID]packet.Properties{}
	for id := packet.PropertyID(1); id <= packet.SharedAvailable; id++ {
		p := props(number(id, 1))
		if p == nil {
			p = props(text(id, "t"))
		}
		if p != nil {
			samples[id] = p
		}
	}
	if len(samples) != 26 {
		t.Fatalf("%d properties have a sample, there are 26 besides the user property", len(samples))
	}
	method := props(text(packet.AuthMethod, "m"))
	wraps := map[string]func(p packet.Properties) any{
		"CONNECT": func(p packet.Properties) any { return &packet.Connect{Version: v5, Properties: p} },
		"will": func(p packet.Properties) any {
			return &packet.Connect{Version: v5, HasWill: true, Will: packet.Will{Topic: []byte("w"), Properties: p}}
		},
		"CONNACK": func(p packet.Properties) any { return &packet.Connack{Properties: p} },
		"PUBLISH": func(p packet.Properties) any { return &packet.Publish{Topic: []byte("t"), Properties: p} },
		"PUBACK":  func(p packet.Properties) any { return &packet.Ack{Type: packet.TypePuback, ID: 1, Properties: p} },
		"SUBSCRIBE": func(p packet.Properties) any {
			return &packet.Subscribe{ID: 1, Properties: p, Filters: []packet.Subscription{{Filter: []byte("f")}}}
		},
		"SUBACK": func(p packet.Properties) any { return &packet.Suback{ID: 1, Properties: p, Reasons: []packet.Code{0}} },
		"UNSUBSCRIBE": func(p packet.Properties) any {
			return &packet.Unsubscribe{ID: 1, Properties: p, Filters: [][]byte{[]byte("f")}}
		},
		"UNSUBACK": func(p packet.Properties) any {
			return &packet.Unsuback{ID: 1, Properties: p, Reasons: []packet.Code{0}}
		},
		"DISCONNECT": func(p packet.Properties) any { return &packet.Disconnect{Properties: p} },
		"AUTH": func(p packet.Properties) any {
			return &packet.Auth{Reason: packet.ContinueAuthentication, Properties: p}
		},
	}
	once := 0
	for name, wrap := range wraps {
		for id, sample := range samples {
			for _, from := range []packet.Side{packet.FromClient, packet.FromServer} {
				one := append(packet.Properties(nil), sample...)
				if id == packet.AuthData || name == "AUTH" && id != packet.AuthMethod {
					one = append(one, method...)
				}
				if _, err := decode(encode(wrap(one), v5), v5, from); err != nil {
					continue // not a property of this packet, or not from this side
				}
				once++
				_, err := decode(encode(wrap(append(one, sample...)), v5), v5, from)
				var m *packet.Malformed
				many := id == packet.SubscriptionIdentifier && name == "PUBLISH"
				if refused := errors.As(err, &m) && m.Reason == packet.ProtocolError; refused == many {
					t.Errorf("%s with two of %v: %v", name, id, err)
				}
			}
		}
	}
	if once != 91 { // table 2-4 of the specification, each side counted
		t.Errorf("%d combinations were accepted once, want 91", once)
	}
}

// TestCutTooLarge: a packet over the limit is refused before it is all there.
func TestCutTooLarge(t *testing.T) {
	var m *packet.Malformed
	if _, _, err := packet.Cut(unhex(t, "30 80 01"), 130); !errors.As(err, &m) || m.Reason != packet.PacketTooLarge {
		t.Errorf("131 bytes under a limit of 130: %v", err)
	}
	if n, need, err := packet.Cut(unhex(t, "30 80 01"), 131); n != 0 || need != 131 || err != nil {
		t.Errorf("131 bytes under a limit of 131: %d, %d, %v", n, need, err)
	}
	if n, need, err := packet.Cut(unhex(t, "30 FF FF FF 7F"), 0); n != 0 || need != packet.MaxRemaining+5 || err != nil {
		t.Errorf("the longest packet: %d, %d, %v", n, need, err)
	}
}

// TestConnectVersion: a refused CONNECT says in which form it is to be answered.
func TestConnectVersion(t *testing.T) {
	for _, c := range []struct {
		wire string
		want packet.Version
	}{
		{"10 0D 0004'MQTT' 07 02 0000 0001'a'", packet.V5},
		{"10 0D 0004'MQTT' 03 02 0000 0001'a'", packet.V311},
		{"10 0F 0006'MQIsdp' 03 02 0000 0001'a'", packet.V311},
		{"10 0D 0004'MQTT' 84 02 0000 0001'a'", packet.V311},
		{"10 0D 0004'MQTT' 85 02 0000 0001'a'", packet.V5},
		{"10 0D 0004'HTTP' 04 02 0000 0001'a'", 0},
		{"10 0E 0004'MQTT' 05 03 0000 00 0001'a'", packet.V5},
		{"10 02 0004", 0},
	} {
		var p packet.Connect
		if err := p.Decode(unhex(t, c.wire)); err == nil || p.Version != c.want {
			t.Errorf("%s: version %d (%v), want %d", c.wire, p.Version, err, c.want)
		}
	}
}

// TestReturnCodes: what 3.1.1 has no return code for gets no CONNACK.
func TestReturnCodes(t *testing.T) {
	for code, want := range map[packet.Code]string{
		packet.Success: "20020000", packet.UnsupportedProtocolVersion: "20020001",
		packet.ClientIdentifierNotValid: "20020002", packet.ServerBusy: "20020003",
		packet.BadUserNameOrPassword: "20020004", packet.Banned: "20020005",
		packet.MalformedPacket: "", packet.ProtocolError: "", packet.TopicNameInvalid: "",
	} {
		if got := packet.AppendConnack(nil, &packet.Connack{Reason: code}, v4); string(got) != string(unhex(t, want)) {
			t.Errorf("%v: %X, want %s", code, got, want)
		}
	}
	if got := packet.AppendSuback(nil, &packet.Suback{ID: 1, Reasons: []packet.Code{2, packet.NotAuthorized}}, v4); string(got) != string(unhex(t, "9004 0001 02 80")) {
		t.Errorf("SUBACK of 3.1.1: %X", got)
	}
}
