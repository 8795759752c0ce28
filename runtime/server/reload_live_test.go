package server_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const vectorsGuest = `
    file: ../../abi/vectors/v1.0/assemblyscript.wasm
    cpu: 20ms
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: [WEB], deadline: 60s}}`

const reloaded = `
loops: 2
drain: 20s
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t", acknowledge: "", chain: []}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
routes:
  - {name: first, when: {topic: t}, to: ["topic:a"]}
plugins: {}
dead_letter: {topic: ""}
api: {address: ""}
`

// hearsOn waits for a message and its topic.
func (c *mqttClient) hearsOn(topic, text string) {
	c.t.Helper()
	if m := c.hears(); string(m.Topic) != topic || string(m.Payload) != text {
		c.t.Fatalf("got %s %q, want %s %q", m.Topic, m.Payload, topic, text)
	}
}

// refused reloads what must be refused.
func (f *filtering) refused(old, with string, is error, says string) {
	f.t.Helper()
	was := *f.yaml.Load()
	text := strings.ReplaceAll(was, old, with)
	if text == was {
		f.t.Fatalf("%q is not in the configuration", old)
	}
	f.yaml.Store(&text)
	err := f.Reload(f.t.Context())
	if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		f.t.Errorf("%q: %v, expected %v and %q", with, err, is, says)
	}
	if s := f.ConfigStatus(); s.Good || s.Last.Result != admin.ReloadRefused || len(s.Last.Problems) == 0 {
		f.t.Errorf("%+v", s)
	}
	if f.Metric("weft_config_good") != 0 {
		f.t.Error("the metrics say that it is good")
	}
	if !strings.Contains(f.log.String(), "the configuration was refused; the former one goes on") {
		f.t.Errorf("the log does not say it:\n%s", f.log)
	}
	f.yaml.Store(&was)
}

// passes says something on one connection and expects another one to hear it on the topic.
func passes(in *client, out *mqttClient) func(topic string) {
	return func(topic string) {
		in.t.Helper()
		in.say(text("x"))
		out.hearsOn(topic, "x")
	}
}

// Routes come, go and change their order and what they say, and connections stay.
func TestReloadRoutes(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, reloaded)
		out, in := f.mqtt(packet.V5, "out"), f.dial("in")
		out.subscribes(to("#", 1))
		hears := passes(in, out)
		hears("a")
		f.reload(`to: ["topic:a"]}`, `to: ["topic:b"]}`)
		hears("b")
		f.reload("routes:\n", "routes:\n  - {name: before, when: {listener: in}, to: [\"topic:c\"]}\n")
		hears("c")
		f.reload("  - {name: before, when: {listener: in}, to: [\"topic:c\"]}\n", "")
		hears("b")
		f.reload("when: {topic: t}", "when: {topic: other}")
		hears("t")
		f.reload("dead_letter:", "default_route: [\"topic:d\"]\ndead_letter:")
		hears("d")
		f.reload("topic: \"t\"", "topic: \"u/{listener}\"") // of a connection that is there
		f.reload("default_route: [\"topic:d\"]\n", "")
		hears("u/in")
		f.refused("when: {topic: other}", "when: {listener: nobody}", nil, "nobody")
		hears("u/in")
		status := f.ConfigStatus()
		if status.Applied != 7 || status.Refused != 1 || status.Last.By != admin.BySignal {
			t.Errorf("%+v", status)
		}
		f.reload("loops: 2", "loops: 1")
		if got := fmt.Sprint(f.ConfigStatus().Restart); got != "[loops]" || f.Metric("weft_config_restart_keys") != 1 {
			t.Errorf("%s wait for a restart", got)
		}
	})
}

