package server_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// An exchange that has begun is completed, whatever becomes of the subscription.
func TestMQTTUnsubscribeCompletesWhatHasBegun(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		c.subscribes(to("a", 2), to("b", 2))
		pub := f.mqtt(v, "pub")
		pub.publishes(message("a", "one", 2))
		pub.publishes(message("b", "two", 2))
		one, two := c.hears(), c.hears()
		c.id++
		c.send(packet.AppendUnsubscribe(nil, &packet.Unsubscribe{ID: c.id, Filters: [][]byte{[]byte("a"), []byte("x"), []byte("b")}}, v))
		var ack packet.Unsuback
		c.expect(packet.TypeUnsuback, func(b []byte) error { return ack.Decode(b, v) })
		if v == packet.V5 && (len(ack.Reasons) != 3 || ack.Reasons[0] != packet.Success || ack.Reasons[1] != packet.NoSubscriptionExisted || ack.Reasons[2] != packet.Success) {
			t.Errorf("UNSUBACK says %v", ack.Reasons)
		}
		c.acks(packet.TypePubrec, two.ID) // PUBRELs come in the order of the PUBRECs
		c.acks(packet.TypePubrec, one.ID)
		for _, id := range []uint16{two.ID, one.ID} {
			if rel := c.hearsAck(); rel.Type != packet.TypePubrel || rel.ID != id {
				t.Errorf("got %+v, want the PUBREL of %d", rel, id)
			}
			c.acks(packet.TypePubcomp, id)
		}
		pub.publishes(message("a", "for nobody", 2))
		c.quiet()
	})
}

// One copy with the highest QoS, in 3.1.1 too; what is not retained leaves alone what
// is, and DUP of a publisher is its own affair.
func TestMQTTOneCopy(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		c, pub := f.mqtt(v, "c"), f.mqtt(v, "pub")
		pub.publishes(packet.Publish{Topic: []byte("a/b"), Payload: []byte("kept"), QoS: 1, Retain: true})
		pub.publishes(message("a/b", "not kept", 1))
		c.subscribes(to("a/b", 0))
		if m := c.gets("kept"); !m.Retain {
			t.Errorf("%+v", m)
		}
		c.subscribes(to("a/#", 0), to("a/+", 2))
		c.gets("kept")
		c.gets("kept")
		pub.publishes(packet.Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, Dup: true})
		if m := c.gets("x"); m.QoS != 2 || m.Dup {
			t.Errorf("%+v", m)
		}
		c.quiet()
	})
}

// What one client does wrong is nobody else's trouble.
func TestMQTTFaultsStayWhereTheyAre(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		c, bad := f.mqtt(v, "c"), f.mqtt(v, "bad")
		c.subscribes(to("a", 1))
		bad.publishes(message("a", "before", 1))
		bad.send([]byte{0x00, 0})
		bad.ends(packet.MalformedPacket)
		c.gets("before")
		f.mqtt(v, "bad").publishes(message("a", "after", 1))
		c.gets("after")
	})
}
