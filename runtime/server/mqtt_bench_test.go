package server_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// mqttFlow is a publisher, a subscriber, and a batch that goes from one to the other.
type mqttFlow struct {
	tb        testing.TB
	pub, sub  *mqttClient
	batch     []byte
	in, acks  []byte
	size      int // of one message as it arrives
	messages  int
	qos       uint8
	remaining []byte
}

func newMQTTFlow(tb testing.TB, f *fixture, v packet.Version, qos uint8, messages int) *mqttFlow {
	fl := &mqttFlow{tb: tb, pub: f.mqtt(v, "pub"), sub: f.mqtt(v, "sub"), messages: messages, qos: qos}
	fl.sub.subscribes(to("bench/+", qos))
	properties := packet.Properties(nil).AppendUser([]byte("colour"), []byte("blue"))
	for i := range messages {
		m := packet.Publish{Topic: []byte("bench/a"), Payload: bytes.Repeat([]byte("x"), 128), QoS: qos, Properties: properties}
		if qos > 0 {
			m.ID = uint16(i + 1)
		}
		fl.batch = packet.AppendPublish(fl.batch, &m, v)
	}
	fl.size = len(fl.batch) / messages
	fl.in = make([]byte, 1<<20)
	fl.remaining = make([]byte, 0, 1<<20)
	for _, c := range []*mqttClient{fl.pub, fl.sub} {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
	}
	return fl
}

// run sends the batch and takes part in its exchanges to the end. It allocates nothing
// itself.
func (fl *mqttFlow) run() {
	if _, err := fl.pub.Write(fl.batch); err != nil {
		fl.tb.Fatal(err)
	}
	if fl.qos == 0 {
		if _, err := io.ReadFull(fl.sub, fl.in[:len(fl.batch)]); err != nil {
			fl.tb.Fatal(err)
		}
		return
	}
	for got := 0; got < fl.messages; {
		n, err := fl.sub.Read(fl.in[len(fl.remaining):])
		if err != nil {
			fl.tb.Fatal(err)
		}
		b := fl.in[:len(fl.remaining)+n]
		fl.acks = fl.acks[:0]
		for len(b) >= fl.size {
			at := packet.IDOffset(b[:fl.size])
			fl.acks = append(fl.acks, byte(packet.TypePuback)<<4, 2, b[at], b[at+1])
			b = b[fl.size:]
			got++
		}
		fl.remaining = fl.in[:copy(fl.in, b)]
		if _, err := fl.sub.Write(fl.acks); err != nil {
			fl.tb.Fatal(err)
		}
	}
	if _, err := io.ReadFull(fl.pub, fl.in[:4*fl.messages]); err != nil {
		fl.tb.Fatal(err)
	}
}

const mqttBench = `
loops: 1
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {sys: 0s}}]
api: {address: ""}
`

// In steady state a message allocates nothing, at no quality of service.
func TestMQTTAllocates(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos := range uint8(2) {
			t.Run(fmt.Sprintf("%v, QoS %d", v, qos), func(t *testing.T) {
				const messages = 200
				fl := newMQTTFlow(t, start(t, "auto", mqttBench), v, qos, messages)
				for range 20 {
					fl.run()
				}
				// A tick or a metric may allocate meanwhile; a message may not.
				if n := testing.AllocsPerRun(50, fl.run); n > messages/20 {
					t.Errorf("%d messages allocate %v times", messages, n)
				}
			})
		}
	}
}

func BenchmarkMQTTTurn(b *testing.B) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos := range uint8(2) {
			b.Run(fmt.Sprintf("%v/qos%d", v, qos), func(b *testing.B) {
				const messages = 200
				f := start(b, "auto", mqttBench)
				fl := newMQTTFlow(b, f, v, qos, messages)
				b.ReportAllocs()
				b.SetBytes(int64(len(fl.batch)))
				for b.Loop() {
					fl.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
			})
		}
	}
}
