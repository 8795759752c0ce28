package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// refusal is what SUBACK says of a reason to a client of the version.
func refusal(v packet.Version, code packet.Code) packet.Code {
	if v != packet.V5 {
		return packet.UnspecifiedError
	}
	return code
}

// Long filters take memory for as long as the session is kept: mqtt.queue.total bounds
// them, and what is unsubscribed or over is given back.
func TestMQTTFiltersAreInTheBudget(t *testing.T) {
	const config = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {total: 64KiB}}}]
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		filter := func(i int) string { return fmt.Sprintf("%d/%s", i, strings.Repeat("x", 8000)) }
		fits := []string{filter(0), filter(1), filter(2), filter(3), filter(4), filter(5), "$share/g/" + filter(6)}
		for i, text := range append(fits, fits[0]) { // the same again costs nothing
			if got := c.subscribes(to(text, 0))[0]; got != packet.GrantedQoS0 {
				t.Fatalf("filter %d: %v", i, got)
			}
		}
		if got, want := c.subscribes(to(filter(7), 0))[0], refusal(v, packet.QuotaExceeded); got != want {
			t.Fatalf("one too many: %v, want %v", got, want)
		}
		f.awaitOf("weft_mqtt_subscriptions_refused_total", "quota_exceeded", 1)
		c.unsubscribes(filter(3))
		if got := c.subscribes(to(filter(9), 0))[0]; got != packet.GrantedQoS0 {
			t.Fatalf("after one was unsubscribed: %v", got)
		}
		c.leaves()
		f.await("weft_mqtt_queued_bytes", 0)
	})
}

// Sessions that outlive their connections are in the same budget, and those that do not
// are not.
func TestMQTTSessionsAreInTheBudget(t *testing.T) {
	const config = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {total: 64KiB}}}]
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		id := func(i int) string { return fmt.Sprintf("%03d%s", i, strings.Repeat("c", 5000)) }
		most := 64 << 10 / mqtt.SessionCost(mqtt.Key{ClientID: id(0)})
		for i := range most {
			f.mqtt(v, id(i), persistent).leaves()
		}
		if code := f.mqttDial(v).connect(id(most), persistent).Reason; !code.Failed() {
			t.Fatalf("one too many: %v", code)
		}
		f.mqtt(v, id(most)).leaves()
		f.mqtt(v, id(0), persistent).leaves() // is known
		f.mqtt(v, id(1)).leaves()             // ends one
		f.mqtt(v, id(most), persistent).leaves()
		for i := range most + 1 {
			f.mqtt(v, id(i)).leaves()
		}
		f.await("weft_mqtt_queued_bytes", 0)
	})
}

// SUBACK says of a filter whose retained messages would never come that it was refused.
func TestMQTTSubackRefusesWhatIsNotReplayed(t *testing.T) {
	const config = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {session: {subscriptions: 3000}}}]
api: {address: ""}
`
	const filters, most = 1100, 1024
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		kept := message("t/1050", "kept", 1)
		kept.Retain = true
		c.publishes(kept)
		all := make([]packet.Subscription, filters)
		for i := range all {
			all[i] = to(fmt.Sprintf("t/%d", i), 0)
		}
		for i, code := range c.subscribes(all...) {
			want := packet.GrantedQoS0
			if i >= most {
				want = refusal(v, packet.QuotaExceeded)
			}
			if code != want {
				t.Fatalf("filter %d: %v, want %v", i, code, want)
			}
		}
		c.publishes(message("t/1050", "live", 0))
		c.quiet() // it is not subscribed to
		if code := c.subscribes(to("t/1050", 0))[0]; code != packet.GrantedQoS0 {
			t.Fatalf("later: %v", code)
		}
		c.gets("kept")
	})
}

// A subscriber gets every retained message, whatever happens when its outbox is full:
// what does not fit waits where it is retained.
func TestMQTTRetainedMessagesWaitForTheOutbox(t *testing.T) {
	const messages = 20
	for _, policy := range []string{"pause", "disconnect", "drop-oldest"} {
		config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, limits: {frame: 16KiB}, outbox: {size: 16KiB, when_full: ` + policy + `}}]
api: {address: ""}
`
		t.Run(policy, func(t *testing.T) {
			eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
				pub := f.mqtt(v, "pub")
				for i := range messages {
					m := packet.Publish{Topic: fmt.Appendf(nil, "t/%04d", i), Payload: make([]byte, 12_000), QoS: 1, Retain: true}
					pub.publishes(m)
				}
				sub := f.mqtt(v, "sub")
				sub.subscribes(to("t/#", 0))
				for i := range messages {
					if m := sub.hears(); string(m.Topic) != fmt.Sprintf("t/%04d", i) {
						t.Fatalf("message %d is %s", i, m.Topic)
					}
				}
				if n := f.Metric("weft_frames_dropped_total"); n != 0 {
					t.Errorf("%v were dropped", n)
				}
			})
		})
	}
}