// Plugins come and go, and stand in other places; a message that one of them has paused
// is finished, and a listener beside them does not notice.
func TestReloadChains(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		guest := func(name, config string) string {
			return "  " + name + ":" + strings.ReplaceAll(vectorsGuest, "WEB", `"`+w.URL+`"`) + "\n    config: " + config + "\n"
		}
		f := startFiltering(t, driver, reloaded)
		out, in := f.mqtt(packet.V5, "out"), f.dial("in")
		out.subscribes(to("#", 0))
		hears := passes(in, out)
		hears("a")
		none := "plugins: {}\n"
		one := "plugins:\n" + guest("one", `{messages: "topic one", resume: "topic resumed\ncontinue"}`)
		f.reload(none, one)
		hears("a")
		f.reload("chain: []", "chain: [one]")
		hears("one")
		two := guest("two", `{messages: "topic two"}`)
		f.reload(one, one+two)
		f.reload("chain: [one]", "chain: [one, two]")
		hears("two")
		f.reload("chain: [one, two]", "chain: [two, one]")
		hears("one")
		f.reload("chain: [two, one]", `chain: [two, {plugin: one, config: {messages: "topic own"}}]`)
		hears("own")
		f.reload(`messages: "topic own"`, `messages: "topic owner"`)
		hears("owner")
		f.reload(`to: ["topic:a"]}`, `to: ["topic:a"], chain: [two]}`)
		f.reload("when: {topic: t}", "when: {topic: owner}")
		hears("a")
		f.reload("chain: [two]}", "chain: []}")
		f.reload("when: {topic: owner}", "when: {topic: t}")
		// A message waits in a plugin that goes.
		f.reload(`chain: [two, {plugin: one, config: {messages: "topic owner"}}]`, `chain: [{plugin: one, config: {resume: "topic resumed\ncontinue"}}]`)
		in.say(text(w.ask("/a")))
		<-w.arrived
		f.reload(`chain: [{plugin: one, config: {resume: "topic resumed\ncontinue"}}]`, "chain: [two]")
		f.reload(one, "plugins:\n")
		in.say(text("behind"))
		other := f.dial("in")
		other.say(text("beside"))
		out.hearsOn("two", "beside")
		close(w.gate("/a"))
		out.hearsOn("two", w.ask("/a"))
		out.hearsOn("two", "behind")
		list, err := f.Rollouts().List(t.Context(), nil)
		if err != nil || len(list) != 1 || list[0].GetName() != "two" || fmt.Sprint(list[0].GetPlaces()) != "[listener in]" {
			t.Errorf("%v, %v", list, err)
		}
		f.refused("chain: [two]", "chain: [two, three]", nil, "three")
		f.refused("plugins:\n", "plugins:\n  bad: {file: nowhere.wasm}\n", nil, "nowhere.wasm")
		in.say(text("x"))
		out.hearsOn("two", "x")
		if l := f.Ledger(); l.InFlight() != 0 || l.Lost() != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// Listeners come, go and move while the connections of others stay as they are.
func TestReloadListeners(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, reloaded)
		out := f.mqtt(packet.V5, "out")
		out.subscribes(to("#", 1))
		bus, err := f.Bus().Subscribe(t.Context(), []string{"#"}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		heard := func(topic, payload string) {
			t.Helper()
			out.hearsOn(topic, payload)
			if d, err := bus.Next(t.Context()); err != nil || string(d.Message.Topic) != topic || string(d.Message.Payload) != payload {
				t.Fatalf("the bus: %s %q, %v", d.Message.Topic, d.Message.Payload, err)
			}
		}
		in := f.dial("in")
		in.say(text("x"))
		heard("a", "x")
		more := "  - {name: more, address: \"127.0.0.1:0\", frame: mqtt, chain: []}\n  - {name: lines, address: \"127.0.0.1:0\", frame: line, topic: \"from/{listener}\"}\n"
		for range 3 {
			f.reload("routes:\n", more+"routes:\n")
			second, lines := f.mqttDialTo("more", packet.V5), f.dial("lines")
			second.connect("second")
			second.publishes(message("m", "hello", 1))
			heard("m", "hello")
			if got := lines.ask("hi"); got != "ACK: hi" {
				t.Errorf("%q", got)
			}
			heard("from/lines", "hi")
			address := f.address("lines")
			f.reload(more, "")
			second.ends(packet.ServerShuttingDown)
			if _, err := lines.next(); err == nil {
				t.Error("it is still served")
			}
			if c, err := net.Dial("tcp", address); err == nil {
				t.Errorf("%s still accepts", address)
				_ = c.Close()
			}
			in.say(text("y"))
			heard("a", "y")
		}
		f.refused("routes:\n", fmt.Sprintf("  - {name: taken, address: %q, frame: line}\nroutes:\n", f.address("in")), engine.ErrAddressInUse, "listeners.taken.address")
		former := f.address("in")
		next := reserved(t)
		f.reload(`name: in, address: "127.0.0.1:0"`, fmt.Sprintf("name: in, address: %q", next))
		if got := f.address("in"); got != next {
			t.Errorf("it listens on %s, not %s", got, next)
		}
		if _, err := in.next(); err == nil {
			t.Error("it is still served at the former address")
		}
		if c, err := net.Dial("tcp", former); err == nil {
			t.Errorf("%s still accepts", former)
			_ = c.Close()
		}
		again := f.dial("in")
		again.say(text("z"))
		heard("a", "z")
		out.quiet()
		if n := f.MetricOf("weft_connections", "mqtt"); n != 1 {
			t.Errorf("%v connections of MQTT", n)
		}
	})
}

