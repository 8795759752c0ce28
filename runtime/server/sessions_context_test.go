package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// obedient does what its clients say: see abi/vectors/README.md.
const obedient = `plugins: {obedient: {file: ../../abi/vectors/v1.0/assemblyscript.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {namespace: tests}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: ["127.0.0.1:1"]}}}}`

// does has the plugin do something when the client is introduced.
func does(commands string) func(*packet.Connect) {
	return func(m *packet.Connect) {
		m.Properties = m.Properties.AppendUser([]byte("do"), []byte(commands))
	}
}

// What a client was given when it was introduced it has only if it is given it again;
// what plugins learned of it later, it keeps.
func TestARightThatIsNotGivenAgainIsGone(t *testing.T) {
	for _, moves := range []string{"nowhere", "through a restart"} {
		t.Run(moves, func(t *testing.T) {
			config := fmt.Sprintf(`
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, chain: [obedient]}]
backbone: {data: %q, name: one}
api: {address: ""}
`+obedient, t.TempDir())
			f := start(t, "auto", config)
			says := func(c *mqttClient, role, learned string) {
				t.Helper()
				c.publishes(message("who", "context role\ncontext learned", 0))
				c.gets(fmt.Sprintf("context role %s\ncontext learned %s\n", role, learned))
			}
			c := f.mqtt(packet.V5, "c", persistent, does("remember role admin"))
			c.publishes(message("do", "remember learned much", 1))
			says(c, "admin", "much")
			c.leaves()
			f.awaitOf("weft_mqtt_sessions", "away", 1)
			if moves != "nowhere" {
				f.end()
				f = start(t, "auto", config)
			}
			c = comesBack(f, packet.V5, "c", does("remember role guest"))
			says(c, "guest", "much")
			c.publishes(message("do", "forget learned", 1))
			c.leaves()
			f.awaitOf("weft_mqtt_sessions", "away", 1)
			c = comesBack(f, packet.V5, "c", does("continue"))
			says(c, "!none", "!none")
		})
	}
}
