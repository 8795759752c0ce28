package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// several runs so many nodes, called a, b, c ..., on the servers.
func several(t *testing.T, servers []*natstest.Server, n int, yaml string) []*fixture {
	t.Helper()
	list := make([]*fixture, n)
	for i := range list {
		list[i] = nodeOf(t, servers, string(rune('a'+i)), yaml)
	}
	for _, f := range list {
		f.await("weft_link_nodes", float64(n-1))
	}
	return list
}

func nodeOf(t *testing.T, servers []*natstest.Server, name, yaml string) *fixture {
	t.Helper()
	return start(t, "auto", yaml+clustered(t, servers, name))
}

// clustered is the part of a configuration that makes it a node of that name.
func clustered(t *testing.T, servers []*natstest.Server, name string) string {
	t.Helper()
	return fmt.Sprintf("backbone: {name: %s, data: %q, url: [%s]}\n", name, t.TempDir(), quoted(natstest.URLs(servers)))
}

func quoted(list []string) string { return `"` + strings.Join(list, `","`) + `"` }

// alone is one server.
func alone(t *testing.T) []*natstest.Server {
	t.Helper()
	return []*natstest.Server{natstest.Start(t, natstest.Options{})}
}

// interests waits until every node knows so many things of all others together.
func interests(list []*fixture, each float64) {
	for _, f := range list {
		f.t.Helper()
		f.await("weft_link_node_interests", each*float64(len(list)-1))
	}
}

// A message crosses where another node has a subscriber, and only there.
func TestMessagesCrossWhereSomebodyListens(t *testing.T) {
	list := several(t, alone(t), 3, fmt.Sprintf(mqttConfig, 2))
	a, b, c := list[0], list[1], list[2]
	from := a.mqtt(packet.V5, "from")
	here, onB, onB2, onC := a.mqtt(packet.V5, "here"), b.mqtt(packet.V5, "b"), b.mqtt(packet.V5, "b2"), c.mqtt(packet.V311, "c")
	here.subscribes(to("x/+", 0))
	onB.subscribes(to("x/1", 1), to("x/#", 0))
	onB2.subscribes(to("x/+", 0))
	onC.subscribes(to("x/2", 0))
	a.await("weft_link_node_interests", 4)

	from.publishes(message("x/1", "one", 1))
	from.publishes(message("x/2", "two", 0))
	from.publishes(message("y", "nobody", 0))
	from.publishes(message("x/3", "three", 0))
	b.await("weft_copies_total", 6)
	c.await("weft_copies_total", 1)
	for s, want := range map[*mqttClient]string{here: "[one two three]", onB: "[one three two]", onB2: "[one three two]", onC: "[two]"} {
		got := s.collects()
		if s != here {
			slices.Sort(got) // topics are in order each, not all
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%v came, not %v", got, want)
		}
	}
	a.awaitOf("weft_link_out_records_total", "b", 3)
	a.awaitOf("weft_link_out_records_total", "c", 1)

	onB.unsubscribes("x/1")
	onB.unsubscribes("x/#")
	onB2.unsubscribes("x/+")
	a.await("weft_link_node_interests", 1)
	from.publishes(message("x/1", "four", 1))
	here.gets("four")
	if out := a.MetricOf("weft_link_out_records_total", "b"); out != 3 {
		t.Errorf("%v records went to b, where nobody listens any more", out-3)
	}
	for _, s := range []*mqttClient{here, onB, onB2, onC} {
		s.quiet()
	}
}

// A second node of a name may not start, and says why.
func TestANameIsOneNodes(t *testing.T) {
	servers := alone(t)
	nodeOf(t, servers, "a", fmt.Sprintf(mqttConfig, 1))
	second := build(t, "auto", fmt.Sprintf(mqttConfig, 1)+fmt.Sprintf("backbone: {name: a, data: %q, url: [%s]}\n", t.TempDir(), quoted(natstest.URLs(servers))))
	err := second.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "backbone.name") || second.State() != life.Failed {
		t.Fatalf("the second a: %v, %v", err, second.State())
	}
}

