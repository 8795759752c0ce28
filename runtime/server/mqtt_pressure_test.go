package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A publisher that is faster than a subscriber waits for it: nothing is lost, and
// what waits stays bounded.
func TestMQTTHoldsBackPublishers(t *testing.T) {
	const n, bound = 5000, 1000
	config := fmt.Sprintf(`
loops: %%d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {window: 4, receive_maximum: 1000, queue: {messages: %d}}}]
api: {address: ""}
`, bound)
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		sub, pub := f.mqtt(v, "sub"), f.mqtt(v, "pub")
		sub.subscribes(to("a", 1))
		failed := make(chan error, 1)
		go func() {
			for i := range n {
				m := packet.Publish{Topic: []byte("a"), Payload: fmt.Append(nil, i), QoS: 1, ID: uint16(i + 1)}
				if _, err := pub.Write(packet.AppendPublish(nil, &m, v)); err != nil {
					failed <- err
					return
				}
				if i%100 == 99 { // as a client with a window of its own
					for range 100 {
						if ack := pub.hearsAck(); ack.Reason != packet.Success {
							failed <- fmt.Errorf("PUBACK says %v", ack.Reason)
							return
						}
					}
				}
			}
			failed <- nil
		}()
		for i := range n {
			sub.gets(fmt.Sprint(i))
		}
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		if lost := f.Metric("weft_mqtt_session_dropped_total"); lost != 0 {
			t.Errorf("%v were lost", lost)
		}
	})
}

// Who is away keeps what fits; the rest is refused, and its publisher is told.
func TestMQTTQueueBound(t *testing.T) {
	for _, policy := range []string{"drop-newest", "drop-oldest"} {
		config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {messages: 10, when_full: ` + policy + `}}}]
api: {address: ""}
`
		t.Run(policy, func(t *testing.T) {
			eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
				sub, pub := f.mqtt(v, "sub", persistent), f.mqtt(v, "pub")
				sub.subscribes(to("a", 1))
				sub.leaves()
				for i := range 15 {
					pub.publishes(message("a", fmt.Sprint(i), 1))
				}
				first := 0
				if policy == "drop-oldest" {
					first = 5
				}
				sub = f.mqtt(v, "sub", persistent)
				for i := range 10 {
					sub.gets(fmt.Sprint(first + i))
				}
				sub.quiet()
				f.await("weft_mqtt_session_dropped_total", 5)
			})
		})
	}
}
