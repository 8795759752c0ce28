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

// golden are packets written by hand from the specifications' tables, and what
// they say.
var golden = []struct {
	name    string
	version packet.Version
	from    packet.Side
	wire    string
	packet  any
}{
	{"connect 3.1.1, nothing optional", packet.V311, packet.FromClient,
		"10 0D 0004 'MQTT' 04 02 003C 0001 'a'",
		&packet.Connect{Version: packet.V311, CleanStart: true, KeepAlive: 60, ClientID: []byte("a")}},
	{"connect 3.1.1, everything", packet.V311, packet.FromClient,
		"10 1D 0004 'MQTT' 04 EC 000A 0002 'id' 0003 'w/t' 0001 'x' 0001 'u' 0002 'pw'",
		&packet.Connect{Version: packet.V311, KeepAlive: 10, ClientID: []byte("id"), HasWill: true,
			Will:     packet.Will{QoS: 1, Retain: true, Topic: []byte("w/t"), Payload: []byte("x")},
			Username: []byte("u"), Password: []byte("pw")}},
	{"connect 5.0, empty client id", packet.V5, packet.FromClient,
		"10 0D 0004 'MQTT' 05 02 0000 00 0000",
		&packet.Connect{Version: packet.V5, CleanStart: true, ClientID: []byte{}}},
	{"publish, QoS 0", packet.V311, packet.FromClient,
		"30 07 0003 'a/b' 'hi'",
		&packet.Publish{Topic: []byte("a/b"), Payload: []byte("hi")}},
	{"puback", packet.V311, packet.FromClient, "40 02 0007", &packet.Ack{Type: packet.TypePuback, ID: 7}},
	{"pubrel, 5.0", packet.V5, packet.FromClient, "62 03 0007 92",
		&packet.Ack{Type: packet.TypePubrel, ID: 7, Reason: packet.PacketIdentifierNotFound}},
	{"subscribe 5.0", packet.V5, packet.FromClient, "82 0D 000A 02 0B07 0005 'a/+/#' 2E",
		&packet.Subscribe{ID: 10, Properties: packet.Properties(nil).AppendNumber(packet.SubscriptionIdentifier, 7),
			Filters: []packet.Subscription{{Filter: []byte("a/+/#"), QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: packet.RetainNever}}}},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
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
