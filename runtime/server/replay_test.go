package server_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// The first plugin does what a payload says, which makes another payload of it; the
// second one fails on everything until it is mended.
const twoPlugins = `
listeners:
  - name: in
    address: "127.0.0.1:0"
    frame: FRAME
    topic: "x/came"
    chain: [first, guard]
  - {name: out, address: "127.0.0.1:0", frame: mcp-seq, topic: "y", subscribe: ["x/#", "api/#"]}
routes: [{name: api, when: {topic: "api/#"}, to: [subscribers], chain: [first, guard]}]
plugins:
  first: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["x/#"]}}}
  guard: {file: ../../abi/vectors/v1.0/rust.wasm, config: {messages: GUARD}, on_failure: quarantine, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
loops: 1
api: {address: ""}
`

const (
	// onceChanged is the payload that the first plugin makes of firstPayload, and what
	// it must not meet again.
	onceChanged = "payload twice\ntopic x/twice"
	// onceByAPI is the same in digits for the route's chain, which sees its topic only.
	onceByAPI = "64726f7020616761696e" // drop again
)

var firstPayload = fmt.Sprintf("payload 0x%x\ntopic x/once", onceChanged)

// startTwo runs a server with the two plugins: a reload mends the second one.
func startTwo(t *testing.T, driver, frame string) *fixture {
	t.Helper()
	yaml := replace(twoPlugins, "FRAME", frame)
	if frame == "mqtt" || strings.HasPrefix(frame, "modbus") {
		yaml = replace(replace(yaml, "name: in\n", "name: "+strings.Split(frame, "-")[0]+"\n"), "    topic: \"x/came\"\n", "")
	}
	if strings.HasPrefix(frame, "modbus") {
		yaml = replace(yaml, "first: {", `first: {config: {messages: "payload 0x0300000002\ntopic x/once"}, `)
	}
	return startReloadable(t, driver, replace(yaml, "GUARD", "trap"), replace(yaml, "GUARD", "continue"))
}

// Whatever brought a message: its replay begins with what came, so that what the first
// plugin does to it is done once.
func TestAReplayDoesNothingTwice(t *testing.T) {
	publish := func(f *fixture, v packet.Version, m packet.Publish) {
		if code := f.mqtt(v, "sender").publishes(m); code != packet.Success {
			f.t.Errorf("PUBACK says %v", code)
		}
	}
	mqttOf := func(v packet.Version, qos uint8, retain bool, properties packet.Properties) func(f *fixture) {
		return func(f *fixture) {
			m := message("x/came", firstPayload, qos)
			m.Retain, m.Properties = retain, properties
			publish(f, v, m)
		}
	}
	for _, test := range []struct {
		name, frame string
		say         func(f *fixture)
		once        string // what the first plugin makes of it; onceChanged if empty
	}{
		{"length32", "length32", func(f *fixture) { f.dial("in").say(text(firstPayload)) }, ""},
		{"mqtt 3.1.1 QoS 0", "mqtt", mqttOf(packet.V311, 0, false, nil), ""},
		{"mqtt 5 QoS 0", "mqtt", mqttOf(packet.V5, 0, false, nil), ""},
		{"mqtt QoS 1", "mqtt", mqttOf(packet.V311, 1, false, nil), ""},
		{"mqtt QoS 2", "mqtt", mqttOf(packet.V5, 2, false, nil), ""},
		{"mqtt RETAIN", "mqtt", mqttOf(packet.V5, 0, true, nil), ""},
		{"mqtt expiry", "mqtt", mqttOf(packet.V5, 0, false, packet.Properties(nil).AppendNumber(packet.MessageExpiry, 3600)), ""},
		{"datagram", "mcp-dgram", func(f *fixture) {
			s := dialDgram(f.t, f.address("in"), datagram.Config{})
			s.say(datagram.Message{Channel: 2, Kind: datagram.Event, Payload: []byte(firstPayload)})
		}, ""},
		{"API", "length32", func(f *fixture) {
			if _, err := f.Bus().Publish(f.t.Context(), &abi.Message{Topic: []byte("api/came"), Payload: []byte("payload 0x" + onceByAPI)}); err != nil {
				f.t.Error(err)
			}
		}, "drop again"},
		{"API request", "length32", func(f *fixture) {
			_, _ = f.ask("api/came", "payload 0x"+onceByAPI, time.Second)
		}, "drop again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			once := cmp.Or(test.once, onceChanged)
			f := startTwo(t, "auto", test.frame)
			out := f.dial("out")
			f.await("weft_subscriptions", 2)
			test.say(f)
			l := all(f.store(1))[0]
			if l.Plugin != "guard" || string(l.Message.Payload) != once {
				t.Fatalf("the letter is %+v", l)
			}
			if err := f.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := f.DeadLetters().Check(l, admin.ReplayWay{}); err != nil {
				t.Error(err)
			}
			if r, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDelivered {
				t.Fatalf("%+v, %v", r, err)
			}
			if got := out.hear(); string(got.Payload) != once {
				t.Errorf("heard %q", got.Payload)
			}
		})
	}
}

