package server_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestMQTTAllocatesNothing: in steady state a message of any QoS costs no allocation
// from socket to socket.
func TestMQTTAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos := range uint8(3) {
			t.Run(fmt.Sprintf("%v, QoS %d", v, qos), func(t *testing.T) {
				f := start(t, "auto", withLoops(mqttConfig, 1))
				x := newMQTTExchange(f, v, qos)
				for range 50 {
					x.round()
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				const rounds = 100
				for range rounds {
					x.round()
				}
				runtime.ReadMemStats(&after)
				each := float64(after.Mallocs-before.Mallocs) / (rounds * exchanged)
				t.Logf("%.4f allocations a message", each)
				if each > 0.02 { // ticks and timers
					t.Errorf("%.3f allocations a message", each)
				}
			})
		}
	}
}

// BenchmarkMQTTSockets is a message from a publisher's socket to a subscriber's, 200 of 128
// bytes in a turn, their acknowledgements included; both clients are in it.
func BenchmarkMQTTSockets(b *testing.B) {
	for qos := range uint8(3) {
		b.Run(fmt.Sprintf("QoS%d", qos), func(b *testing.B) {
			x := newMQTTExchange(start(b, "auto", withLoops(mqttConfig, 1)), packet.V5, qos)
			b.ReportAllocs()
			for n := 0; n < b.N; n += exchanged {
				x.round()
			}
		})
	}
}

// exchanged is how many messages a round has.
const exchanged = 200

// mqttExchange sends messages and acknowledges them without an allocation of its own.
type mqttExchange struct {
	t                 testing.TB
	v                 packet.Version
	qos               uint8
	publisher, reader net.Conn
	batch, in, out    []byte
	publish           packet.Publish
	ack               packet.Ack
}

func newMQTTExchange(f *fixture, v packet.Version, qos uint8) *mqttExchange {
	sub := f.mqtt(v, "reader", inflight(v))
	sub.subscribes(packet.Subscription{Filter: []byte("a"), QoS: qos})
	x := &mqttExchange{t: f.t, v: v, qos: qos, publisher: f.mqtt(v, "publisher").Conn, reader: sub.Conn, in: make([]byte, 64<<10), out: make([]byte, 0, 16<<10)}
	properties := packet.Properties(nil).AppendUser([]byte("colour"), []byte("blue"))
	for id := range uint16(exchanged) {
		p := packet.Publish{QoS: qos, Topic: []byte("a"), Payload: make([]byte, 128), Properties: properties}
		if qos > 0 {
			p.ID = id + 1
		}
		x.batch = packet.AppendPublish(x.batch, &p, v)
	}
	return x
}

// round sends all messages and reads on both sides until nothing is open.
func (x *mqttExchange) round() {
	x.write(x.publisher, x.batch)
	x.read(x.reader, packet.TypePublish)
	switch x.qos {
	case 1:
		x.read(x.publisher, packet.TypePuback)
	case 2:
		x.read(x.publisher, packet.TypePubrec)
		x.read(x.reader, packet.TypePubrel)
		x.read(x.publisher, packet.TypePubcomp)
	}
}

func (x *mqttExchange) write(c net.Conn, b []byte) {
	if _, err := c.Write(b); err != nil {
		x.t.Fatal(err)
	}
}

// read takes as many packets of the type as a round has, and answers them.
func (x *mqttExchange) read(c net.Conn, want packet.Type) {
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	filled := 0
	for seen := 0; seen < exchanged; {
		n, err := c.Read(x.in[filled:])
		if err != nil {
			x.t.Fatalf("%d of %d %v came: %v", seen, exchanged, want, err)
		}
		filled += n
		at := 0
		x.out = x.out[:0]
		for {
			n, _, err := packet.Cut(x.in[at:filled], 0)
			if err != nil {
				x.t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if packet.TypeOf(x.in[at:at+n]) == want {
				seen++
				x.answer(want, x.in[at:at+n])
			}
			at += n
		}
		filled = copy(x.in, x.in[at:filled])
		x.write(c, x.out)
	}
}

// answer appends what a packet is answered with.
func (x *mqttExchange) answer(t packet.Type, unit []byte) {
	var reply packet.Type
	switch {
	case t == packet.TypePublish && x.qos == 1:
		reply = packet.TypePuback
	case t == packet.TypePublish && x.qos == 2:
		reply = packet.TypePubrec
	case t == packet.TypePubrec:
		reply = packet.TypePubrel
	case t == packet.TypePubrel:
		reply = packet.TypePubcomp
	default:
		return
	}
	id := uint16(0)
	if t == packet.TypePublish {
		if err := x.publish.Decode(unit, x.v, packet.FromServer); err != nil {
			x.t.Fatal(err)
		}
		id = x.publish.ID
	} else {
		if err := x.ack.Decode(unit, x.v); err != nil {
			x.t.Fatal(err)
		}
		id = x.ack.ID
	}
	x.ack = packet.Ack{Type: reply, ID: id}
	x.out = packet.AppendAck(x.out, &x.ack, x.v)
}

// inflight lets a client of 5.0 have a whole round open.
func inflight(v packet.Version) func(*packet.Connect) {
	if v != packet.V5 {
		return func(*packet.Connect) {}
	}
	return with(packet.ReceiveMaximum, 1000)
}