const clusterNodes = `
listeners:
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}"}
  - {name: askers, address: "127.0.0.1:0", frame: mcp-seq, topic: "ask"}
  - {name: workers, address: "127.0.0.1:0", frame: mcp-seq, topic: "work", subscribe: ["queue:workers"]}
  - {name: named, address: "127.0.0.1:0", frame: mcp-seq, topic: "named", node: "the-one"}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
routes:
  - {name: work, when: {topic: ask}, to: ["queue:workers"]}
  - {name: one, when: {topic: one}, to: ["node:the-one"]}
  - {name: all, when: {topic: all}, to: ["all"]}
requests: {timeout: 2s}
api: {address: ""}
`

// Frames that name their node reach it on another machine, and its answer comes back.
func TestNodesTalkAcrossMachines(t *testing.T) {
	list := several(t, alone(t), 3, clusterNodes)
	one, two, three := list[0].dial("nodes"), list[1].dial("nodes"), list[2].dial("nodes")
	for i, c := range []*client{one, two, three} {
		c.say(node(fmt.Sprint(i+1), abi.TypeRequest, "I am here"))
	}
	interests(list, 1)
	one.say(node("2", abi.TypeRequest, "to two"))
	if got := two.hear(); string(got.Payload) != "to two" || sender(got) != "1" {
		t.Fatalf("two hears %q from %q", got.Payload, sender(got))
	}
	two.say(node("1", abi.TypeResponse, "answer"))
	if got := one.hear(); string(got.Payload) != "answer" || sender(got) != "2" {
		t.Fatalf("one hears %q from %q", got.Payload, sender(got))
	}
	one.say(node("255", abi.TypeRequest, "everybody"))
	for _, c := range []*client{two, three} {
		if got := c.hear(); string(got.Payload) != "everybody" || sender(got) != "1" {
			t.Errorf("heard %q from %q", got.Payload, sender(got))
		}
	}
	list[0].await("weft_requests_waiting", 0)
	if n := list[0].Metric("weft_request_timeouts_total"); n != 0 {
		t.Errorf("%v requests timed out that nobody waits for", n)
	}
}

// A request finds a member of its queue group on another node, its response comes
// back, and what nobody answers is counted. Members of the own node come first.
func TestRequestsCrossNodes(t *testing.T) {
	list := several(t, alone(t), 3, clusterNodes)
	a, b := list[0].dial("askers"), list[0].dial("askers")
	worker, other := list[1].dial("workers"), list[2].dial("workers")
	list[0].await("weft_link_node_interests", 2)
	for i := range 4 {
		a.say(abi.Message{Type: abi.TypeRequest, Seq: 5, Payload: []byte("from a")})
		b.say(abi.Message{Type: abi.TypeRequest, Seq: 5, Payload: []byte("from b")})
		for _, w := range []*client{worker, other} { // in turn
			got := w.hear()
			asker := strings.TrimPrefix(string(got.Payload), "from ")
			w.say(abi.Message{Type: abi.TypeResponse, Seq: got.Seq, Payload: []byte("to " + asker)})
		}
		for c, want := range map[*client]string{a: "to a", b: "to b"} {
			if got := c.hear(); string(got.Payload) != want || got.Seq != 5 || got.Type != abi.TypeResponse {
				t.Fatalf("round %d: got %q, seq %d, %v; want %q", i, got.Payload, got.Seq, got.Type, want)
			}
		}
	}
	own := list[0].dial("workers")
	list[0].await("weft_queue_groups", 1)
	for range 3 {
		a.say(abi.Message{Type: abi.TypeRequest, Seq: 6, Payload: []byte("own")})
		got := own.hear()
		own.say(abi.Message{Type: abi.TypeResponse, Seq: got.Seq, Payload: []byte("by own")})
		a.hear()
	}
	_ = own.Close()
	list[0].await("weft_queue_groups", 0)

	// Who is asked and goes is lost, on the node that asks.
	a.say(abi.Message{Type: abi.TypeRequest, Seq: 7, Payload: []byte("goes")})
	a.say(abi.Message{Type: abi.TypeRequest, Seq: 8, Payload: []byte("goes")})
	worker.hear()
	other.hear()
	_, _ = worker.Close(), other.Close()
	list[0].await("weft_requests_lost_total", 2)
	list[0].await("weft_link_node_interests", 0)
	list[0].await("weft_requests_waiting", 0)
	a.say(abi.Message{Type: abi.TypeRequest, Seq: 9, Payload: []byte("nobody")})
	list[0].await("weft_messages_dropped_total", 1)
	if n := list[0].MetricOf("weft_messages_dropped_total", "no_member"); n != 1 {
		t.Errorf("%v requests were dropped because nobody is in the group", n)
	}
}

