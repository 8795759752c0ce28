package packet_test

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// unhex reads bytes written by hand: hex digits, spaces, and 'text' as it is.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(part))
		if err != nil {
			t.Fatalf("the golden bytes %q: %v", s, err)
		}
		out = append(out, b...)
	}
	return out
}

func props(build ...func(packet.Properties) packet.Properties) packet.Properties {
	var p packet.Properties
	for _, add := range build {
		p = add(p)
	}
	return p
}

func number(id packet.PropertyID, n uint32) func(packet.Properties) packet.Properties {
	return func(p packet.Properties) packet.Properties { return p.AppendNumber(id, n) }
}

func text(id packet.PropertyID, s string) func(packet.Properties) packet.Properties {
	return func(p packet.Properties) packet.Properties { return p.AppendBytes(id, []byte(s)) }
}

func user(name, value string) func(packet.Properties) packet.Properties {
	return func(p packet.Properties) packet.Properties { return p.AppendUser([]byte(name), []byte(value)) }
}

// golden are packets written by hand from the specifications' tables, and what
// they say. Each is the shortest form of what it says, so it reads and writes.
var golden = []struct {
	name    string
	version packet.Version
	from    packet.Side
	wire    string
	packet  any
}{
	{"CONNECT, nothing optional", packet.V311, packet.FromClient,
		"10 0D 0004 'MQTT' 04 02 003C 0001 'a'",
		&packet.Connect{Version: packet.V311, CleanStart: true, KeepAlive: 60, ClientID: []byte("a")}},
	{"CONNECT, everything", packet.V311, packet.FromClient,
		"10 1D 0004 'MQTT' 04 EC 000A 0002 'id' 0003 'w/t' 0001 'x' 0001 'u' 0002 'pw'",
		&packet.Connect{Version: packet.V311, KeepAlive: 10, ClientID: []byte("id"), HasWill: true,
			Will:     packet.Will{QoS: 1, Retain: true, Topic: []byte("w/t"), Payload: []byte("x")},
			Username: []byte("u"), Password: []byte("pw")}},
	{"CONNECT, empty client id", packet.V5, packet.FromClient,
		"10 0D 0004 'MQTT' 05 02 0000 00 0000",
		&packet.Connect{Version: packet.V5, CleanStart: true, ClientID: []byte{}}},
	{"CONNECT, everything", packet.V5, packet.FromClient,
		"10 45 0004 'MQTT' 05 D6 0001 1C 11 00000E10 21 0014 27 00010000 22 0003 19 01 17 00 26 0001'k' 0002'vv'" +
			"0001 'c' 10 18 00000005 01 01 02 0000003C 03 0001 't' 0001 'w' 0000 0001 'u' 0000",
		&packet.Connect{Version: packet.V5, CleanStart: true, KeepAlive: 1, ClientID: []byte("c"),
			Properties: props(number(packet.SessionExpiry, 3600), number(packet.ReceiveMaximum, 20),
				number(packet.MaximumPacketSize, 65536), number(packet.TopicAliasMaximum, 3),
				number(packet.RequestResponseInfo, 1), number(packet.RequestProblemInfo, 0), user("k", "vv")),
			HasWill: true,
			Will: packet.Will{QoS: 2, Topic: []byte("w"), Payload: []byte{}, Properties: props(number(packet.WillDelay, 5),
				number(packet.PayloadFormat, 1), number(packet.MessageExpiry, 60), text(packet.ContentType, "t"))},
			Username: []byte("u"), Password: []byte{}}},
	{"CONNECT, a password alone, authentication", packet.V5, packet.FromClient,
		"10 1A 0004 'MQTT' 05 42 0000 09 15 0001'M' 16 0002 0001 0001 'c' 0001 'p'",
		&packet.Connect{Version: packet.V5, CleanStart: true, ClientID: []byte("c"), Password: []byte("p"),
			Properties: props(text(packet.AuthMethod, "M"), text(packet.AuthData, "\x00\x01"))}},

	{"CONNACK", packet.V311, packet.FromServer, "20 02 01 00", &packet.Connack{SessionPresent: true}},
	{"CONNACK, refused", packet.V311, packet.FromServer, "20 02 00 05", &packet.Connack{Reason: packet.NotAuthorized}},
	{"CONNACK", packet.V5, packet.FromServer, "20 03 00 00 00", &packet.Connack{}},
	{"CONNACK, everything", packet.V5, packet.FromServer,
		"20 32 00 00 2F 11 0000003C 21 0064 24 01 25 01 27 00100000 12 0002'id' 22 000A 1F 0002'ok' 28 01 29 00 2A 01" +
			"13 001E 1A 0001'r' 15 0001'M'",
		&packet.Connack{Properties: props(number(packet.SessionExpiry, 60), number(packet.ReceiveMaximum, 100),
			number(packet.MaximumQoS, 1), number(packet.RetainAvailable, 1), number(packet.MaximumPacketSize, 1<<20),
			text(packet.AssignedClientID, "id"), number(packet.TopicAliasMaximum, 10), text(packet.ReasonString, "ok"),
			number(packet.WildcardAvailable, 1), number(packet.IdentifiersAvailable, 0), number(packet.SharedAvailable, 1),
			number(packet.ServerKeepAlive, 30), text(packet.ResponseInfo, "r"), text(packet.AuthMethod, "M"))}},
	{"CONNACK, refused with a reference", packet.V5, packet.FromServer, "20 08 00 9D 05 1C 0002 'b2'",
		&packet.Connack{Reason: packet.ServerMoved, Properties: props(text(packet.ServerReference, "b2"))}},

	{"PUBLISH, QoS 0", packet.V311, packet.FromClient, "30 07 0003 'a/b' 'hi'",
		&packet.Publish{Topic: []byte("a/b"), Payload: []byte("hi")}},
	{"PUBLISH, QoS 1, retain, no payload", packet.V311, packet.FromServer, "33 05 0001 't' 0001",
		&packet.Publish{QoS: 1, Retain: true, ID: 1, Topic: []byte("t"), Payload: []byte{}}},
	{"PUBLISH, QoS 2, dup, retain", packet.V5, packet.FromClient, "3D 0F 0001 't' 1234 08 02 0000000A 23 0003 'p'",
		&packet.Publish{Dup: true, Retain: true, QoS: 2, ID: 0x1234, Topic: []byte("t"), Payload: []byte("p"),
			Properties: props(number(packet.MessageExpiry, 10), number(packet.TopicAlias, 3))}},
	{"PUBLISH, by alias", packet.V5, packet.FromClient, "30 07 0000 03 23 0001 'p'",
		&packet.Publish{Topic: []byte{}, Payload: []byte("p"), Properties: props(number(packet.TopicAlias, 1))}},
	{"PUBLISH, everything", packet.V5, packet.FromServer,
		"30 2E 0001 't' 29 01 01 02 00000001 03 0001'c' 08 0003'r/t' 09 0002 00FF 0B 01 0B 8001 26 0001'k'0001'1' 26 0001'k'0001'2' 'x'",
		&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Properties: props(number(packet.PayloadFormat, 1),
			number(packet.MessageExpiry, 1), text(packet.ContentType, "c"), text(packet.ResponseTopic, "r/t"),
			text(packet.CorrelationData, "\x00\xFF"), number(packet.SubscriptionIdentifier, 1),
			number(packet.SubscriptionIdentifier, 128), user("k", "1"), user("k", "2"))}},

	{"PUBACK", packet.V311, packet.FromClient, "40 02 0007", &packet.Ack{Type: packet.TypePuback, ID: 7}},
	{"PUBREC", packet.V311, packet.FromClient, "50 02 0007", &packet.Ack{Type: packet.TypePubrec, ID: 7}},
	{"PUBREL", packet.V311, packet.FromClient, "62 02 0007", &packet.Ack{Type: packet.TypePubrel, ID: 7}},
	{"PUBCOMP", packet.V311, packet.FromClient, "70 02 FFFF", &packet.Ack{Type: packet.TypePubcomp, ID: 65535}},
	{"PUBACK", packet.V5, packet.FromServer, "40 02 0007", &packet.Ack{Type: packet.TypePuback, ID: 7}},
	{"PUBACK, nobody there", packet.V5, packet.FromServer, "40 03 0007 10",
		&packet.Ack{Type: packet.TypePuback, ID: 7, Reason: packet.NoMatchingSubscribers}},
	{"PUBREC, with words", packet.V5, packet.FromServer, "50 0F 0007 97 0B 1F 0001'q' 26 0001'k' 0001'v'",
		&packet.Ack{Type: packet.TypePubrec, ID: 7, Reason: packet.QuotaExceeded,
			Properties: props(text(packet.ReasonString, "q"), user("k", "v"))}},
	{"PUBREL, not found", packet.V5, packet.FromClient, "62 03 0007 92",
		&packet.Ack{Type: packet.TypePubrel, ID: 7, Reason: packet.PacketIdentifierNotFound}},
	{"PUBCOMP, with words", packet.V5, packet.FromClient, "70 08 0007 00 04 1F 0001'q'",
		&packet.Ack{Type: packet.TypePubcomp, ID: 7, Properties: props(text(packet.ReasonString, "q"))}},

	{"SUBSCRIBE", packet.V311, packet.FromClient, "82 0B 000A 0001 '#' 00 0002 'a/' 02",
		&packet.Subscribe{ID: 10, Filters: []packet.Subscription{{Filter: []byte("#")}, {Filter: []byte("a/"), QoS: 2}}}},
	{"SUBSCRIBE", packet.V5, packet.FromClient, "82 0D 000A 02 0B07 0005 'a/+/#' 2E",
		&packet.Subscribe{ID: 10, Properties: props(number(packet.SubscriptionIdentifier, 7)),
			Filters: []packet.Subscription{{Filter: []byte("a/+/#"), QoS: 2, NoLocal: true, RetainAsPublished: true,
				RetainHandling: packet.RetainNever}}}},
	{"SUBSCRIBE, shared", packet.V5, packet.FromClient, "82 10 000A 00 000A '$share/g/+' 11",
		&packet.Subscribe{ID: 10, Filters: []packet.Subscription{{Filter: []byte("$share/g/+"), QoS: 1,
			RetainHandling: packet.RetainIfNew}}}},
	{"SUBACK", packet.V311, packet.FromServer, "90 06 000A 00 01 02 80",
		&packet.Suback{ID: 10, Reasons: []packet.Code{0, 1, 2, packet.UnspecifiedError}}},
	{"SUBACK", packet.V5, packet.FromServer, "90 09 000A 04 1F 0001'n' 02 87",
		&packet.Suback{ID: 10, Properties: props(text(packet.ReasonString, "n")),
			Reasons: []packet.Code{packet.GrantedQoS2, packet.NotAuthorized}}},
	{"UNSUBSCRIBE", packet.V311, packet.FromClient, "A2 08 000B 0001 '#' 0001 'a'",
		&packet.Unsubscribe{ID: 11, Filters: [][]byte{[]byte("#"), []byte("a")}}},
	{"UNSUBSCRIBE", packet.V5, packet.FromClient, "A2 0D 000B 07 26 0001'k' 0001'v' 0001 '+'",
		&packet.Unsubscribe{ID: 11, Properties: props(user("k", "v")), Filters: [][]byte{[]byte("+")}}},
	{"UNSUBACK", packet.V311, packet.FromServer, "B0 02 000B", &packet.Unsuback{ID: 11}},
	{"UNSUBACK", packet.V5, packet.FromServer, "B0 05 000B 00 00 11",
		&packet.Unsuback{ID: 11, Reasons: []packet.Code{packet.Success, packet.NoSubscriptionExisted}}},

	{"PINGREQ", packet.V311, packet.FromClient, "C0 00", packet.TypePingreq},
	{"PINGRESP", packet.V5, packet.FromServer, "D0 00", packet.TypePingresp},
	{"DISCONNECT", packet.V311, packet.FromClient, "E0 00", &packet.Disconnect{}},
	{"DISCONNECT", packet.V5, packet.FromClient, "E0 00", &packet.Disconnect{}},
	{"DISCONNECT, publish the will", packet.V5, packet.FromClient, "E0 01 04", &packet.Disconnect{Reason: packet.DisconnectWithWill}},
	{"DISCONNECT, keep the session", packet.V5, packet.FromClient, "E0 07 00 05 11 000000FF",
		&packet.Disconnect{Properties: props(number(packet.SessionExpiry, 255))}},
	{"DISCONNECT, taken over", packet.V5, packet.FromServer, "E0 06 8E 04 1F 0001'x'",
		&packet.Disconnect{Reason: packet.SessionTakenOver, Properties: props(text(packet.ReasonString, "x"))}},
	{"AUTH", packet.V5, packet.FromClient, "F0 0B 18 09 15 0001'M' 16 0002 C3FF",
		&packet.Auth{Reason: packet.ContinueAuthentication,
			Properties: props(text(packet.AuthMethod, "M"), text(packet.AuthData, "\xC3\xFF"))}},
	{"AUTH, success", packet.V5, packet.FromServer, "F0 00", &packet.Auth{}},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.version.String()+" "+g.name, func(t *testing.T) {
			wire := unhex(t, g.wire)
			if n, _, err := packet.Cut(wire, 0); n != len(wire) || err != nil {
				t.Fatalf("Cut: %d, %v, the packet has %d bytes", n, err, len(wire))
			}
			got, err := decode(wire, g.version, g.from)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, g.packet) {
				t.Errorf("decoded\n%+v, not\n%+v", got, g.packet)
			}
			if again := encode(g.packet, g.version); string(again) != string(wire) {
				t.Errorf("encoded\n%X, not\n%X", again, wire)
			}
		})
	}
}

