package server_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// benchBeside is a route without a log, alone, and beside durable ones with the backbone
// running: the messages measured do not touch it.
const benchBeside = `
loops: 1
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes:
  - {name: plain, when: {topic: "plain/#"}, to: [subscribers]}
%s
api: {address: ""}
`

// BenchmarkBesideTheBackbone compares local delivery, QoS 0, with and without the
// backbone running.
func BenchmarkBesideTheBackbone(b *testing.B) {
	with := fmt.Sprintf(`  - {name: kept, when: {topic: "kept/#"}, to: [subscribers], durable: {}}
backbone: {data: %q, name: one}`, b.TempDir())
	for _, c := range []struct{ name, more string }{{"without", ""}, {"with", with}} {
		b.Run(c.name, func(b *testing.B) {
			f := start(b, "auto", fmt.Sprintf(benchBeside, c.more))
			sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V5, "pub")
			sub.subscribes(to("plain/#", 0))
			m := message("plain/x", string(make([]byte, 100)), 0)
			unit := packet.AppendPublish(nil, &m, packet.V5)
			const batch = 256
			var all []byte
			for range batch {
				all = append(all, unit...)
			}
			in := make([]byte, len(all))
			b.ReportAllocs()
			b.SetBytes(int64(len(unit)))
			for n := 0; b.Loop(); n++ {
				if n%batch != 0 {
					continue
				}
				if _, err := pub.Write(all); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(sub, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDurablePublish is a client that publishes with QoS 1 to a durable route,
// 1,000 messages under way.
func BenchmarkDurablePublish(b *testing.B) {
	f := start(b, "auto", withLoops(durableConfig(b.TempDir(), ""), 1))
	pub := f.mqtt(packet.V5, "pub")
	m := message("d/x", string(make([]byte, 100)), 1)
	const window = 1000
	ack := make([]byte, window*4)
	b.ReportAllocs()
	var all []byte
	for i := range window {
		m.ID = uint16(i + 1)
		all = packet.AppendPublish(all, &m, packet.V5)
	}
	for n := 0; b.Loop(); n++ {
		if n%window != 0 {
			continue
		}
		if _, err := pub.Write(all); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(pub, ack); err != nil {
			b.Fatal(err)
		}
	}
}

// A loop hands a message to a log without an allocation.
func TestHandingToALogAllocatesNothing(t *testing.T) {
	hand := server.ToLog(t, "{message_id}")
	m := abi.Message{
		Topic: []byte("a/b"), Payload: make([]byte, 100),
		Attrs: abi.Attributes(nil).AppendString("message_id", "1234567890"),
	}
	for range 4096 {
		hand(&m)
	}
	if n := testing.AllocsPerRun(6400, func() { hand(&m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHandToLog(b *testing.B) {
	hand := server.ToLog(b, "{message_id}")
	m := abi.Message{Topic: []byte("a/b"), Payload: make([]byte, 100), Attrs: abi.Attributes(nil).AppendString("message_id", "1234567890")}
	b.ReportAllocs()
	for b.Loop() {
		hand(&m)
	}
}
