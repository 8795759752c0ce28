package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// willAfter has the client leave a will that is published so many seconds after it has gone.
func willAfter(seconds uint32, topic, text string) func(*packet.Connect) {
	return func(m *packet.Connect) {
		m.HasWill = true
		m.Will = packet.Will{Topic: []byte(topic), Payload: []byte(text), QoS: 1, Properties: packet.Properties(nil).AppendNumber(packet.WillDelay, seconds)}
	}
}

// A will that is to be published later is published once, by whoever has the session then,
// and not at all if its client is back.
func TestADelayedWillOutlivesTheProcess(t *testing.T) {
	config := fmt.Sprintf(`
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
backbone: {data: %q, name: one}
api: {address: ""}
`, t.TempDir())
	f := start(t, "auto", config)
	watcher := f.mqtt(packet.V5, "watcher", persistent)
	watcher.subscribes(to("wills/#", 1))
	_ = f.mqtt(packet.V5, "gone", persistent, willAfter(9, "wills/gone", "gone")) // behind the others, were they published
	_ = f.mqtt(packet.V5, "back", persistent, willAfter(8, "wills/back", "back"))
	bye := f.mqtt(packet.V5, "bye", persistent, willAfter(2, "wills/bye", "bye"))
	bye.leaves()
	f.end()

	f = start(t, "auto", config)
	back := comesBack(f, packet.V5, "back")
	watcher = comesBack(f, packet.V5, "watcher")
	watcher.gets("gone")
	back.leaves()
	watcher.leaves()
	f.end()
	f = start(t, "auto", config)
	comesBack(f, packet.V5, "watcher").quiet()
}

// A will moves with its session: the client's return on another node ends it, and its
// second absence there has the other one published.
func TestADelayedWillMoves(t *testing.T) {
	nodes := several(t, alone(t), 2, withLoops(mqttConfig, 1))
	a, b := nodes[0], nodes[1]
	watcher := b.mqtt(packet.V5, "watcher")
	watcher.subscribes(to("wills/#", 1))
	first := a.mqtt(packet.V5, "c", persistent, willAfter(30, "wills/a", "from a"))
	_ = first.Close()
	a.awaitOf("weft_mqtt_sessions", "away", 1)
	second := comesBack(b, packet.V5, "c", willAfter(0, "wills/b", "from b"))
	_ = second.Close()
	watcher.gets("from b")
	watcher.quiet()
}