// decode reads any packet.
func decode(b []byte, v packet.Version, from packet.Side) (any, error) {
	switch packet.TypeOf(b) {
	case packet.TypeConnect:
		p := new(packet.Connect)
		return p, p.Decode(b)
	case packet.TypeConnack:
		p := new(packet.Connack)
		return p, p.Decode(b, v)
	case packet.TypePublish:
		p := new(packet.Publish)
		return p, p.Decode(b, v, from)
	case packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp:
		p := new(packet.Ack)
		return p, p.Decode(b, v)
	case packet.TypeSubscribe:
		p := new(packet.Subscribe)
		return p, p.Decode(b, v)
	case packet.TypeSuback:
		p := new(packet.Suback)
		return p, p.Decode(b, v)
	case packet.TypeUnsubscribe:
		p := new(packet.Unsubscribe)
		return p, p.Decode(b, v)
	case packet.TypeUnsuback:
		p := new(packet.Unsuback)
		return p, p.Decode(b, v)
	case packet.TypeDisconnect:
		p := new(packet.Disconnect)
		return p, p.Decode(b, v, from)
	case packet.TypeAuth:
		p := new(packet.Auth)
		return p, p.Decode(b, v, from)
	}
	return packet.TypeOf(b), packet.DecodePing(b, v)
}

// encode writes what decode read.
func encode(p any, v packet.Version) []byte {
	switch p := p.(type) {
	case *packet.Connect:
		return packet.AppendConnect(nil, p)
	case *packet.Connack:
		return packet.AppendConnack(nil, p, v)
	case *packet.Publish:
		return packet.AppendPublish(nil, p, v)
	case *packet.Ack:
		return packet.AppendAck(nil, p, v)
	case *packet.Subscribe:
		return packet.AppendSubscribe(nil, p, v)
	case *packet.Suback:
		return packet.AppendSuback(nil, p, v)
	case *packet.Unsubscribe:
		return packet.AppendUnsubscribe(nil, p, v)
	case *packet.Unsuback:
		return packet.AppendUnsuback(nil, p, v)
	case *packet.Disconnect:
		return packet.AppendDisconnect(nil, p, v)
	case *packet.Auth:
		return packet.AppendAuth(nil, p, v)
	case packet.Type:
		if p == packet.TypePingreq {
			return packet.AppendPingreq(nil)
		}
		return packet.AppendPingresp(nil)
	}
	return nil
}
