package packet_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestPatch: one encoded PUBLISH becomes another by its identifier and flags.
func TestPatch(t *testing.T) {
	for _, v := range []packet.Version{v4, v5} {
		for _, size := range []int{0, 100, 200, 20_000, 3_000_000} {
			p := samplePublish(1, size, v == v5)
			unit := packet.AppendPublish(nil, p, v)
			if got := p.Size(v); got != len(unit) {
				t.Errorf("Size says %d, there are %d", got, len(unit))
			}
			packet.PatchID(unit, packet.IDOffset(unit), 0xBEEF)
			packet.PatchDup(unit, true)
			packet.PatchRetain(unit, true)
			want := *p
			want.ID, want.Dup, want.Retain = 0xBEEF, true, true
			var got packet.Publish
			if err := got.Decode(unit, v, packet.FromClient); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			packet.PatchDup(unit, false)
			packet.PatchRetain(unit, false)
			if packet.PatchID(unit, packet.IDOffset(unit), p.ID); !bytes.Equal(unit, packet.AppendPublish(nil, p, v)) {
				t.Error("patched back it is not what it was")
			}
		}
	}
	if at := packet.IDOffset(packet.AppendPublish(nil, samplePublish(0, 10, false), v4)); at != -1 {
		t.Errorf("at QoS 0 there is an identifier at %d", at)
	}
	for _, broken := range []string{"", "32", "62 02 0001", "82 07 0001 00 0001'a' 00", "32 80", "32 02 00", "32 04 0001'a' 00", "32 04 FFFF 00 00"} {
		if at := packet.IDOffset(unhex(t, broken)); at != -1 {
			t.Errorf("%s: an identifier at %d", broken, at)
		}
	}
}

// TestTooLong: what cannot be encoded adds nothing, behind whatever is there.
func TestTooLong(t *testing.T) {
	long := make([]byte, 65536)
	huge := packet.Properties(make([]byte, packet.MaxRemaining))
	before := []byte("before")
	for name, got := range map[string][]byte{
		"PUBLISH, topic":    packet.AppendPublish(before, &packet.Publish{Topic: long}, v4),
		"PUBLISH, payload":  packet.AppendPublish(before, &packet.Publish{Topic: long[:1], Payload: huge}, v4),
		"CONNECT, client":   packet.AppendConnect(before, &packet.Connect{Version: v5, ClientID: long}),
		"CONNECT, user":     packet.AppendConnect(before, &packet.Connect{Version: v5, Username: long}),
		"CONNECT, password": packet.AppendConnect(before, &packet.Connect{Version: v5, Password: long}),
		"CONNECT, will":     packet.AppendConnect(before, &packet.Connect{Version: v5, HasWill: true, Will: packet.Will{Payload: long}}),
		"CONNECT, huge":     packet.AppendConnect(before, &packet.Connect{Version: v5, Properties: huge}),
		"CONNACK":           packet.AppendConnack(before, &packet.Connack{Properties: huge}, v5),
		"PUBACK":            packet.AppendAck(before, &packet.Ack{Type: packet.TypePuback, Properties: huge}, v5),
		"SUBSCRIBE":         packet.AppendSubscribe(before, &packet.Subscribe{Filters: []packet.Subscription{{Filter: long}}}, v5),
		"SUBSCRIBE, huge":   packet.AppendSubscribe(before, &packet.Subscribe{Properties: huge}, v5),
		"SUBACK":            packet.AppendSuback(before, &packet.Suback{Properties: huge}, v5),
		"UNSUBSCRIBE":       packet.AppendUnsubscribe(before, &packet.Unsubscribe{Filters: [][]byte{long}}, v5),
		"UNSUBSCRIBE, huge": packet.AppendUnsubscribe(before, &packet.Unsubscribe{Properties: huge}, v5),
		"UNSUBACK":          packet.AppendUnsuback(before, &packet.Unsuback{Properties: huge}, v5),
		"DISCONNECT":        packet.AppendDisconnect(before, &packet.Disconnect{Properties: huge}, v5),
		"AUTH":              packet.AppendAuth(before, &packet.Auth{Properties: huge}, v5),
		"AUTH, 3.1.1":       packet.AppendAuth(before, &packet.Auth{}, v4),
	} {
		if !bytes.Equal(got, before) {
			t.Errorf("%s: %d bytes were added", name, len(got)-len(before))
		}
	}
	if n := (&packet.Publish{Topic: long}).Size(v4); n != 0 {
		t.Errorf("a topic of 65,536 bytes has the size %d", n)
	}
}

// TestAppendProperty: a value that is not of the property's kind adds nothing.
func TestAppendProperty(t *testing.T) {
	long := make([]byte, 65536)
	var p packet.Properties
	p = p.AppendNumber(packet.ContentType, 1)
	p = p.AppendNumber(packet.UserProperty, 1)
	p = p.AppendNumber(packet.PayloadFormat, 256)
	p = p.AppendNumber(packet.TopicAlias, 65536)
	p = p.AppendNumber(packet.SubscriptionIdentifier, packet.MaxRemaining+1)
	p = p.AppendNumber(4, 1)
	p = p.AppendNumber(200, 1)
	p = p.AppendBytes(packet.TopicAlias, []byte("1"))
	p = p.AppendBytes(packet.ContentType, long)
	p = p.AppendBytes(200, nil)
	p = p.AppendUser(long, nil)
	p = p.AppendUser(nil, long)
	p = p.Append(packet.Property{})
	p = p.Append(packet.Property{ID: 200})
	if p != nil {
		t.Errorf("%X", p)
	}
}

