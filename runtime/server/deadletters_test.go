package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/server"
)

// The guest does what a message's payload says: a payload "trap" is poison to it.
// The plugin before it has changed the message by then.
const quarantine = `
listeners:
  - name: in
    address: "127.0.0.1:0"
    frame: mcp-seq
    topic: "raw/{listener}"
    chain: [{plugin: before, config: {messages: "set seen 1\nremember who truck-7\ntopic changed"}}, guest]
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "x", subscribe: ["changed", "elsewhere"]}
  - {name: dead, address: "127.0.0.1:0", frame: length32, topic: "x", subscribe: ["graves"]}
plugins:
  before: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, on_failure: quarantine, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
dead_letter: {topic: graves, keep: 100}
loops: 1
api: {address: ""}
`

// store waits until so many letters are kept.
func (f *fixture) store(letters int) *delivery.DeadLetterStore {
	f.t.Helper()
	f.await("weft_dead_letters", float64(letters))
	return f.DeadLetters().Store()
}

func all(s *delivery.DeadLetterStore) []*delivery.DeadLetter {
	list, _ := s.List(delivery.DeadLetterFilter{}, 1<<20)
	return list
}

// Poison costs itself alone, and is kept as it came and as the plugin saw it.
func TestQuarantineKeepsWhatCameAndWhy(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, quarantine)
		in, out, dead := f.dial("in"), f.dial("out"), f.dial("dead")
		f.await("weft_subscriptions", 3)
		poison := abi.Message{Type: abi.TypeRequest, Seq: 7, Priority: 3, Payload: []byte("trap")}
		var sent []byte
		for n := range 20 {
			m := abi.Message{Type: abi.TypeEvent, Seq: uint64(n), Payload: fmt.Appendf(nil, "continue\nset n %d", n)}
			if n == 10 {
				m = poison
			}
			sent = append(sent, frameOf(t, in, m)...)
		}
		if _, err := in.Write(sent); err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			if n == 10 {
				continue
			}
			if got := out.hear(); !bytes.Contains(got.Payload, fmt.Appendf(nil, "set n %d", n)) {
				t.Fatalf("message %d: %q", n, got.Payload)
			}
		}
		if got := dead.hear(); string(got.Payload) != "trap" {
			t.Errorf("the dead-letter topic: %q", got.Payload)
		}
		l := all(f.store(1))[0]
		if want := frameOf(t, in, poison); !bytes.Equal(l.Message.Frame, want) {
			t.Errorf("the frame is %x, not %x", l.Message.Frame, want)
		}
		if seen, _ := l.Message.Attrs.Get("seen"); string(l.Message.Topic) != "changed" || string(l.Message.Payload) != "trap" || string(seen) != "1" {
			t.Errorf("as it reached the plugin: topic %q, payload %q, attributes %q", l.Message.Topic, l.Message.Payload, l.Message.Attrs)
		}
		if who, _ := l.Message.Context.Get("who"); string(who) != "truck-7" {
			t.Errorf("the context is %q", l.Message.Context)
		}
		if l.Plugin != "guest" || l.Cause != "trap" || l.Hook != "messages" || l.Listener != "in" || l.Message.Session == 0 ||
			l.Remote.String() != in.LocalAddr().String() || time.Since(time.Unix(0, l.Time)) > time.Minute || l.Message.Seq != 7 {
			t.Errorf("the letter says %+v", l)
		}
		if !strings.Contains(l.Text, "unreachable") {
			t.Errorf("the failure in words is %q", l.Text)
		}
		if got := f.Ledger(); got.Dead != 1 || got.Lost() != 0 {
			t.Errorf("%d dead, %d lost", got.Dead, got.Lost())
		}
	})
}

