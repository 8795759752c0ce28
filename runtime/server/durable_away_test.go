package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

const awayConfig = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}]
api: {address: "127.0.0.1:0"}
backbone: {name: %s, data: %q, url: [%q]}
`

// ready is what /readyz answers.
func (f *fixture) ready() string {
	f.t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get(apiURL(f.t.(*testing.T), f) + "/readyz")
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		f.t.Fatalf("%s, %v", answer.Status, err)
	}
	return string(text)
}

// A node that starts while the backbone is away takes what is published, and refuses
// clients whose sessions it cannot read; when the backbone is back everything arrives on
// another node, in order and once, and the sessions are there.
func TestStartsWhileTheBackboneIsAway(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		s := natstest.Start(t, natstest.Options{})
		dir := t.TempDir()
		yaml := fmt.Sprintf(awayConfig, loops, "a", dir, s.URL())
		b := start(t, "auto", fmt.Sprintf(awayConfig, loops, "b", t.TempDir(), s.URL()))
		a := start(t, "auto", yaml)
		onB := b.mqtt(packet.V5, "on b")
		onB.subscribes(to("d/#", 1))
		n := 0
		publish := func(f *fixture, count int) {
			t.Helper()
			pub := f.mqtt(packet.V311, "pub")
			for range count {
				if code := pub.publishes(message("d/x", fmt.Sprint(n), 1)); code != packet.Success {
					t.Fatalf("PUBACK of %d says %v", n, code)
				}
				n++
			}
			pub.leaves()
		}
		gets := func(c *mqttClient, from int) {
			t.Helper()
			for i := from; i < n; i++ {
				c.gets(fmt.Sprint(i))
			}
		}
		for _, id := range []string{"kept", "given up"} {
			c := a.mqtt(packet.V5, id, persistent)
			c.subscribes(to("d/#", 1))
			if id == "given up" {
				c.leaves()
				continue
			}
			publish(a, 10)
			gets(c, 0)
			c.leaves()
		}
		gets(onB, 0)
		a.end()
		s.Stop()

		before := n
		a = start(t, "auto", yaml)
		if text := a.ready(); !strings.Contains(text, "waiting for the backbone") {
			t.Errorf("ready: %s", text)
		}
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			if ack := a.mqttDial(v).connect("kept", persistent); ack.Reason != packet.ServerUnavailable {
				t.Errorf("version %v: CONNACK says %v", v, ack.Reason)
			}
		}
		publish(a, 50)
		a.end() // it can also end without the backbone, and begin again
		a = start(t, "auto", yaml)
		a.mqtt(packet.V5, "given up").leaves()
		publish(a, 50)
		s.Start()
		gets(onB, before)
		onB.quiet()
		waitFor(t, "readiness without a reason", func() bool { return !strings.Contains(a.ready(), "waiting") })
		waitFor(t, "kept sessions", func() bool {
			c := a.mqttDial(packet.V5)
			ack := c.connect("new", persistent)
			return ack.Reason == packet.Success
		})
		kept := comesBack(a, packet.V5, "kept")
		gets(kept, before)
		if ack := a.mqttDial(packet.V5).connect("given up", persistent); ack.Reason != packet.Success || ack.SessionPresent {
			t.Errorf("the session that was given up: %+v", ack)
		}
		from := n
		publish(a, 10)
		gets(kept, from)
		gets(onB, from)
		onB.quiet()
	})
}

// Where a node was never in the cluster, nothing tells an outage from a wrong URL.
func TestFirstStartNeedsTheBackbone(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	s.Stop()
	cfg := load(t, fmt.Sprintf(awayConfig, 1, "a", t.TempDir(), s.URL()))
	if _, err := server.New(t.Context(), server.Options{Config: cfg, Logger: logger(t)}); !errors.Is(err, backbone.ErrAway) || !strings.Contains(err.Error(), "backbone.url") {
		t.Errorf("%v, want ErrAway that says what to check", err)
	}
}
