package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func TestMQTT5SubscriptionOptions(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		c, other := f.mqtt(packet.V5, "c"), f.mqtt(packet.V5, "other")
		other.publishes(packet.Publish{Topic: []byte("a/kept"), Payload: []byte("kept"), QoS: 1, Retain: true})
		c.subscribes(packet.Subscription{Filter: []byte("a/#"), QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: packet.RetainNever})
		c.publishes(message("a/own", "own", 1)) // no local
		other.publishes(packet.Publish{Topic: []byte("a/x"), Payload: []byte("as published"), Retain: true})
		if m := c.gets("as published"); !m.Retain {
			t.Errorf("%+v", m)
		}
		ifNew := packet.Subscription{Filter: []byte("a/kept"), QoS: 1, RetainHandling: packet.RetainIfNew}
		c.subscribes(ifNew)
		if m := c.gets("kept"); !m.Retain {
			t.Errorf("%+v", m)
		}
		c.subscribes(ifNew) // it was there
		c.quiet()
	})
}

// One copy, however many subscriptions match: the highest QoS, every identifier.
func TestMQTT5Overlap(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		c := f.mqtt(packet.V5, "c")
		id := func(n uint32) packet.Properties {
			return packet.Properties(nil).AppendNumber(packet.SubscriptionIdentifier, n)
		}
		c.subscribesWith(id(7), to("a/#", 0))
		c.subscribesWith(id(9), to("a/+", 2))
		c.subscribes(to("a/b", 1))
		pub := f.mqtt(packet.V5, "pub")
		for _, qos := range []uint8{2, 0} {
			pub.publishes(message("a/b", "x", qos))
			m := c.gets("x")
			var ids []string
			for p := range m.Properties.All() {
				ids = append(ids, fmt.Sprint(p.Number))
			}
			if got := strings.Join(ids, " "); m.QoS != qos || got != "7 9" && got != "9 7" {
				t.Errorf("QoS %d with the identifiers %s", m.QoS, got)
			}
		}
		c.quiet()
	})
}

func TestMQTT5Properties(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("a", 1))
		all := packet.Properties(nil).AppendNumber(packet.PayloadFormat, 1).AppendBytes(packet.ContentType, []byte("text/plain")).
			AppendBytes(packet.ResponseTopic, []byte("answers")).AppendBytes(packet.CorrelationData, []byte{0, 1, 255}).
			AppendUser([]byte("colour"), []byte("blue")).AppendUser([]byte("colour"), []byte("red")).
			AppendUser([]byte("content_type"), []byte("mine")).AppendUser(nil, []byte("unnamed")).AppendUser([]byte("user.x"), []byte("y"))
		for qos := range uint8(2) {
			pub.publishes(packet.Publish{Topic: []byte("a"), Payload: []byte("x"), QoS: qos, Properties: all})
			if m := sub.gets("x"); !bytes.Equal(m.Properties, all) {
				t.Errorf("QoS %d: %x came as %x", qos, all, m.Properties)
			}
		}
	})
}

func TestMQTT5Aliases(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		sub, pub := f.mqtt(packet.V5, "sub", with(packet.TopicAliasMaximum, 1)), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("#", 1))
		alias := packet.Properties(nil).AppendNumber(packet.TopicAlias, 3)
		pub.publishes(packet.Publish{Topic: []byte("long/topic/a"), Payload: []byte("1"), Properties: alias})
		pub.publishes(packet.Publish{Payload: []byte("2"), Properties: alias, QoS: 1})
		pub.publishes(packet.Publish{Topic: []byte("long/topic/b"), Payload: []byte("3"), Properties: alias})
		pub.publishes(packet.Publish{Payload: []byte("4"), Properties: alias})
		var got []string
		topic := ""
		for i := range 4 {
			m := sub.gets(fmt.Sprint(i + 1))
			if n := m.Properties.Number(packet.TopicAlias, 0); n != 1 {
				t.Errorf("message %d has the alias %d", i+1, n)
			}
			if len(m.Topic) > 0 {
				topic = string(m.Topic)
			}
			got = append(got, fmt.Sprintf("%s %v", topic, len(m.Topic) > 0))
		}
		if want := "long/topic/a true, long/topic/a false, long/topic/b true, long/topic/b false"; strings.Join(got, ", ") != want {
			t.Errorf("got %v", got)
		}
		pub.sends(&packet.Publish{Payload: []byte("x"), Properties: packet.Properties(nil).AppendNumber(packet.TopicAlias, 4)})
		pub.ends(packet.TopicAliasInvalid)
		other := f.mqtt(packet.V5, "other")
		other.sends(&packet.Publish{Topic: []byte("x"), Properties: packet.Properties(nil).AppendNumber(packet.TopicAlias, 17)})
		other.ends(packet.TopicAliasInvalid)
		again := f.mqtt(packet.V5, "pub") // aliases have ended with the connection
		again.sends(&packet.Publish{Payload: []byte("x"), Properties: alias})
		again.ends(packet.TopicAliasInvalid)
	})
}

