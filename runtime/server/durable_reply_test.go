package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const replies = `
loops: %d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "lines", node: "dev7", acknowledge: ""}
routes:
  - {name: back, when: {topic: "d/#"}, to: [reply], durable: {}}
  - {name: back-lines, when: {topic: "lines"}, to: [reply], durable: {}}
  - {name: named, when: {topic: "to/#"}, to: ["node:dev7"]}
backbone: {data: %q, name: one}
api: {address: ""}
`

// A reply out of a log goes to the client of MQTT that has sent the message, and never to
// a node that has its client id for a name.
func TestADurableReplyFindsItsSender(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", fmt.Sprintf(replies, loops, t.TempDir()))
		device := f.dial("lines")
		device.say(text("hello"))
		if m := device.hear(); string(m.Payload) != "hello" {
			t.Fatalf("the device got %q", m.Payload)
		}
		for _, id := range []string{"dev7", "other"} {
			for _, kept := range []func(*packet.Connect){func(*packet.Connect) {}, persistent} {
				c := f.mqtt(packet.V5, id, kept)
				for i := range 5 {
					what := fmt.Sprint(id, i)
					m := message("d/x", what, 1)
					c.sends(&m)
					got, acked := "", false
					for got == "" || !acked { // the log answers while it is read
						b := c.packet()
						if packet.TypeOf(b) == packet.TypePuback {
							acked = true
							continue
						}
						var p packet.Publish
						if err := p.Decode(b, c.v, packet.FromServer); err != nil {
							t.Fatal(err)
						}
						got = string(p.Payload)
						c.acks(packet.TypePuback, p.ID)
					}
					if got != what {
						t.Fatalf("%s got %q, want %q", id, got, what)
					}
				}
				c.leaves()
			}
		}
		// As former versions have written it: the client id and no more.
		old := func(who string) {
			r := delivery.Record{Node: []byte("one"), From: []byte(who), Listener: []byte("mqtt"),
				Message: abi.Message{Topic: []byte("d/x"), Payload: []byte("old"), QoS: 1}}
			if err := f.Log("back", &r); err != nil {
				t.Fatal(err)
			}
		}
		before := f.MetricOf("weft_messages_dropped_total", "no_reply")
		old("dev7") // it has left
		f.awaitOf("weft_messages_dropped_total", "no_reply", before+1)
		c := f.mqtt(packet.V5, "dev7")
		old("dev7")
		c.gets("old")
		if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("to/it"), Payload: []byte("end")}); err != nil {
			t.Fatal(err)
		}
		if m := device.hear(); string(m.Payload) != "end" {
			t.Errorf("the device got %q", m.Payload)
		}
		if from := f.LogSender("back", 1); from != "dev7" {
			t.Errorf("the log shows that it came from %q", from)
		}
	})
}
