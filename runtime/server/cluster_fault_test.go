package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// listens reads a subscription of the API on a node: numbers, which must never come
// twice, nor one of a topic behind a later one.
type listens struct {
	t    testing.TB
	sub  admin.Subscription
	mu   sync.Mutex
	last map[string]int
	got  int
	done chan struct{}
}

func (f *fixture) listens(pattern string) *listens {
	f.t.Helper()
	sub, err := f.Bus().Subscribe(f.t.Context(), []string{pattern}, 1<<16)
	if err != nil {
		f.t.Fatal(err)
	}
	l := &listens{t: f.t, sub: sub, last: map[string]int{}, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			d, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			n, err := strconv.Atoi(string(d.Message.Payload))
			topic := string(d.Message.Topic)
			l.mu.Lock()
			if err != nil || n <= l.last[topic] {
				l.t.Errorf("%s: %q came behind %d", topic, d.Message.Payload, l.last[topic])
			}
			l.last[topic] = n
			l.got++
			l.mu.Unlock()
		}
	}()
	f.t.Cleanup(func() { sub.Close(); <-l.done })
	return l
}

// until waits until the topic's number has come.
func (l *listens) until(topic string, n int) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		last := l.last[topic]
		l.mu.Unlock()
		if last >= n {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: the last number is %d, not %d", topic, last, n)
		}
	}
}

// talks publishes numbers on topics under base, from the client, until stop.
type talks struct {
	c    *mqttClient
	base string
	n    int
}

const talkTopics = 4

func (p *talks) say(count int) {
	var b []byte
	for range count {
		p.n++
		for topic := range talkTopics {
			m := message(fmt.Sprint(p.base, topic), strconv.Itoa(p.n), 0)
			b = packet.AppendPublish(b, &m, p.c.v)
		}
	}
	p.c.send(b)
}

// allHear tells whether what was said last gets everywhere in time.
func allHear(ears []*listens, n int, within time.Duration) bool {
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		heard := 0
		for _, l := range ears {
			l.mu.Lock()
			if l.last["n/0"] == n {
				heard++
			}
			l.mu.Unlock()
		}
		if heard == len(ears) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// A NATS server is killed: its nodes go on by another one, nothing comes twice or out
// of order, and nothing is lost once they are there.
func TestANATSServerIsKilled(t *testing.T) {
	servers := natstest.Cluster(t, 3)
	list := several(t, servers, 3, fmt.Sprintf(mqttConfig, 2))
	var ears []*listens
	for _, f := range list {
		ears = append(ears, f.listens("n/#"))
	}
	interests(list, 1)
	from := &talks{c: list[0].mqtt(packet.V5, "from"), base: "n/"}
	say := func() {
		from.say(50)
		for _, l := range ears {
			for topic := range talkTopics {
				l.until(fmt.Sprint("n/", topic), from.n)
			}
		}
	}
	say()
	for _, s := range servers {
		s.Kill()
		stop := time.Now().Add(300 * time.Millisecond)
		for time.Now().Before(stop) { // into the gap
			from.say(5)
			time.Sleep(5 * time.Millisecond)
		}
		for _, f := range list {
			f.await("weft_link_nodes", 2)
		}
		// Whoever has to connect again does so; what it misses meanwhile is lost.
		for deadline := time.Now().Add(20 * time.Second); ; {
			from.say(1)
			if allHear(ears, from.n, time.Second) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("not every node hears the others again")
			}
		}
		say()
		s.Start()
		s.WaitReady()
	}
	for _, f := range list {
		if n := f.Metric("weft_link_malformed_total") + f.Metric("weft_link_conflicts_total"); n != 0 {
			t.Errorf("%v notes or records were malformed or in conflict", n)
		}
	}
}

