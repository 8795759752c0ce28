package server_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A message of QoS 2 that was read in the turn in which its connection ended is on its
// way all the same: the session that waits for its client knows what became of it.
func TestMQTTEndsWithinATurn(t *testing.T) {
	const config = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, limits: {frame: 16KiB}, outbox: {size: 16KiB, when_full: disconnect}}]
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		pub := f.mqtt(v, "pub", persistent)
		var pings []byte // whose answers fill the outbox
		for range 4000 {
			pings = packet.AppendPingreq(pings)
		}
		sent := uint16(0)
		for sent < 1000 {
			b := packet.AppendPublish(nil, &packet.Publish{Topic: []byte("a"), Payload: []byte("x"), QoS: 2, ID: sent + 1}, v)
			if _, err := pub.Write(append(b, pings...)); err != nil {
				break
			}
			sent++
		}
		pub.breaks(f)
		pub = f.mqtt(v, "pub", persistent)
		for id := range sent {
			m := packet.Publish{Topic: []byte("a"), Payload: []byte("x"), QoS: 2, ID: id + 1, Dup: true}
			pub.sends(&m)
			if ack := pub.hearsAck(); ack.Type != packet.TypePubrec || ack.ID != m.ID {
				t.Fatalf("of %d messages number %d is answered by %+v", sent, m.ID, ack)
			}
		}
	})
}

// One SUBSCRIBE with a thousand filters that match nothing looks through all retained
// topics a thousand times. Others on its loop do not wait for that, and neither does
// whose filter matches something.
func TestMQTTSearchesAWhile(t *testing.T) {
	const topics, filters, patience = 20_000, 1000, 3 * time.Second // in one go it took 7 s
	f := start(t, "", withLoops(mqttConfig, 1))
	pub := f.mqtt(packet.V311, "pub")
	var b []byte
	for i := range topics {
		b = packet.AppendPublish(b, &packet.Publish{Topic: fmt.Append(nil, "a/", i, "/b"), Payload: fmt.Append(nil, i), Retain: true}, packet.V311)
	}
	pub.send(b)
	pub.quiet()
	bad, other := f.mqtt(packet.V311, "bad"), f.mqtt(packet.V311, "other")
	many := &packet.Subscribe{ID: 1}
	for i := range filters {
		many.Filters = append(many.Filters, to(fmt.Sprintf("+/+/c%d", i), 0))
	}
	bad.send(packet.AppendSubscribe(nil, many, packet.V311))
	bad.packet() // SUBACK
	begin := worked(t)
	for range 10 {
		other.quiet()
	}
	other.subscribes(to("a/+/b", 1))
	for range 100 {
		m := other.hears()
		other.acks(packet.TypePuback, m.ID)
	}
	if took := worked(t) - begin; took > patience {
		t.Errorf("another client waited for %v of work", took)
	}
	bad.subscribes(to("a/7/b", 0)) // behind all the others
	bad.unsubscribes("a/7/b")
	bad.quiet()
}

// Where a full outbox drops what is oldest, that is messages of QoS 0 alone: a
// subscriber that reads nothing for a while gets every one of QoS 1 in order, and none
// under a topic that an alias stood for before.
func TestMQTTDropsOldestOfQoS0(t *testing.T) {
	const config = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, limits: {frame: 16KiB}, outbox: {size: 16KiB, when_full: drop-oldest}}]
api: {address: ""}
`
	const messages, each = 12_000, 300
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		sub := f.mqtt(v, "sub", with(packet.TopicAliasMaximum, 16))
		if err := sub.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		sub.subscribes(to("#", 1))
		pub := f.mqtt(v, "pub")
		last := -1
		for i := range messages {
			topic := fmt.Sprintf("long/topic/%d", i*7%18)
			if i%90 == 0 {
				topic = fmt.Sprintf("long/topic/%d", i)
			}
			m := packet.Publish{Topic: []byte(topic), Payload: append(fmt.Append(nil, topic, " ", i, " "), make([]byte, 1000)...)}
			if i%each == 0 {
				m.QoS, m.ID, last = 1, uint16(i/each+1), i
			}
			pub.sends(&m)
		}
		known := map[uint32]string{}
		for want := 0; want <= last; {
			m := sub.hears()
			topic := string(m.Topic)
			if alias := m.Properties.Number(packet.TopicAlias, 0); alias != 0 && topic != "" {
				known[alias] = topic
			} else if alias != 0 {
				topic = known[alias]
			}
			var sent string
			var i int
			if _, err := fmt.Sscan(string(m.Payload), &sent, &i); err != nil {
				t.Fatal(err)
			}
			if sent != topic {
				t.Fatalf("message %d of the topic %s came under %q", i, sent, topic)
			}
			if m.QoS == 1 {
				if i != want {
					t.Fatalf("message %d of QoS 1 came instead of %d", i, want)
				}
				want += each
				sub.acks(packet.TypePuback, m.ID)
			}
		}
		if f.Metric("weft_frames_dropped_total") == 0 {
			t.Error("nothing was dropped")
		}
	})
}

// Nobody but weft publishes under $SYS, by a will either.
func TestMQTTWillsKeepOffSys(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		want := packet.NotAuthorized
		ack := f.mqttDial(v).connect("liar", will("$SYS/broker/version", "mine", 0, nil))
		if ack.Reason != want {
			t.Errorf("CONNACK says %v, want %v", ack.Reason, want)
		}
	})
}

// worked is what this process has taken of the processors: other than the time of day
// it does not pass while somebody else has them.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
