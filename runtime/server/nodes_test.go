package server_test

import (
	"errors"
	"io"
	"testing"

	"github.com/weftrun/weft/abi"
)

// sender is the node number in a frame.
func sender(m abi.Message) string {
	number, _ := m.Attrs.Get("node_id")
	return string(number)
}

// A frame is a heartbeat, or the answer to one, between weft and the node that
// sent it. The same frame with another node's number is for that node.
func TestEmptyFramesReachTheNodeTheyName(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, nodes)
		one, two := f.dial("nodes"), f.dial("nodes")
		one.say(node("1", abi.TypeRequest, "I am one"))
		two.say(node("2", abi.TypeRequest, "I am two"))
		f.await("weft_nodes", 2)

		one.say(node("2", abi.TypeRequest, "write"))
		two.hear()
		two.say(node("1", abi.TypeResponse, ""))
		two.say(node("1", abi.TypeResponse, "more"))
		if got := one.hear(); got.Type != abi.TypeResponse || len(got.Payload) != 0 || sender(got) != "2" {
			t.Errorf("one hears %v %q from %q, not two's empty response", got.Type, got.Payload, sender(got))
		}
		one.hear()

		// The answer to weft's own heartbeat has its number, 0, or the node's own.
		two.say(node("0", abi.TypeResponse, ""))
		two.say(node("2", abi.TypeResponse, ""))
		// An empty read of another node.
		one.say(node("2", abi.TypeHeartbeat, ""))
		if got := two.hear(); len(got.Payload) != 0 || sender(got) != "1" {
			t.Errorf("two hears %q from %q, not one's empty read", got.Payload, sender(got))
		}
		f.await("weft_listener_heartbeats_total", 2)
	})
}

// A node that only listens is known by its heartbeat.
func TestAHeartbeatNamesItsNode(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, nodes)
		one, two := f.dial("nodes"), f.dial("nodes")
		two.say(node("2", abi.TypeHeartbeat, ""))
		if got := two.hear(); sender(got) != "2" || got.Type != abi.TypeResponse {
			t.Fatalf("the answer to a heartbeat: %+v", got)
		}
		one.say(node("1", abi.TypeRequest, "I am one"))
		f.await("weft_nodes", 2)
		one.say(node("2", abi.TypeRequest, "to two"))
		if got := two.hear(); string(got.Payload) != "to two" || sender(got) != "1" {
			t.Errorf("two hears %q from %q", got.Payload, sender(got))
		}
	})
}

// The number that stands for everybody is nobody's own.
func TestNobodyIsNodeEverybody(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, nodes)
		c := f.dial("nodes")
		c.say(node("255", abi.TypeRequest, "I am everybody"))
		if _, err := c.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the node 255: %v", err)
		}
		if n := f.Metric("weft_nodes"); n != 0 {
			t.Errorf("%v names are held", n)
		}
	})
}

const namedNodes = `
listeners:
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node", node: "{identity}", chain: [guest]}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
api: {address: ""}
`

// Where the operator says what a session's name is made of, a frame names none.
func TestAFrameNamesNobodyWhereAPluginDoes(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, namedNodes)
		thief, seven := f.dial("nodes"), f.dial("nodes")
		// The guest does what the payload says.
		thief.say(node("7", abi.TypeRequest, "drop unknown"))
		f.await("weft_messages_in_total", 1)
		if n := f.Metric("weft_nodes"); n != 0 {
			t.Errorf("%v names are held before a plugin gave one", n)
		}
		seven.say(node("7", abi.TypeRequest, "remember identity 7\nreply welcome"))
		if got := seven.hear(); string(got.Payload) != "welcome" {
			t.Errorf("heard %q", got.Payload)
		}
		f.await("weft_nodes", 1)
	})
}

// A device that comes back takes its name from its former connection, which may
// be half open; on whichever loop that lives.
func TestADeviceThatComesBackIsLetIn(t *testing.T) {
	for _, loops := range []string{"1", "3"} {
		each(t, func(t *testing.T, driver string) {
			f := start(t, driver, namedNodes+"loops: "+loops+"\n")
			former := f.dial("nodes")
			for range 8 {
				next := f.dial("nodes")
				former.say(node("7", abi.TypeRequest, "remember identity 7\nreply welcome"))
				former.hear()
				next.say(node("7", abi.TypeRequest, "remember identity 7\nreply welcome"))
				if got := next.hear(); string(got.Payload) != "welcome" {
					t.Fatalf("heard %q", got.Payload)
				}
				if m, err := former.next(); !errors.Is(err, io.EOF) {
					t.Fatalf("the former connection: %+v, %v", m, err)
				}
				_ = former.Close()
				f.await("weft_nodes", 1)
				former = next
			}
			f.await("weft_connections", 1)
			if n := f.MetricOf("weft_connections_closed_total", "replaced"); n != 8 {
				t.Errorf("%v connections were closed as replaced", n)
			}
		})
	}
}
