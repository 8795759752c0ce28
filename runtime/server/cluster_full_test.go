package server_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// What a node has for others while NATS takes nothing is bounded; what goes beyond is
// dropped, counted and named, and nobody waits for it. However long it takes until the
// link is full, neither the server nor the other node counts as gone before.
func TestALinkThatIsFull(t *testing.T) {
	servers := alone(t)
	const yaml = `
loops: 1
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, limits: {frame: 1MiB}, outbox: {size: 2MiB}}]
api: {address: ""}
`
	srv, err := server.New(t.Context(), server.Options{Config: load(t, yaml+clustered(t, servers, "a")), Logger: logger(t), CacheDir: compiled}.WithPatience(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	a, b := run(t, srv), nodeOf(t, servers, "b", yaml)
	a.await("weft_link_nodes", 1)
	b.await("weft_link_nodes", 1)
	silent := func(m *packet.Connect) { m.KeepAlive = 0 } // two of them say nothing, however long this takes
	from, here, there := a.mqtt(packet.V5, "from", silent), a.mqtt(packet.V5, "here", silent), b.mqtt(packet.V5, "there", silent)
	here.subscribes(to("here", 0))
	there.subscribes(to("t", 0))
	// One that reads nothing is closed, and what it is subscribed to is gone: it reads for
	// as long as the test lasts, not until the time that its last answer had.
	if err := there.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, there.Conn) }()
	a.await("weft_link_node_interests", 1)
	// It holds three parcels of 4 MiB and a batch; the system takes some for the connection.
	const size, most, run = 512 << 10, 128, 8
	m := message("t", string(bytes.Repeat([]byte{'x'}, size)), 0)
	unit := packet.AppendPublish(nil, &m, packet.V5)
	all := bytes.Repeat(unit, run)
	full := func() uint64 { l := a.Ledger(); return l.CopiesDropped[delivery.LinkFull] }

	servers[0].Pause()
	paused := true
	defer func() {
		if paused {
			servers[0].Resume()
		}
	}()
	n := 0
	for ; n < most && full() == 0; n += run {
		from.send(all)
	}
	// The last ones may not have been read yet.
	waitFor(t, fmt.Sprintf("%d messages of %d bytes are more than the link takes", n, size), func() bool { return full() != 0 })
	from.publishes(message("here", "nobody waits", 0))
	here.gets("nobody waits")
	begun := time.Now()
	if n := a.MetricOf("weft_copies_dropped_total", "link_full"); n == 0 {
		t.Error("it is not in the metrics")
	}
	t.Logf("metrics took %v, %d of %d messages were dropped", time.Since(begun), full(), n)
	servers[0].Resume()
	paused = false
	waitFor(t, "messages cross again", func() bool {
		before := b.Metric("weft_link_in_records_total")
		from.send(unit)
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if b.Metric("weft_link_in_records_total") > before {
				return true
			}
		}
		return false
	})
}

const confirming = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: workers, address: "127.0.0.1:0", frame: line, topic: done, subscribe: ["queue:work"], acknowledge: ""}
%s
api: {address: ""}
`

// A node dies that has taken a durable message over and has not said so: the message
// goes to another member. Only the first node works the route's log, so that the other
// one has messages from it alone.
func TestANodeDiesBeforeItConfirms(t *testing.T) {
	servers := alone(t)
	p := newProxy(t, servers[0].Addr())
	a := nodeOf(t, servers, "a", fmt.Sprintf(confirming, `routes: [{name: jobs, when: {topic: "jobs/#"}, to: ["queue:work"], durable: {tries: 1000, backoff: {first: 5ms, most: 100ms}}}]`))
	c := start(t, "auto", fmt.Sprintf(confirming, `routes: [{name: none, when: {topic: none}, to: [all]}]`)+
		fmt.Sprintf("backbone: {name: c, data: %q, url: [\"nats://%s\"]}\n", t.TempDir(), p.Addr()))
	a.await("weft_link_nodes", 1)
	far := c.dial("workers")
	a.await("weft_link_node_interests", 1)
	from := a.mqtt(packet.V5, "from")
	job := func(text string) {
		t.Helper()
		if code := from.publishes(message("jobs/a", text, 1)); code != packet.Success {
			t.Fatalf("PUBACK of %q says %v", text, code)
		}
	}
	hears := func(w *client, want string) {
		t.Helper()
		if got := string(w.hear().Payload); got != want {
			t.Fatalf("the worker hears %q, not %q", got, want)
		}
	}
	job("before")
	hears(far, "before")
	a.await("weft_requests_waiting", 0) // a has heard so

	p.mute(true) // what c says does not get out any more
	job("taken")
	hears(far, "taken") // it is with c's member, and a waits to hear so
	p.set(true)
	near := a.dial("workers")
	a.await("weft_queue_groups", 1)
	hears(near, "taken")
	a.await("weft_link_nodes", 0)
	job("after")
	hears(near, "after")
	if n := a.Metric("weft_log_redeliveries_total"); n < 1 {
		t.Errorf("%v redeliveries", n)
	}
	if n := a.Metric("weft_log_dead_total"); n != 0 {
		t.Errorf("%v dead letters", n)
	}
	a.await("weft_requests_waiting", 0)
}

// A node is cut off while it has a request: who asked is told in time, and the answer
// that comes when it is back is nobody's, and never another request's.
func TestANodeIsCutOffWithARequest(t *testing.T) {
	servers := alone(t)
	p := newProxy(t, servers[0].Addr())
	a := nodeOf(t, servers, "a", clusterNodes)
	c := start(t, "auto", clusterNodes+fmt.Sprintf("backbone: {name: c, data: %q, url: [\"nats://%s\"]}\n", t.TempDir(), p.Addr()))
	a.await("weft_link_nodes", 1)
	named := c.dial("named")
	a.await("weft_link_node_interests", 1)
	type outcome struct {
		text string
		err  error
	}
	ask := func(text string) chan outcome {
		done := make(chan outcome, 1)
		go func() {
			d, err := a.ask("one", text, 5*time.Second)
			if err != nil {
				done <- outcome{"", err}
				return
			}
			done <- outcome{string(d.Message.Payload), nil}
		}()
		return done
	}
	lost := ask("first")
	first := named.hear()
	p.set(true)
	a.await("weft_link_nodes", 0)
	select {
	case got := <-lost:
		if got.err == nil {
			t.Errorf("it is answered %q", got.text)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("who asked waits for ever")
	}
	a.await("weft_requests_waiting", 0)
	if got := <-ask("nobody"); got.err == nil || !strings.Contains(got.err.Error(), "no_node") {
		t.Errorf("a request to who is cut off: %q, %v", got.text, got.err)
	}

	p.set(false)
	a.await("weft_link_node_interests", 1)
	again := ask("second")
	second := named.hear()
	named.say(abi.Message{Type: abi.TypeResponse, Seq: first.Seq, Payload: []byte("to the first")})
	named.say(abi.Message{Type: abi.TypeResponse, Seq: second.Seq, Payload: []byte("to the second")})
	if got := <-again; got.err != nil || got.text != "to the second" {
		t.Errorf("it is answered %q, %v", got.text, got.err)
	}
	if string(second.Payload) != "second" {
		t.Errorf("it was asked %q", second.Payload)
	}
	a.await("weft_requests_waiting", 0)
	c.await("weft_requests_waiting", 0)
}
