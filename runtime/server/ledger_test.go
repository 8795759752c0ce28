package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

const acknowledged = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: "t", outbox: {size: 256KiB}, deadlines: {write: 1m}}]
api: {address: ""}
`

// Who does not read the answers to its lines is not read from: no answer is lost,
// and what waits for it stays bounded.
func TestAcknowledgementsWaitForTheirReader(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, acknowledged)
		c := f.dial("lines")
		total := 200_000 // 20 MB
		if underRace {
			total = 120_000 // more than the system holds for a socket, still
		}
		line := append(bytes.Repeat([]byte{'x'}, 99), '\n')
		sent := make(chan error, 1)
		go func() {
			block := bytes.Repeat(line, 1000)
			for range total / 1000 {
				if _, err := c.Write(block); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		f.await("weft_loop_paused_connections", 1)
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, c.in, int64(total)*int64(len("ACK: ")+len(line))); err != nil {
			t.Fatalf("after %d bytes of answers: %v; %v were dropped", n, err, f.Metric("weft_frames_dropped_total"))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

const emitting = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: line, topic: "raw", acknowledge: "", chain: [{plugin: guest, config: {messages: "emit alarm a"}}]}
  - {name: out, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: "", subscribe: ["alarm"], outbox: {size: 16MiB}}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
api: {address: ""}
`

// However many messages arrive at once, what plugins make of them is not lost.
func TestALargeTurnLosesNothingThatPluginsMake(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, emitting)
		out := f.dial("out")
		f.await("weft_subscriptions", 1)
		senders, lines := 4, 40_000
		if underRace {
			lines = 10_000 // most of the time is the guest's
		}
		for range senders {
			c := f.dial("in")
			go func() { _, _ = c.Write(bytes.Repeat([]byte("m\n"), lines)) }()
		}
		if err := out.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(io.Discard, out.in, int64(2*senders*lines))
		if err != nil {
			t.Errorf("%d of %d came: %v; %v were discarded", n/2, senders*lines, err, f.Metric("weft_plugin_discarded_total"))
		}
	})
}

const mixed = `
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "t", acknowledge: "", chain: [guest]}
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "n"}
  - {name: out, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: "", subscribe: ["dead", "t"]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
dead_letter: {topic: "dead"}
loops: 1
api: {address: ""}
`

// What was delivered is not counted as dead because of the message before it.
func TestADeadLetterIsCountedOnce(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, mixed)
		lines, one, two, out := f.dial("lines"), f.dial("nodes"), f.dial("nodes"), f.dial("out")
		one.say(node("1", abi.TypeEvent, "I am one"))
		two.say(node("2", abi.TypeEvent, "I am two"))
		f.await("weft_nodes", 2)
		lines.say(text("route dead-letter"))
		out.hear()
		one.say(node("2", abi.TypeEvent, "to two"))
		two.hear()
		f.await("weft_messages_in_total", 4)
		f.end()
		if l := f.Ledger(); l.Dead != 1 || l.Delivered != 2 { // the letter and the message to two
			t.Errorf("%d dead, %d delivered", l.Dead, l.Delivered)
		}
	})
}

const asking = `
listeners:
  - {name: askers, address: "127.0.0.1:0", frame: mcp-seq, topic: "a", chain: [{plugin: guest, config: {open: "emit ask question type=1 seq=9"}}]}
  - {name: workers, address: "127.0.0.1:0", frame: mcp-seq, topic: "w", subscribe: ["queue:workers"]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
routes: [{name: ask, when: {topic: ask}, to: ["queue:workers"]}]
api: {address: ""}
`

// A request that a plugin makes when a session begins has as long as any other.
func TestARequestMadeOnOpenCanBeAnswered(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, asking)
		worker := f.dial("workers")
		f.await("weft_queue_groups", 1)
		asker := f.dial("askers")
		got := worker.hear()
		time.Sleep(250 * time.Millisecond) // two ticks, in which it must not expire
		worker.say(abi.Message{Type: abi.TypeResponse, Seq: got.Seq, Payload: []byte("answer")})
		if err := asker.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := asker.hear(); string(got.Payload) != "answer" || got.Seq != 9 {
			t.Errorf("heard %+v", got)
		}
	})
}

const ticking = `
listeners:
  - {name: first, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: ""}
  - {name: second, address: "127.0.0.1:0", frame: line, topic: "y", acknowledge: "", subscribe: ["from/#"], chain: [{plugin: guest, config: {tick: "emit tick tock"}}]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, tick: 100ms, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
routes:
  - {name: first, when: {topic: tick, listener: first}, to: ["topic:from/first"]}
  - {name: other, when: {topic: tick}, to: ["topic:from/another"]}
loops: 1
api: {address: "127.0.0.1:0"}
`

// What a tick makes did not come by a listener that the plugin is not part of.
func TestATickBelongsToItsOwnListener(t *testing.T) {
	f := start(t, "auto", ticking)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"from/#"}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	d, err := sub.Next(t.Context())
	if err != nil || string(d.Message.Topic) != "from/another" || d.Listener == "first" {
		t.Errorf("%q came by %q, %v", d.Message.Topic, d.Listener, err)
	}
}

// Whoever could not start leaves no socket behind.
func TestWhatDoesNotStartListensNowhere(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	srv := build(t, "auto", fmt.Sprintf(`{listeners: [{name: lines, address: "127.0.0.1:0", frame: line}], api: {address: %q}}`, taken.Addr()))
	if err := srv.Run(t.Context()); err == nil {
		t.Fatal("it runs")
	}
	conn, err := net.Dial("tcp", srv.Addresses()[0].Addr.String())
	if err == nil {
		_ = conn.Close()
		t.Error("the listener of a server that has ended still accepts")
	}
}
