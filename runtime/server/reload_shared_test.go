package server_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// Who was let into a shared subscription leaves it, however mqtt.shared has changed since.
func TestReloadLeavesSharedSubscriptions(t *testing.T) {
	const without, with = "frame: mqtt, mqtt: {shared: false}}", "frame: mqtt}"
	for name, leave := range map[string]func(f *filtering, c *mqttClient){
		"unsubscribed": func(_ *filtering, c *mqttClient) { c.unsubscribes("$share/g/a/#") },
		"disconnected": func(_ *filtering, c *mqttClient) { c.leaves() },
		"broken":       func(f *filtering, c *mqttClient) { c.breaks(f.fixture) },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFiltering(t, "auto", reloaded)
			pub, plain := f.mqtt(packet.V5, "pub"), f.mqtt(packet.V5, "plain")
			plain.subscribes(to("a/#", 1))
			one, two := f.mqtt(packet.V5, "one"), f.mqtt(packet.V311, "two")
			for _, c := range []*mqttClient{one, two} {
				c.subscribes(to("$share/g/a/#", 1))
			}
			f.await("weft_mqtt_shared_groups", 1)
			f.reload(with, without)
			leave(f, one)
			for range 4 { // whoever's turn it is
				pub.publishes(message("a/b", "for two", 1))
				plain.gets("for two")
				two.gets("for two")
			}
			f.await("weft_mqtt_shared_groups", 1)
			leave(f, two)
			f.await("weft_mqtt_shared_groups", 0)
			pub.publishes(message("a/b", "for plain", 1))
			plain.gets("for plain")
			plain.unsubscribes("a/#")
			if got := pub.publishes(message("a/b", "for nobody", 1)); got != packet.NoMatchingSubscribers {
				t.Errorf("somebody is left: %v", got)
			}
		})
	}
}

// A filter of 3.1.1 that begins with $share/ is what it was when it was subscribed: a filter
// like any other where shared subscriptions were not allowed, until it is subscribed again.
func TestReloadSharesAPlainFilter(t *testing.T) {
	const without, with = "frame: mqtt, mqtt: {shared: false}}", "frame: mqtt}"
	f := startFiltering(t, "auto", reloaded)
	f.reload(with, without)
	pub, c := f.mqtt(packet.V5, "pub"), f.mqtt(packet.V311, "c")
	plainly := func(want packet.Code) {
		t.Helper()
		if got := pub.publishes(message("$share/g/a/b", "plain", 1)); got != want {
			t.Errorf("PUBACK says %v", got)
		}
		if want == packet.Success {
			c.hearsOn("$share/g/a/b", "plain")
		}
	}
	asAGroup := func(want packet.Code) {
		t.Helper()
		if got := pub.publishes(message("a/b", "shared", 1)); got != want {
			t.Errorf("PUBACK says %v", got)
		}
		if want == packet.Success {
			c.hearsOn("a/b", "shared")
		}
	}
	c.subscribes(to("$share/g/a/#", 0))
	plainly(packet.Success)
	f.reload(without, with)
	plainly(packet.Success)
	c.unsubscribes("$share/g/a/#")
	plainly(packet.NoMatchingSubscribers)

	c.subscribes(to("$share/g/a/#", 0))
	asAGroup(packet.Success)
	f.reload(with, without)
	c.subscribes(to("$share/g/a/#", 0))
	f.await("weft_mqtt_shared_groups", 0)
	plainly(packet.Success)
	asAGroup(packet.NoMatchingSubscribers)
	f.reload(without, with)
	c.subscribes(to("$share/g/a/#", 0))
	f.await("weft_mqtt_shared_groups", 1)
	asAGroup(packet.Success)
	plainly(packet.NoMatchingSubscribers)
	c.leaves()
	f.await("weft_mqtt_shared_groups", 0)
}