func TestMQTT5MaximumPacketSize(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		sub, pub := f.mqtt(packet.V5, "sub", with(packet.MaximumPacketSize, 100)), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("a", 1))
		for qos := range uint8(2) {
			pub.publishes(message("a", strings.Repeat("x", 200), qos))
			pub.publishes(message("a", "small", qos))
			sub.gets("small")
		}
		f.awaitOf("weft_copies_dropped_total", "too_large", 2)
		// An answer that is too large goes without what may be left out.
		tiny := f.mqttDial(packet.V5)
		tiny.connect("tiny", with(packet.MaximumPacketSize, 6), func(m *packet.Connect) {
			m.Properties = m.Properties.AppendBytes(packet.AuthMethod, []byte("x"))
		})
		small := f.mqtt(packet.V5, "small", with(packet.MaximumPacketSize, 30))
		small.send([]byte{0xF0, 0})
		small.ends(packet.ProtocolError)
	})
}

// The client's receive maximum bounds what is under way to it, ours what it sends.
func TestMQTT5ReceiveMaximum(t *testing.T) {
	config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {receive_maximum: 2}}]
api: {address: ""}
`
	eachMQTT5(t, config, func(t *testing.T, f *fixture) {
		sub, pub := f.mqtt(packet.V5, "sub", with(packet.ReceiveMaximum, 2)), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("a", 1))
		for i := range 5 {
			pub.publishes(message("a", fmt.Sprint(i), 1))
		}
		first := sub.hears()
		sub.hears()
		sub.quiet()
		sub.acks(packet.TypePuback, first.ID)
		if m := sub.hears(); string(m.Payload) != "2" {
			t.Errorf("behind the window came %q", m.Payload)
		}
		sub.quiet()
		for i := range uint16(2) {
			pub.sends(&packet.Publish{Topic: []byte("b"), QoS: 2, ID: 100 + i})
			pub.hearsAck()
		}
		pub.sends(&packet.Publish{Topic: []byte("b"), QoS: 2, ID: 102})
		pub.ends(packet.ReceiveMaximumExceeded)
	})
}

func TestMQTT5Expiry(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		sub, pub := f.mqtt(packet.V5, "sub", persistent), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("a", 1))
		sub.leaves()
		soon := packet.Properties(nil).AppendNumber(packet.MessageExpiry, 1)
		late := packet.Properties(nil).AppendNumber(packet.MessageExpiry, 600)
		pub.publishes(packet.Publish{Topic: []byte("a"), Payload: []byte("soon"), QoS: 1, Properties: soon})
		pub.publishes(packet.Publish{Topic: []byte("a"), Payload: []byte("late"), QoS: 1, Properties: late})
		time.Sleep(1100 * time.Millisecond) // the time itself
		sub = f.mqtt(packet.V5, "sub", persistent)
		if m := sub.gets("late"); m.Properties.Number(packet.MessageExpiry, 0) > 599 || m.Properties.Number(packet.MessageExpiry, 0) < 500 {
			t.Errorf("it expires in %d s", m.Properties.Number(packet.MessageExpiry, 0))
		}
		sub.quiet()
		live := f.mqtt(packet.V5, "live")
		live.subscribes(to("b", 0))
		pub.publishes(packet.Publish{Topic: []byte("b"), Payload: []byte("x"), Properties: late})
		if m := live.gets("x"); m.Properties.Number(packet.MessageExpiry, 0) != 600 {
			t.Errorf("%+v", m)
		}
	})
}

func TestMQTT5SessionExpiry(t *testing.T) {
	config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {session: {expiry_max: 1h}, keep_alive_max: 30s}}]
api: {address: ""}
`
	eachMQTT5(t, config, func(t *testing.T, f *fixture) {
		c := f.mqttDial(packet.V5)
		ack := c.connect("", with(packet.SessionExpiry, 7200))
		id := ack.Properties.Bytes(packet.AssignedClientID)
		if len(id) == 0 || ack.Properties.Number(packet.SessionExpiry, 0) != 3600 || ack.Properties.Number(packet.ServerKeepAlive, 0) != 30 {
			t.Errorf("CONNACK says %x", ack.Properties)
		}
		c.send(packet.AppendDisconnect(nil, &packet.Disconnect{Properties: packet.Properties(nil).AppendNumber(packet.SessionExpiry, 0)}, packet.V5))
		c.packet()
		f.awaitOf("weft_mqtt_sessions", "away", 0)
		f.awaitOf("weft_mqtt_sessions", "connected", 0)
		// Some seconds, and it is gone.
		c = f.mqtt(packet.V5, "c", with(packet.SessionExpiry, 3))
		c.leaves()
		f.awaitOf("weft_mqtt_sessions", "away", 1)
		f.awaitOf("weft_mqtt_sessions", "away", 0)
		d := f.mqtt(packet.V5, "d")
		d.send(packet.AppendDisconnect(nil, &packet.Disconnect{Properties: packet.Properties(nil).AppendNumber(packet.SessionExpiry, 10)}, packet.V5))
		d.ends(packet.ProtocolError)
	})
}