// An alias stands for a topic on its connection alone: the letter has the topic.
func TestALetterKnowsAnAliasedTopic(t *testing.T) {
	f := startTwo(t, "auto", "mqtt")
	c := f.mqtt(packet.V5, "sender")
	alias := packet.Properties(nil).AppendNumber(packet.TopicAlias, 1)
	for _, topic := range []string{"x/came", ""} {
		m := message(topic, firstPayload, 0)
		m.Properties = alias
		c.publishes(m)
	}
	for _, l := range all(f.store(2)) {
		if string(l.Came.Topic) != "x/came" || string(l.Came.Payload) != firstPayload {
			t.Errorf("what came is %q on %q", l.Came.Payload, l.Came.Topic)
		}
	}
}

// What Modbus asked is replayed as it came, though nobody waits for the answer.
func TestAReplayOfModbus(t *testing.T) {
	f := startTwo(t, "auto", "modbus-tcp")
	out := f.dial("out")
	f.await("weft_subscriptions", 2)
	in := f.dial("modbus")
	in.say(abi.Message{Type: abi.TypeRequest, Seq: 1, Attrs: abi.Attributes(nil).AppendString("unit", "5"), Payload: []byte{3, 0, 0, 0, 1}})
	l := all(f.store(1))[0]
	if !bytes.Equal(l.Message.Payload, []byte{3, 0, 0, 0, 2}) || !bytes.Equal(l.Came.Payload, []byte{3, 0, 0, 0, 1}) || string(l.Message.Topic) != "x/once" || string(l.Came.Topic) == "x/once" {
		t.Errorf("the letter is %+v", l)
	}
	if err := f.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDelivered {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := out.hear(); !bytes.Equal(got.Payload, []byte{3, 0, 0, 0, 2}) {
		t.Errorf("heard %x", got.Payload)
	}
}

// A message that a plugin made begins where it failed: it never came to the plugins
// before that. One that nothing failed on has no such place.
func TestAReplayOfWhatAPluginMade(t *testing.T) {
	f := startTwo(t, "auto", "length32")
	out := f.dial("out")
	f.await("weft_subscriptions", 2)
	f.dial("in").say(text(fmt.Sprintf("emit x/made 0x%x\ndrop done", onceChanged)))
	l := all(f.store(1))[0]
	if l.Message.Flags&abi.FlagEmitted == 0 || l.Plugin != "guard" {
		t.Fatalf("the letter is %+v", l)
	}
	routed := *l
	routed.Cause, routed.Plugin = "route", ""
	if err := f.DeadLetters().Check(&routed, admin.ReplayWay{}); !errors.Is(err, admin.ErrNotReplayable) || !strings.Contains(err.Error(), "past the plugins") {
		t.Errorf("one that a route sent there: %v", err)
	}
	former := *l
	former.Plugin = "keeper"
	if err := f.DeadLetters().Check(&former, admin.ReplayWay{}); !errors.Is(err, admin.ErrNotReplayable) || !strings.Contains(err.Error(), "in no chain any more") {
		t.Errorf("one whose plugin is gone: %v", err)
	}
	if err := f.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDelivered {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := out.hear(); string(got.Payload) != onceChanged {
		t.Errorf("heard %q", got.Payload)
	}
}

// Where it is not known what came, nothing is done twice either: it is refused.
func TestAReplayOfWhatIsNotKnownAnyMore(t *testing.T) {
	f := startTwo(t, "auto", "length32")
	l := &delivery.DeadLetter{Hook: "messages", Cause: "untaken", Listener: "in", CameLost: true, Message: abi.Message{Topic: []byte("x/once"), Payload: []byte("done")}}
	if _, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); !errors.Is(err, admin.ErrNotReplayable) || !strings.Contains(err.Error(), "past the plugins") {
		t.Errorf("%v", err)
	}
	out := f.dial("out")
	f.await("weft_subscriptions", 2)
	if r, err := f.DeadLetters().Replay(l, admin.ReplayWay{PastPlugins: true}); err != nil || r.Outcome != admin.ReplayDelivered {
		t.Errorf("%+v, %v", r, err)
	}
	if got := out.hear(); string(got.Payload) != "done" {
		t.Errorf("heard %q", got.Payload)
	}
}

// A PUBLISH that goes to the dead letters by a route is replayed as any other.
func TestAReplayOfPlainMQTT(t *testing.T) {
	eachMQTT(t, `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: lost, when: {topic: "lost/#"}, to: [dead-letter]}]
api: {address: ""}
`, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		c.publishes(message("lost/a", "plain", 0))
		l := all(f.store(1))[0]
		if err := f.DeadLetters().Check(l, admin.ReplayWay{}); err != nil {
			t.Error(err)
		}
		if r, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDead || r.Reason != "route" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