// A session that MQTT keeps for its client survives that its listener moves and changes.
func TestReloadKeepsSessions(t *testing.T) {
	f := startFiltering(t, "auto", reloaded)
	lasting := func(m *packet.Connect) {
		m.CleanStart, m.Properties = false, m.Properties.AppendNumber(packet.SessionExpiry, 3600)
	}
	c := f.mqtt(packet.V5, "lasting", lasting)
	c.subscribes(to("kept", 1))
	f.reload("frame: mqtt}", "frame: mqtt, mqtt: {max_qos: 1}}")
	c.publishes(message("kept", "here", 1))
	c.gets("here")
	c.leaves()
	f.reload(`name: mqtt, address: "127.0.0.1:0"`, fmt.Sprintf("name: mqtt, address: %q", reserved(t)))
	p := f.mqtt(packet.V5, "publisher")
	p.publishes(message("kept", "away", 1))
	c = f.mqttDial(packet.V5)
	if ack := c.connect("lasting", lasting); !ack.SessionPresent {
		t.Errorf("%+v", ack)
	}
	c.gets("away")
}

// Limits change for those who come, for all listeners and for one, and the log's level.
func TestReloadLimits(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, reloaded)
		first := f.dial("in")
		first.say(text("x"))
		f.await("weft_messages_in_total", 1)
		f.reload("plugins: {}", "limits: {connections: 1}\nplugins: {}")
		second := f.dial("in")
		if _, err := second.next(); err == nil {
			t.Error("it was let in")
		}
		f.reload("limits: {connections: 1}\n", "")
		f.reload("topic: \"t\",", "topic: \"t\", heartbeat: {every: 0s, close_after: 200ms},")
		if _, err := first.next(); err == nil {
			t.Error("it was not closed for its silence")
		}
	})
}

// What waits for a restart is said once, and the rest takes effect.
func TestReloadWithARestart(t *testing.T) {
	f := startFiltering(t, "auto", reloaded)
	in, out := f.dial("in"), f.mqtt(packet.V5, "out")
	out.subscribes(to("#", 0))
	f.reload("loops: 2", "loops: 1\nkernel: {interfaces: [lo]}")
	f.reload(`to: ["topic:a"]`, `to: ["topic:b"]`)
	in.say(text("x"))
	out.hearsOn("b", "x")
	if n := strings.Count(f.log.String(), "take effect after a restart"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if got := fmt.Sprint(f.ConfigStatus().Restart); got != "[kernel loops]" {
		t.Error(got)
	}
	f.reload("loops: 1\nkernel: {interfaces: [lo]}", "loops: 2")
	if got := f.ConfigStatus().Restart; len(got) != 0 {
		t.Error(got)
	}
}