// The API asks a session of another node: by a name, by a topic, and one that answers
// to the topic that the request names.
func TestTheAPIAsksAcrossNodes(t *testing.T) {
	list := several(t, alone(t), 2, clusterNodes)
	named, mqtt := list[1].dial("named"), list[1].mqtt(packet.V5, "m")
	mqtt.subscribes(to("how/#", 0))
	list[0].await("weft_link_node_interests", 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err := named.next()
		if err != nil || got.Type != abi.TypeRequest {
			t.Errorf("heard %+v, %v", got, err)
			return
		}
		named.say(abi.Message{Type: abi.TypeResponse, Seq: got.Seq, Payload: []byte("9.5")})
	}()
	d, err := list[0].ask("one", "how warm?", 5*time.Second)
	if err != nil || string(d.Message.Payload) != "9.5" {
		t.Errorf("%+v, %v", d, err)
	}
	<-done
	answered := make(chan error, 1)
	go func() {
		d, err := list[0].ask("how/cold", "?", 5*time.Second)
		if err == nil && string(d.Message.Payload) != "very" {
			err = fmt.Errorf("the answer is %q", d.Message.Payload)
		}
		answered <- err
	}()
	asked := mqtt.hears()
	if !strings.HasPrefix(string(asked.Properties.Bytes(packet.ResponseTopic)), "weft/reply/a/") {
		t.Errorf("it is to answer to %q", asked.Properties.Bytes(packet.ResponseTopic))
	}
	mqtt.publishes(message(string(asked.Properties.Bytes(packet.ResponseTopic)), "very", 0))
	if err := <-answered; err != nil {
		t.Error(err)
	}
	list[0].await("weft_requests_waiting", 0)
}

// Of a shared subscription one member in the whole cluster gets a message: of the own
// node if there is one, else of the others in turn.
func TestSharedSubscriptionsAreTheClusters(t *testing.T) {
	list := several(t, alone(t), 3, fmt.Sprintf(mqttConfig, 2))
	from, onB, onC, plain := list[0].mqtt(packet.V5, "from"), list[1].mqtt(packet.V5, "b"), list[2].mqtt(packet.V5, "c"), list[1].mqtt(packet.V5, "plain")
	onB.subscribes(to("$share/g/s/#", 0))
	onC.subscribes(to("$share/g/s/#", 0), to("$share/other/s/+", 0))
	plain.subscribes(to("s/1", 0))
	list[0].await("weft_link_node_interests", 4)
	const n = 40
	for i := range n {
		from.publishes(message("s/1", fmt.Sprint(i), 0))
	}
	for i := range n {
		plain.gets(fmt.Sprint(i))
	}
	list[1].await("weft_copies_total", n+n/2)
	list[2].await("weft_copies_total", n+n/2)
	if b, c := len(onB.collects()), len(onC.collects()); b != n/2 || c != n+n/2 {
		t.Errorf("b got %d, c %d of %d messages, half each and all of the other group for c", b, c, n)
	}
	own := list[0].mqtt(packet.V5, "own")
	own.subscribes(to("$share/g/s/#", 0))
	for i := range n {
		from.publishes(message("s/2", fmt.Sprint(i), 0))
	}
	for i := range n {
		own.gets(fmt.Sprint(i))
	}
	list[2].await("weft_copies_total", 2*n+n/2)
	if b, c := len(onB.collects()), len(onC.collects()); b != 0 || c != n {
		t.Errorf("b got %d, c %d messages although the publisher's node has a member", b, c)
	}
}
