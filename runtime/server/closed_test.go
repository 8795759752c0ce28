package server_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

const closing = `
listeners:
  - name: in
    address: "127.0.0.1:0"
    frame: line
    topic: "t"
    chain: [{plugin: guest, config: {messages: "unset nothing", close: "emit t closed"}}]
    outbox: {size: 64KiB, when_full: drop-oldest}
    deadlines: {write: 100ms}
  - {name: out, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: "", subscribe: ["t"], outbox: {size: 16MiB}}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
loops: 1
api: {address: ""}
`

// Plugins hear of a session's end after its last message, also when the two fall
// into one turn: a peer that sends and never reads is closed in the middle.
func TestTheEndOfASessionComesAfterItsLastMessage(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, closing)
		out := f.dial("out")
		f.await("weft_subscriptions", 1)
		for range 2 {
			c := f.dial("in")
			go func() {
				block := bytes.Repeat([]byte("a message\n"), 4096)
				for {
					if _, err := c.Write(block); err != nil {
						return
					}
				}
			}()
			for got := ""; got != "closed"; got = string(out.line()) {
			}
			if err := out.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, out.in)
			if n > 0 {
				t.Fatalf("%d bytes came after the end of the session (%v)", n, err)
			}
		}
	})
}

// line reads a line faster than next does.
func (c *client) line() []byte {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	b, err := c.in.ReadSlice('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}

const refusing = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: line, topic: "t", acknowledge: "", node: "{identity}", chain: [guest]}
  - {name: out, address: "127.0.0.1:0", frame: line, topic: "x", acknowledge: "", subscribe: ["t", "u"]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
loops: 1
api: {address: ""}
`

// Who is refused is not heard any more, however much of it came at once: because a
// plugin says so, or because another has taken the name. What the plugin itself
// makes is.
func TestWhoIsRefusedIsNotHeard(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, refusing)
		out, first := f.dial("out"), f.dial("in")
		f.await("weft_subscriptions", 2)
		first.say(text("remember identity 7"))
		out.hear()
		second, third := f.dial("in"), f.dial("in")
		if _, err := second.Write([]byte("set remember x\n")); err != nil {
			t.Fatal(err)
		}
		out.hear() // nothing is wrong with it yet
		// The guest's commands are lines; an attribute of a line there is none.
		if _, err := second.Write([]byte("remember identity 7\nset a b\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := first.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the first 7: %v", err)
		}
		_, _ = first.Write([]byte("set is not heard\n"))
		if _, err := third.Write([]byte("emit u alarm\nclose no\nset a b\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := third.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the third: %v", err)
		}
		second.say(text("set the end"))
		for _, want := range []string{"remember identity 7", "set a b", "emit u alarm", "alarm", "set the end"} {
			if got := out.hear(); string(got.Payload) != want {
				t.Errorf("heard %q, not %q", got.Payload, want)
			}
		}
	})
}
