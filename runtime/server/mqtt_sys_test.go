package server_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func TestMQTTSys(t *testing.T) {
	config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {sys: 200ms}}]
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		all := f.mqtt(v, "all")
		all.subscribes(to("#", 0))
		c.subscribes(to("$SYS/broker/#", 0))
		seen := map[string]string{}
		for seen["clients/connected"] != "2" || seen["version"] == "" || seen["uptime"] == "" || seen["subscriptions/count"] != "2" {
			m := c.hears()
			seen[strings.TrimPrefix(string(m.Topic), "$SYS/broker/")] = string(m.Payload)
		}
		all.quiet() // # does not reach them
		if got := c.publishes(message("$SYS/broker/version", "forged", 1)); v == packet.V5 && got != packet.NotAuthorized {
			t.Errorf("PUBACK says %v", got)
		}
	})
}
