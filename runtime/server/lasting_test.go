package server_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/weftrun/weft/abi"
)

// lastingNodes is a listener of nodes that do what they are told, and one of lines that
// say things to whoever has subscribed.
const lastingNodes = `
loops: %d
listeners:
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}", chain: [obedient]}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "news", acknowledge: ""}
api: {address: ""}
` + obedient + "\n"

// tells has a node say something, which the plugin does.
func (c *client) tells(node int, commands string) {
	c.t.Helper()
	c.say(abi.Message{Type: abi.TypeRequest, Attrs: abi.Attributes(nil).AppendString("node_id", fmt.Sprint(node)), Payload: []byte(commands)})
}

// answers has a node ask for its context's value.
func (c *client) answers(node int, name, want string) {
	c.t.Helper()
	c.tells(node, "context "+name)
	if m := c.hear(); string(m.Payload) != fmt.Sprintf("context %s %s\n", name, want) {
		c.t.Fatalf("it says %q, not %s", m.Payload, want)
	}
}

// over waits for the end of the connection.
func (c *client) over() {
	c.t.Helper()
	for {
		if m, err := c.next(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				c.t.Fatalf("%v, and the connection is not closed", err)
			}
			return
		} else if len(m.Payload) > 0 {
			c.t.Fatalf("%q came", m.Payload)
		}
	}
}

// A node has what plugins know of it, and what they subscribed it to, when it is back: on
// the same weft, after a restart, and on another one.
func TestANodeIsRemembered(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		for _, data := range []string{"", fmt.Sprintf("backbone: {name: one, data: %q}\n", t.TempDir())} {
			config := withLoops(lastingNodes, loops) + data
			f := start(t, "auto", config)
			c := f.dial("nodes")
			c.tells(7, "remember color red\nsubscribe news 0\nsubscribe queue:jobs 0")
			c.answers(7, "color", "red")
			_ = c.Close()
			f.await("weft_sessions_remembered", 1)
			if data != "" {
				f.end()
				f = start(t, "auto", config)
				f.await("weft_sessions_remembered", 1)
			}
			stranger := f.dial("nodes")
			stranger.answers(8, "color", "!none")
			c = f.dial("nodes")
			c.answers(7, "color", "red")
			f.dial("lines").say(text("hello"))
			if m := c.hear(); string(m.Payload) != "hello" {
				t.Errorf("%q came", m.Payload)
			}
			if n := f.Metric("weft_sessions_resumed_total"); n != 1 {
				t.Errorf("%v sessions were resumed, not 1", n)
			}
			// What it does not have any more does not come back.
			c.tells(7, "forget color\nunsubscribe news")
			c.answers(7, "color", "!none")
			_ = c.Close()
			f.await("weft_sessions_remembered", 1)
			c = f.dial("nodes")
			c.answers(7, "color", "!none")
			f.dial("lines").say(text("hello again"))
			c.answers(7, "color", "!none") // and nothing before it
			f.end()
		}
	})
}

// A node that connects to another weft has its session there; its old connection is closed
// once, and what it had there is gone.
func TestANodeMoves(t *testing.T) {
	nodes := several(t, alone(t), 2, withLoops(lastingNodes, 2))
	a, b := nodes[0], nodes[1]
	c := a.dial("nodes")
	c.tells(7, "remember color red\nsubscribe news 0")
	c.answers(7, "color", "red")
	a.await("weft_sessions_written_total", 1)
	moved := b.dial("nodes")
	moved.tells(7, "continue")
	c.over()
	b.await("weft_sessions_moved_total", 1)
	moved.answers(7, "color", "red")
	b.await("weft_subscriptions", 1)
	a.dial("lines").say(text("hello"))
	if m := moved.hear(); string(m.Payload) != "hello" {
		t.Errorf("%q came", m.Payload)
	}
	moved.tells(7, "remember color blue")
	moved.answers(7, "color", "blue")
	_ = moved.Close()
	b.await("weft_sessions_remembered", 1)
	back := a.dial("nodes")
	back.tells(7, "continue")
	a.await("weft_sessions_moved_total", 2) // in and out
	back.answers(7, "color", "blue")
	b.await("weft_sessions_lasting", 0)
}

// Who has an identity gets nothing of one that had another, or none; and of its own not
// what it was introduced with.
func TestANodeIsRememberedByWhoItIs(t *testing.T) {
	f := start(t, "auto", withLoops(lastingNodes, 1))
	c := f.dial("nodes")
	c.tells(7, "remember identity ann\nremember role admin")
	c.tells(7, "remember color red")
	c.answers(7, "color", "red")
	_ = c.Close()
	f.await("weft_sessions_remembered", 1)

	c = f.dial("nodes")
	c.answers(7, "color", "!none")
	c.answers(7, "role", "!none")
	c.tells(7, "remember identity bob")
	c.answers(7, "color", "!none")
	_ = c.Close()
	f.await("weft_sessions_remembered", 2)

	c = f.dial("nodes")
	c.tells(7, "remember identity ann")
	f.await("weft_sessions_resumed_total", 1) // what comes in the same turn does not see it
	c.answers(7, "color", "red")
	c.answers(7, "role", "!none")
}

// The room for clients that are away is bounded: the one with the least time left goes,
// and is counted. A session ends with its time, and at once where nothing is kept.
func TestNodesAreForgotten(t *testing.T) {
	f := start(t, "auto", "session: {count: 2}\n"+withLoops(lastingNodes, 1))
	for node := 1; node <= 3; node++ {
		c := f.dial("nodes")
		c.tells(node, "remember color red")
		c.answers(node, "color", "red")
		_ = c.Close()
		f.await("weft_sessions_remembered", float64(min(node, 2)))
		if node == 3 {
			f.await("weft_sessions_forgotten_total", 1)
		}
	}
	f.dial("nodes").answers(1, "color", "!none")
	f.dial("nodes").answers(3, "color", "red")
	f.end()

	f = start(t, "auto", "session: {ttl: 1s}\n"+withLoops(lastingNodes, 1))
	c := f.dial("nodes")
	c.tells(7, "remember color red")
	c.answers(7, "color", "red")
	_ = c.Close()
	f.await("weft_sessions_lasting", 0)
	f.dial("nodes").answers(7, "color", "!none")
}

// What was said while a session was being claimed goes on with another configuration.
func TestAReloadWhileANodeIsClaimed(t *testing.T) {
	f := startFiltering(t, "auto", withLoops(lastingNodes, 1)+clustered(t, alone(t), "a"))
	next := f.HoldClaims()
	c := f.dial("nodes")
	c.tells(7, "remember color red")
	f.await("weft_messages_in_total", 1)
	f.reload(`topic: "news"`, `topic: "olds"`)
	next()
	c.answers(7, "color", "red")
}
