package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func TestMQTTDelivers(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		pub := f.mqtt(v, "pub")
		for s := range uint8(3) {
			sub := f.mqtt(v, fmt.Sprintf("sub-%d", s))
			if got := sub.subscribes(to("a/+", s)); got[0] != packet.Code(s) {
				t.Fatalf("granted %v", got)
			}
			for q := range uint8(3) {
				if got := pub.publishes(message("a/b", "x", q)); got != packet.Success {
					t.Errorf("published with %v", got)
				}
				if m := sub.gets("x"); m.QoS != min(q, s) || string(m.Topic) != "a/b" || m.Dup || m.Retain {
					t.Errorf("published with %d, subscribed with %d: %+v", q, s, m)
				}
			}
			sub.leaves()
		}
	})
}

func TestMQTTUnsubscribes(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		c.subscribes(to("a", 0), to("b", 0))
		c.unsubscribes("a")
		c.publishes(message("a", "no", 0))
		c.publishes(message("b", "yes", 0))
		c.gets("yes")
	})
}

func TestMQTTResume(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		pub := f.mqtt(v, "pub")
		sub := f.mqtt(v, "sub", persistent)
		sub.subscribes(to("a", 2))
		pub.publishes(message("a", "one", 1))
		pub.publishes(message("a", "two", 2))
		first, second := sub.hears(), sub.hears()
		sub.breaks(f)
		pub.publishes(message("a", "three", 1))
		sub = f.mqttDial(v)
		if ack := sub.connect("sub", persistent); !ack.SessionPresent {
			t.Fatal("the session is gone")
		}
		// What was not acknowledged comes again: marked, in order, with its identifier.
		for _, want := range []packet.Publish{first, second} {
			got := sub.gets(string(want.Payload))
			if !got.Dup || got.ID != want.ID || got.QoS != want.QoS {
				t.Errorf("%+v came again as %+v", want, got)
			}
		}
		if m := sub.gets("three"); m.Dup {
			t.Error("what is sent for the first time is marked as a duplicate")
		}
		sub.quiet()
	})
}

// An exchange of QoS 2 goes on where it stood, on either side of PUBREC.
func TestMQTTResumeExactlyOnce(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		sub := f.mqtt(v, "sub", persistent)
		sub.subscribes(to("a", 2))
		pub := f.mqtt(v, "pub", persistent)
		m := message("a", "once", 2)
		pub.sends(&m)
		if ack := pub.hearsAck(); ack.Type != packet.TypePubrec {
			t.Fatalf("%+v", ack)
		}
		got := sub.hears()
		sub.acks(packet.TypePubrec, got.ID)
		if rel := sub.hearsAck(); rel.Type != packet.TypePubrel {
			t.Fatalf("%+v", rel)
		}
		sub.breaks(f)
		pub.breaks(f)

		pub = f.mqtt(v, "pub", persistent)
		m.Dup = true
		pub.sends(&m) // it did not hear PUBREC, it thinks
		if ack := pub.hearsAck(); ack.Type != packet.TypePubrec || ack.Reason != packet.Success {
			t.Fatalf("%+v", ack)
		}
		pub.acks(packet.TypePubrel, m.ID)
		if ack := pub.hearsAck(); ack.Type != packet.TypePubcomp || ack.Reason != packet.Success {
			t.Fatalf("%+v", ack)
		}
		sub = f.mqtt(v, "sub", persistent)
		if rel := sub.hearsAck(); rel.Type != packet.TypePubrel || rel.ID != got.ID {
			t.Fatalf("instead of PUBREL came %+v", rel)
		}
		sub.acks(packet.TypePubcomp, got.ID)
		pub.publishes(message("a", "next", 2))
		sub.gets("next")
	})
}

func TestMQTTCleanStartForgets(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		sub := f.mqtt(v, "sub", persistent)
		sub.subscribes(to("a", 1))
		sub.leaves()
		c := f.mqttDial(v)
		if ack := c.connect("sub"); ack.SessionPresent {
			t.Error("a clean start finds a session")
		}
		c.leaves()
		f.await("weft_subscriptions", 0)
		c = f.mqttDial(v)
		if ack := c.connect("sub", persistent); ack.SessionPresent {
			t.Error("a session that ended with its connection is still there")
		}
	})
}