// proxy is a way to a server that can be cut.
type proxy struct {
	net.Listener
	to    string
	mu    sync.Mutex
	cut   bool
	muted atomic.Bool // what clients say is swallowed
	conns map[net.Conn]bool
	all   sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to, conns: map[net.Conn]bool{}}
	p.all.Go(p.accept)
	t.Cleanup(func() { _ = l.Close(); p.set(true); p.all.Wait() })
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil || !p.add(in, out) {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		for from, to := range map[net.Conn]io.Writer{in: &mutable{out, &p.muted}, out: in} {
			p.all.Go(func() { _, _ = io.Copy(to, from); _ = in.Close(); _ = out.Close() })
		}
	}
}

// mutable says nothing while it is muted.
type mutable struct {
	net.Conn
	muted *atomic.Bool
}

// Write implements io.Writer.
func (m *mutable) Write(b []byte) (int, error) {
	if m.muted.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// mute has everything swallowed that clients say from now on, or no more; what they said
// before is on its way.
func (p *proxy) mute(on bool) { p.muted.Store(on) }

func (p *proxy) add(list ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range list {
		p.conns[c] = true
	}
	return !p.cut
}

// set cuts the way, or heals it.
func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// A node that is cut off is forgotten, and forgets; when it is back both know what has
// changed meanwhile.
func TestANodeIsCutOff(t *testing.T) {
	servers := alone(t)
	p := newProxy(t, servers[0].Addr())
	yaml := fmt.Sprintf(mqttConfig, 1)
	list := several(t, servers, 2, yaml)
	c := start(t, "auto", yaml+fmt.Sprintf("backbone: {name: c, data: %q, url: [\"nats://%s\"]}\n", t.TempDir(), p.Addr()))
	c.await("weft_link_nodes", 2)
	a := list[0]
	onA, onC := a.mqtt(packet.V5, "a"), c.mqtt(packet.V5, "c")
	onA.subscribes(to("before", 0))
	onC.subscribes(to("c", 0))
	a.await("weft_link_node_interests", 1)
	c.await("weft_link_node_interests", 1)

	p.set(true)
	a.await("weft_link_nodes", 1)
	c.await("weft_link_nodes", 0)
	onA.unsubscribes("before")
	onA.subscribes(to("after", 0))
	onC.subscribes(to("d", 0))
	if code := onA.publishes(message("c", "nobody", 1)); code != packet.NoMatchingSubscribers {
		t.Errorf("a message for who is cut off: %v", code)
	}

	p.set(false)
	a.await("weft_link_nodes", 2)
	c.await("weft_link_nodes", 2)
	a.await("weft_link_node_interests", 2)
	c.await("weft_link_node_interests", 1)
	onC.publishes(message("before", "nobody", 0))
	onC.publishes(message("after", "back", 0))
	onA.gets("back")
	onA.publishes(message("d", "again", 1))
	onC.gets("again")
	onA.quiet()
}

// Nodes are rolled one by one under load: what was sent to one that ends is delivered
// there, and its name is free for the next at once.
func TestNodesAreRolled(t *testing.T) {
	servers := alone(t)
	yaml := fmt.Sprintf(mqttConfig, 2)
	list := several(t, servers, 3, yaml)
	from := &talks{c: list[0].mqtt(packet.V5, "from"), base: "n/"}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				from.say(5)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	before := map[string]float64{}
	for round := range 2 {
		for i, name := range []string{"b", "c"} {
			f := list[i+1]
			ear := f.listens("n/#")
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
				ear.mu.Lock()
				got := ear.got
				ear.mu.Unlock()
				if got > 2000 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s heard %d messages", name, got)
				}
			}
			f.end()
			<-ear.done
			sent := list[0].MetricOf("weft_link_out_records_total", name) - before[name]
			before[name] += sent
			if in := f.Metric("weft_link_in_records_total"); in != sent || float64(ear.got) != sent {
				t.Errorf("round %d: %v messages were sent to %s, %v came, %d were delivered", round, sent, name, in, ear.got)
			}
			list[i+1] = nodeOf(t, servers, name, yaml)
			list[0].await("weft_link_nodes", 2)
		}
	}
	for _, reason := range []string{"node_gone", "backbone_away", "malformed", "draining"} {
		if n := list[0].MetricOf("weft_link_dropped_total", reason); n != 0 {
			t.Errorf("%v messages were lost: %s", n, reason)
		}
	}
}