func TestMQTT5Shared(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		const n = 20
		pub, plain := f.mqtt(packet.V5, "pub"), f.mqtt(packet.V5, "plain")
		plain.subscribes(to("a/#", 0))
		one, two := f.mqtt(packet.V5, "one"), f.mqtt(packet.V5, "two")
		for _, c := range []*mqttClient{one, two} {
			c.subscribes(to("$share/g/a/#", 1))
		}
		for i := range n {
			pub.publishes(message("a/b", fmt.Sprint(i), 1))
			plain.gets(fmt.Sprint(i))
		}
		f.awaitOf("weft_mqtt_packets_sent_total", "publish", 2*n)
		first, second := one.collects(), two.collects()
		if len(first)+len(second) != n || len(first) < n/4 || len(second) < n/4 {
			t.Errorf("of %d messages one member got %d, the other %d", n, len(first), len(second))
		}
		// Neither has acknowledged anything. Who ends leaves its own to the other.
		one.breaks(f)
		for _, text := range first {
			two.gets(text)
		}
		two.quiet()
	})
}

func TestMQTT5ReasonCodes(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		c := f.mqtt(packet.V5, "c")
		if got := c.publishes(message("nobody/there", "x", 1)); got != packet.NoMatchingSubscribers {
			t.Errorf("PUBACK says %v", got)
		}
		if got := c.publishes(message("nobody/there", "x", 2)); got != packet.NoMatchingSubscribers {
			t.Errorf("PUBREC says %v", got)
		}
		if got := c.publishes(message("*", "x", 1)); got != packet.TopicNameInvalid {
			t.Errorf("PUBACK says %v", got)
		}
		if got := c.subscribes(to("a", 1), to("b*c", 1)); got[0] != packet.GrantedQoS1 || got[1] != packet.TopicFilterInvalid {
			t.Errorf("SUBACK says %v", got)
		}
		c.acks(packet.TypePubrel, 4711)
		if got := c.hearsAck(); got.Type != packet.TypePubcomp || got.Reason != packet.PacketIdentifierNotFound {
			t.Errorf("the answer to a PUBREL of nothing is %+v", got)
		}
		c.acks(packet.TypePubrec, 4711)
		if got := c.hearsAck(); got.Type != packet.TypePubrel || got.Reason != packet.PacketIdentifierNotFound {
			t.Errorf("the answer to a PUBREC of nothing is %+v", got)
		}
		c.acks(packet.TypePuback, 4711) // is ignored
		// DUP says nothing to anybody else; what is not retained leaves alone what is.
		c.publishes(packet.Publish{Topic: []byte("a"), Payload: []byte("kept"), QoS: 1, Retain: true, Dup: true})
		if m := c.gets("kept"); m.Dup {
			t.Errorf("%+v", m)
		}
		c.publishes(message("a", "not kept", 0))
		c.gets("not kept")
		c.subscribes(to("a", 1))
		c.gets("kept")
		c.quiet()
	})
}
