package server_test

import (
	"fmt"
	"testing"
)

// The same plugin stands in the listener's chain and, with other configurations,
// in those of two routes.
const routeChains = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: line, topic: "raw", acknowledge: "", chain: [guest]}
  - {name: out, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: "", subscribe: ["plain", "marked", "dropped", "alarm"]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
routes:
  - name: staged
    when: {topic: "staged"}
    chain: [{plugin: guest, config: {messages: "topic marked\nset by route"}}, {plugin: guest, config: {messages: "emit alarm copy"}}]
    to: [subscribers]
  - {name: dropped, when: {topic: "dropped"}, chain: [{plugin: guest, config: {messages: "drop no"}}], to: [subscribers]}
dead_letter: {topic: ""}
api: {address: ""}
`

// A route's chain runs inside the listener's, keeps order with what goes past it,
// and may do all that a listener's may.
func TestARouteHasAChainOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, routeChains)
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 4)
		// The guest in the listener's chain does what the line says. Its config
		// says nothing, so that the payload is the command.
		var all []byte
		const rounds = 50
		for n := range rounds {
			for _, topic := range []string{"plain", "staged", "dropped", "plain"} {
				all = fmt.Appendf(all, "topic %s 0x%02x\n", topic, n)
			}
		}
		if _, err := in.Write(all); err != nil {
			t.Fatal(err)
		}
		for n := range rounds {
			for _, want := range []string{"topic plain", "topic staged", "copy", "topic plain"} {
				if want != "copy" {
					want = fmt.Sprintf("%s 0x%02x", want, n)
				}
				if got := out.hear(); string(got.Payload) != want {
					t.Fatalf("round %d: %q came, not %q", n, got.Payload, want)
				}
			}
		}
		f.await("weft_messages_in_total", 4*rounds)
		if dropped := f.MetricOf("weft_messages_dropped_total", "plugin_drop"); dropped != rounds {
			t.Errorf("%v messages were dropped by a route's plugin", dropped)
		}
		if emitted := f.Metric("weft_messages_emitted_total"); emitted != rounds {
			t.Errorf("%v messages were emitted by a route's plugin", emitted)
		}
	})
}