func frameOf(t *testing.T, c *client, m abi.Message) []byte {
	t.Helper()
	b, err := c.format.Append(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A letter goes through the chain as it came, past the plugins as it died, or to
// a topic; it is not buried twice.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, quarantine)
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 2)
		in.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("trap")})
		letters := f.DeadLetters()
		l := all(f.store(1))[0]

		r, err := letters.Replay(l, admin.ReplayWay{})
		if err != nil || r.Outcome != admin.ReplayDead || !strings.Contains(r.Reason, "guest") || r.Handled() {
			t.Errorf("through the chain: %+v, %v", r, err)
		}
		r, err = letters.Replay(l, admin.ReplayWay{PastPlugins: true})
		if err != nil || r.Outcome != admin.ReplayDelivered || r.Copies != 1 || !r.Handled() {
			t.Errorf("past the plugins: %+v, %v", r, err)
		}
		if got := out.hear(); string(got.Payload) != "trap" {
			t.Errorf("heard %q", got.Payload)
		}
		r, err = letters.Replay(l, admin.ReplayWay{Topic: "elsewhere"})
		if err != nil || r.Outcome != admin.ReplayDelivered {
			t.Errorf("to a topic: %+v, %v", r, err)
		}
		if got := out.hear(); string(got.Payload) != "trap" {
			t.Errorf("heard %q", got.Payload)
		}
		if r, err = letters.Replay(l, admin.ReplayWay{Topic: "nobody"}); err != nil || r.Outcome != admin.ReplayDropped || r.Reason != "no_subscriber" {
			t.Errorf("to nobody: %+v, %v", r, err)
		}
		if n := len(all(f.store(1))); n != 1 {
			t.Errorf("%d letters", n)
		}
		// The session is gone: what was known about it still counts.
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		f.await("weft_connections", 1)
		if r, err = letters.Replay(l, admin.ReplayWay{PastPlugins: true}); err != nil || r.Outcome != admin.ReplayDelivered {
			t.Errorf("without its session: %+v, %v", r, err)
		}
		if r, err = letters.Replay(l, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDead {
			t.Errorf("through the chain without its session: %+v, %v", r, err)
		}
	})
}

const flood = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t"}
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "x", subscribe: ["good"]}
  - {name: sender, address: "127.0.0.1:0", frame: length32, topic: "good"}
