package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// hashed is a route with weights that goes by a key.
const hashed = `
loops: 2
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes:
  - name: sticky
    when: {topic: "d/#"}
    to: [{to: "topic:one", weight: 1}, {to: "topic:two", weight: 1}, {to: "topic:three", weight: 1}]
    hash: "%s"
    %s
backbone: {data: %q, name: one}
api: {address: ""}
`

// What a rule with weights goes by may be any placeholder, also those of weft's own; and
// what is explained is what happens.
func TestAHashTakesTheSamePlaceForTheSameKey(t *testing.T) {
	for _, durable := range []string{"", "durable: {}"} {
		for _, key := range []string{"{topic}", "{payload}", "{listener}"} {
			t.Run(key+" "+durable, func(t *testing.T) {
				f := start(t, "auto", fmt.Sprintf(hashed, key, durable, t.TempDir()))
				sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V5, "pub")
				sub.subscribes(to("one", 1), to("two", 1), to("three", 1))
				places, all := map[string]string{}, map[string]bool{}
				for i := range 60 {
					topic := fmt.Sprint("d/", i%12)
					pub.publishes(message(topic, topic, 1))
					place := string(sub.gets(topic).Topic)
					of := topic
					if key == "{listener}" {
						of = "mqtt"
					}
					if before := places[of]; before != "" && before != place {
						t.Fatalf("%s went to %s, and to %s before", of, place, before)
					}
					places[of], all[place] = place, true
				}
				if key != "{listener}" && len(all) != 3 {
					t.Errorf("12 keys have only %v", all)
				}
				if key == "{payload}" { // nobody who asks has one
					return
				}
				for of, place := range places {
					asks := &weftv1.RoutesExplainRequest{Topic: of, Listener: "mqtt"}
					if key == "{listener}" {
						asks.Topic = "d/x"
					}
					got, err := f.Explain(asks)
					if err != nil || len(got.GetPlaces()) != 1 || got.GetPlaces()[0].GetTo() != "topic:"+place {
						t.Errorf("%s goes to %s: %v, %v", of, place, got, err)
					}
				}
			})
		}
	}
}