func TestProperties(t *testing.T) {
	p := props(number(packet.TopicAlias, 7), user("k", "1"), text(packet.ContentType, ""), user("k", "2"))
	if p.Number(packet.TopicAlias, 0) != 7 || p.Number(packet.ReceiveMaximum, 65535) != 65535 {
		t.Error("a number is not what it was")
	}
	if p.Bytes(packet.ContentType) == nil || p.Bytes(packet.ResponseTopic) != nil {
		t.Error("an empty text and none are not told apart")
	}
	var users []string
	for one := range p.All() {
		if one.ID == packet.UserProperty {
			users = append(users, string(one.Name)+"="+string(one.Value))
		}
	}
	if !reflect.DeepEqual(users, []string{"k=1", "k=2"}) {
		t.Errorf("user properties: %v", users)
	}
	for one := range p.All() {
		if one.ID != packet.TopicAlias {
			t.Errorf("the first property is %v", one.ID)
		}
		break
	}
	if first, rest := (packet.Properties{}).Next(); first.ID != 0 || rest != nil {
		t.Errorf("the first of none is %+v", first)
	}
}

// TestAliases: what a decoder hands out lies in its input, and cannot grow into
// what is behind it.
func TestAliases(t *testing.T) {
	wire := packet.AppendPublish(nil, samplePublish5, v5)
	wire = append(wire, 0xC0, 0x00)
	n, _, _ := packet.Cut(wire, 0)
	var p packet.Publish
	if err := p.Decode(wire[:n], v5, packet.FromClient); err != nil {
		t.Fatal(err)
	}
	was := append([]byte(nil), wire...)
	_ = append(p.Topic, "xx"...)
	_ = append(p.Properties, "xx"...)
	_ = append(p.Payload, "xx"...)
	if !bytes.Equal(was, wire) {
		t.Error("a slice grew into its neighbour")
	}
	wire[len(wire)-3] = 'Y'
	if p.Payload[len(p.Payload)-1] != 'Y' {
		t.Error("the payload is a copy")
	}
}

func TestNames(t *testing.T) {
	for c := packet.Code(0); c <= packet.WildcardsNotSupported; c++ {
		known := c <= 2 || c == 4 || c == 0x10 || c == 0x11 || c == 0x18 || c == 0x19 || c >= 0x80
		if (c.String() != "unknown reason") != known {
			t.Errorf("0x%02X is called %q", uint8(c), c)
		}
	}
	for _, c := range []struct{ got, want string }{
		{packet.SessionTakenOver.String(), "session taken over"},
		{packet.WildcardsNotSupported.String(), "wildcard subscriptions not supported"},
		{packet.Code(0xA3).String(), "unknown reason"},
		{packet.TypePubrel.String(), "PUBREL"},
		{packet.TypeAuth.String(), "AUTH"},
		{packet.Type(0).String(), "unknown"},
		{packet.Type(16).String(), "unknown"},
		{packet.TopicAlias.String(), "topic alias"},
		{packet.PropertyID(4).String(), "unknown property"},
		{packet.PropertyID(99).String(), "unknown property"},
		{packet.V311.String(), "3.1.1"},
		{packet.V5.String(), "5.0"},
		{packet.Version(3).String(), "unknown"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	err := new(packet.Publish).Decode(unhex(t, "30 05 0003'a/+'"), v4, packet.FromClient)
	want := "mqtt: PUBLISH refused: the topic name has a wildcard (0x90 topic name invalid, [MQTT-3.3.2-2])"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestWrongDecoder: bytes of another packet, or not of one whole packet, are
// refused.
func TestWrongDecoder(t *testing.T) {
	whole := unhex(t, "30 03 0001'a'")
	for name, err := range map[string]error{
		"SUBSCRIBE as PUBLISH": new(packet.Publish).Decode(unhex(t, "82 06 0001 0001'a' 00"), v4, 0),
		"PUBLISH as PUBACK":    new(packet.Ack).Decode(whole, v4),
		"PUBLISH as CONNECT":   new(packet.Connect).Decode(whole),
		"PUBLISH as PINGREQ":   packet.DecodePing(whole, v4),
		"nothing as PINGREQ":   packet.DecodePing(nil, v4),
		"nothing as PUBACK":    new(packet.Ack).Decode(nil, v4),
		"nothing as PUBLISH":   new(packet.Publish).Decode(nil, v4, 0),
		"half a PUBLISH":       new(packet.Publish).Decode(whole[:4], v4, 0),
		"more than a PUBLISH":  new(packet.Publish).Decode(append(whole, 0), v4, 0),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