func TestMQTTTakeover(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		old := f.mqtt(v, "c", persistent)
		old.subscribes(to("a", 1))
		f.mqtt(v, "pub").publishes(packet.Publish{Topic: []byte("a"), Payload: []byte("kept"), QoS: 1, Retain: true})
		if m := old.hears(); m.Retain {
			t.Error("a message for a subscription that is there is marked as retained")
		}
		c := f.mqttDial(v)
		if ack := c.connect("c", persistent); !ack.SessionPresent {
			t.Error("the session is gone")
		}
		old.ends(packet.SessionTakenOver)
		// The one that was not acknowledged, once, and nothing because it is retained.
		if m := c.gets("kept"); !m.Dup || m.Retain {
			t.Errorf("%+v", m)
		}
		c.quiet()
		f.await("weft_mqtt_takeovers_total", 1)
	})
}

func TestMQTTRetained(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		pub := f.mqtt(v, "pub")
		keep := func(topic, text string) {
			pub.publishes(packet.Publish{Topic: []byte(topic), Payload: []byte(text), QoS: 1, Retain: true})
		}
		keep("a/1", "one")
		keep("a/2", "two")
		keep("a/2", "deux")
		keep("b", "b")
		sub := f.mqtt(v, "sub")
		sub.subscribes(to("a/+", 1))
		for _, want := range []string{"one", "deux"} {
			if m := sub.gets(want); !m.Retain || m.QoS != 1 {
				t.Errorf("%+v", m)
			}
		}
		keep("a/1", "") // takes it away, and is a message like any other
		if m := sub.gets(""); m.Retain {
			t.Errorf("%+v", m)
		}
		sub.subscribes(to("a/+", 1))
		sub.gets("deux")
		sub.quiet()
	})
}

func TestMQTTManyRetained(t *testing.T) {
	const n = 1000
	config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {messages: 100}, window: 10}}]
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		pub := f.mqtt(v, "pub")
		for i := range n {
			pub.sends(&packet.Publish{Topic: fmt.Appendf(nil, "a/%04d", i), Payload: []byte("x"), QoS: 1, ID: uint16(i + 1), Retain: true})
			pub.hearsAck()
		}
		for qos := range uint8(2) {
			sub := f.mqtt(v, "sub")
			sub.subscribes(to("a/#", qos))
			for i := range n {
				if m := sub.gets("x"); string(m.Topic) != fmt.Sprintf("a/%04d", i) {
					t.Fatalf("retained message %d is %s", i, m.Topic)
				}
			}
			sub.leaves()
		}
	})
}

func TestMQTTWills(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		watcher := f.mqtt(v, "watcher")
		watcher.subscribes(to("will/#", 1))
		f.mqtt(v, "a", will("will/a", "a is gone", 1, nil)).breaks(f)
		if m := watcher.gets("a is gone"); m.QoS != 1 {
			t.Errorf("%+v", m)
		}
		f.mqtt(v, "b", will("will/b", "b is gone", 1, nil)).leaves() // a goodbye: no will
		c := f.mqtt(v, "c", will("will/c", "c broke the rules", 1, nil))
		c.send([]byte{0xF0 | 1, 0})
		watcher.gets("c broke the rules")
		d := f.mqtt(v, "d", will("will/d", "d was replaced", 1, nil))
		f.mqtt(v, "d")
		d.ends(packet.SessionTakenOver)
		watcher.gets("d was replaced")
		watcher.quiet()
	})
}

func TestMQTT5Wills(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		watcher := f.mqtt(packet.V5, "watcher")
		watcher.subscribes(to("will/#", 1))
		late := packet.Properties(nil).AppendNumber(packet.WillDelay, 3600).AppendUser([]byte("why"), []byte("test"))
		// A session that ends takes its will along, however late it was to be.
		f.mqtt(packet.V5, "a", will("will/a", "a", 0, late)).breaks(f)
		if m := watcher.gets("a"); string(m.Properties.Bytes(packet.UserProperty)) != "test" {
			t.Errorf("%+v", m)
		}
		// One whose client is back in time is not published.
		f.mqtt(packet.V5, "b", persistent, will("will/b", "b", 0, late)).breaks(f)
		b := f.mqtt(packet.V5, "b", persistent)
		// Told to: with the will, although it is a goodbye.
		c := f.mqtt(packet.V5, "c", will("will/c", "c", 0, nil))
		c.send(packet.AppendDisconnect(nil, &packet.Disconnect{Reason: packet.DisconnectWithWill}, packet.V5))
		c.packet()
		watcher.gets("c")
		// A clean start ends the session, and that publishes what is left.
		f.mqtt(packet.V5, "d", persistent, will("will/d", "d", 0, late)).breaks(f)
		f.mqtt(packet.V5, "d")
		watcher.gets("d")
		b.quiet()
		watcher.quiet()
	})
}
