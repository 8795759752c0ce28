package server_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// What a plugin decides reaches the client in MQTT's own words.
func TestMQTTVerdicts(t *testing.T) {
	config := `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, chain: [guest]}]
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
api: {address: ""}
`
	eachMQTT(t, config, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		answer := packet.Properties(nil).AppendBytes(packet.ResponseTopic, []byte("my/answer")).AppendBytes(packet.CorrelationData, []byte("7"))
		c.sends(&packet.Publish{Topic: []byte("ask"), Payload: []byte("reply hello"), Properties: answer})
		m := c.gets("hello")
		if want := "my/answer"; v == packet.V5 && (string(m.Topic) != want || string(m.Properties.Bytes(packet.CorrelationData)) != "7") {
			t.Errorf("the answer is %+v", m)
		}
		for qos := range uint8(3) {
			if got := c.publishes(message("x", "drop not today", qos)); v == packet.V5 && qos > 0 && got != packet.NotAuthorized {
				t.Errorf("QoS %d: the acknowledgement says %v", qos, got)
			}
		}
		c.quiet()
		c.sends(&packet.Publish{Topic: []byte("x"), Payload: []byte("close enough")})
		if v != packet.V5 {
			c.ends(0)
			return
		}
		var d packet.Disconnect
		c.expect(packet.TypeDisconnect, func(b []byte) error { return d.Decode(b, v, packet.FromServer) })
		if text := string(d.Properties.Bytes(packet.ReasonString)); d.Reason != packet.NotAuthorized || text != "enough" {
			t.Errorf("DISCONNECT says %v, %q", d.Reason, text)
		}
	})
}