routes: [{name: graves, when: {topic: t}, to: [dead-letter]}]
dead_letter: {topic: graves, keep: 500, size: 1MiB}
loops: 1
api: {address: ""}
`

// A flood of dead letters stays within the store's bounds, every one is counted,
// and the loop goes on.
func TestAFloodOfDeadLettersIsBounded(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, flood)
		in, sender, out := f.dial("in"), f.dial("sender"), f.dial("out")
		f.await("weft_subscriptions", 1)
		one := frameOf(t, in, abi.Message{Payload: bytes.Repeat([]byte("poison"), 20)})
		const rounds, each = 40, 1000
		block := bytes.Repeat(one, each)
		for n := range rounds {
			if _, err := in.Write(block); err != nil {
				t.Fatal(err)
			}
			sender.say(text(fmt.Sprint(n)))
			if got := out.hear(); string(got.Payload) != fmt.Sprint(n) {
				t.Fatalf("round %d: %q", n, got.Payload)
			}
		}
		f.await("weft_messages_dead_total", rounds*each)
		deadline := time.Now().Add(time.Minute)
		for f.Metric("weft_dead_letters_stored_total")+f.MetricOf("weft_dead_letters_discarded_total", "flood") != rounds*each && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		stored, lost := f.Metric("weft_dead_letters_stored_total"), f.MetricOf("weft_dead_letters_discarded_total", "flood")
		if stored+lost != rounds*each {
			t.Errorf("%v stored, %v not, of %d", stored, lost, rounds*each)
		}
		st := f.DeadLetters().Store().Stats()
		if st.Count > 500 || st.Bytes > 1<<20 || st.Count == 0 {
			t.Errorf("the store has %+v", st)
		}
		if displaced := f.MetricOf("weft_dead_letters_discarded_total", "displaced"); displaced != stored-float64(st.Count) {
			t.Errorf("%v displaced of %v stored, %d kept", displaced, stored, st.Count)
		}
		if l := f.Ledger(); l.Dead != rounds*each || float64(l.Lost()) != lost {
			t.Errorf("%d dead, %d lost", l.Dead, l.Lost())
		}
	})
}

// A frame that names another node is replayed to that node, also when its sender
// has gone.
func TestAReplayedFrameFindsItsNode(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, `
listeners:
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}", chain: [guest]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, on_failure: quarantine, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
loops: 1
api: {address: ""}
`)
		one, two := f.dial("nodes"), f.dial("nodes")
		one.say(node("1", abi.TypeEvent, "drop hello"))
		two.say(node("2", abi.TypeEvent, "drop hello"))
		f.await("weft_nodes", 2)
		one.say(node("2", abi.TypeEvent, "route dead-letter"))
		l := all(f.store(1))[0]
		if l.Cause != "plugin" || !bytes.Equal(l.Message.Frame, frameOf(t, one, node("2", abi.TypeEvent, "route dead-letter"))) {
			t.Errorf("the letter is %+v", l)
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		f.await("weft_nodes", 1)
		r, err := f.DeadLetters().Replay(l, admin.ReplayWay{PastPlugins: true})
		if err != nil || r.Outcome != admin.ReplayDelivered {
			t.Errorf("%+v, %v", r, err)
		}
		got := two.hear()
		if from, _ := got.Attrs.Get("node_id"); string(from) != "1" || string(got.Payload) != "route dead-letter" {
			t.Errorf("node 2 hears %q from %q", got.Payload, from)
		}
	})
}

// A plugin that fails on some messages is mended and swapped: nothing else was
// lost, and what it failed on is delivered by a replay.
func TestReplayAfterThePluginWasMended(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		mended := replace(quarantine, "guest: {file", "guest: {config: {messages: \"set mended 1\"}, file")
		f := startReloadable(t, driver, quarantine, mended)
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 2)
		const total = 300
		poison := 0
		for n := range total {
			if n%150 == 75 { // two, each from a session of its own: a plugin or session that fails more often rests
				f.dial("in").say(abi.Message{Type: abi.TypeEvent, Payload: []byte("trap")})
				poison++
				continue
			}
			in.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("continue")})
		}
		for range total - poison {
			if got := out.hear(); string(got.Payload) != "continue" {
				t.Fatalf("heard %q", got.Payload)
			}
		}
		letters := all(f.store(poison))
		for _, l := range letters {
			if l.Cause != "trap" || l.Generation != 1 {
				t.Errorf("cause %s, generation %d", l.Cause, l.Generation)
			}
		}
		if err := f.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			r, err := f.DeadLetters().Replay(l, admin.ReplayWay{})
			if err != nil || r.Outcome != admin.ReplayDelivered {
				t.Errorf("letter %d: %+v, %v", l.ID, r, err)
			}
			if got := out.hear(); string(got.Payload) != "trap" {
				t.Errorf("heard %q", got.Payload)
			}
		}
		if l := f.Ledger(); l.Dead != uint64(poison) || l.Delivered != total || l.Lost() != 0 {
			t.Errorf("the ledger: %+v", l)
		}
	})
}

// startReloadable runs a server that reads its configuration again as the second.
func startReloadable(t *testing.T, driver, first, second string) *fixture {
	t.Helper()
	srv, err := server.New(t.Context(), server.Options{
		Config: load(t, first), Logger: logger(t), Driver: driver,
		Reload: func(context.Context) (*config.Config, error) { return load(t, second), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, srv)
}

// A session that could not begin because a plugin failed on it leaves a letter,
// which is no message to replay.
func TestASessionThatCouldNotBeginLeavesALetter(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, `
listeners: [{name: in, address: "127.0.0.1:0", frame: line, topic: t, chain: [guest]}]
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, config: {open: trap}, on_failure: quarantine, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
loops: 1
api: {address: ""}
`)
		in := f.dial("in")
		if _, err := in.next(); err == nil {
			t.Fatal("the session has begun")
		}
		l := all(f.store(1))[0]
		if l.Hook != "open" || l.Cause != "trap" || l.Listener != "in" || l.Remote.String() != in.LocalAddr().String() || l.Message.Frame != nil {
			t.Errorf("the letter is %+v", l)
		}
		if _, err := f.DeadLetters().Replay(l, admin.ReplayWay{}); !errors.Is(err, admin.ErrNotReplayable) {
			t.Errorf("its replay: %v", err)
		}
	})
}
