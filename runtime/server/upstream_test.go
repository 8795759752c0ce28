package server_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// service is an HTTP server of the test's own that notes what it gets.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	ids  map[string]int // how often each message came, by its text and id
	hold chan struct{}  // if not nil, it answers when this can be read
	code int            // 0 is 200
}

func newService(t testing.TB) *service {
	s := &service{ids: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if s.hold != nil {
			<-s.hold
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, r.URL.RequestURI()+" "+string(body))
		s.ids[string(body)+" "+r.Header.Get("Message-Id")]++
		if s.code != 0 {
			w.WriteHeader(s.code)
			return
		}
		_, _ = w.Write([]byte("re:" + string(body)))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) address() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *service) answers(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func (s *service) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.got...)
}

const viaPool = `
loops: %d
listeners:
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: "in/{listener}"}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: in/lines, acknowledge: ""}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
upstreams:
  web: {protocol: http, members: ["%s"], timeout: 5s, retries: 0, in_flight: 8, queue: 8, breaker: {calls: 0}, health: {passive: {failures: 0}}, http: {path: "/{topic...}?from={listener}"}}
routes:
  - {name: both, when: {topic: "both/#"}, to: [subscribers, "upstream:web"]}
  - {name: in, when: {topic: "+/#"}, to: ["upstream:web"]}
dead_letter: {topic: dead}
api: {address: ""}
`

// A request's answer goes to who has asked, by whatever protocol, with the number that
// it had there.
func TestUpstreamAnswers(t *testing.T) {
	for _, loops := range []int{1, 3} {
		s := newService(t)
		f := start(t, "auto", fmt.Sprintf(viaPool, loops, s.address()))
		c := f.dial("seq")
		c.say(abi.Message{Type: abi.TypeRequest, Seq: 77, Payload: []byte("ping")})
		if m := c.hear(); m.Type != abi.TypeResponse || m.Seq != 77 || string(m.Payload) != "re:ping" {
			t.Errorf("got %v %d %q", m.Type, m.Seq, m.Payload)
		}
		d, err := f.ask("a/b c?", "api", 5*time.Second)
		if err != nil || string(d.Message.Payload) != "re:api" {
			t.Errorf("by the API: %v, %v", d, err)
		}
		m := f.mqtt(packet.V5, "m")
		p := packet.Publish{Topic: []byte("q"), Payload: []byte("mqtt"), QoS: 1}
		p.Properties = p.Properties.AppendBytes(packet.ResponseTopic, []byte("answers/m")).AppendBytes(packet.CorrelationData, []byte("c1"))
		if code := m.publishes(p); code != packet.Success {
			t.Errorf("PUBACK says %v", code)
		}
		if got := m.hears(); string(got.Topic) != "answers/m" || string(got.Payload) != "re:mqtt" || string(got.Properties.Bytes(packet.CorrelationData)) != "c1" {
			t.Errorf("MQTT got %q %q", got.Topic, got.Payload)
		}
		want := "/in/seq?from=seq ping, /a/b%20c%3F?from=api api, /q?from=mqtt mqtt"
		if got := strings.Join(s.seen(), ", "); got != want {
			t.Errorf("the service got %s\nwant %s", got, want)
		}
		f.end()
	}
}

// Who publishes with QoS 1 or by the API hears what became of the message when the
// pool's member has taken it, and not before.
func TestUpstreamReceipts(t *testing.T) {
	s := newService(t)
	s.hold = make(chan struct{})
	f := start(t, "auto", fmt.Sprintf(viaPool, 2, s.address()))
	m := f.mqtt(packet.V5, "m")
	m.sends(&packet.Publish{Topic: []byte("a"), Payload: []byte("1"), QoS: 1, ID: 9})
	published := make(chan admin.Receipt, 1)
	go func() {
		r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("b"), Payload: []byte("2")})
		if err != nil {
			t.Error(err)
		}
		published <- r
	}()
	f.await("weft_upstream_waiting_messages", 2)
	m.quiet()
	waitFor(t, "both to be under way", func() bool { l := f.Ledger(); return l.InFlight() == 2 })
	select {
	case r := <-published:
		t.Fatalf("the API answered early: %+v", r)
	default:
	}
	close(s.hold)
	if ack := m.hearsAck(); ack.ID != 9 || ack.Reason != packet.Success {
		t.Errorf("PUBACK: %+v", ack)
	}
	if r := <-published; r.Delivered != 1 || r.Dropped != "" {
		t.Errorf("the API says %+v", r)
	}
	s.answers(400)
	if code := m.publishes(packet.Publish{Topic: []byte("c"), Payload: []byte("3"), QoS: 2}); code != packet.UnspecifiedError {
		t.Errorf("PUBREC says %v", code)
	}
	r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("d"), Payload: []byte("4")})
	if err != nil || r.Delivered != 0 {
		t.Errorf("the API says %+v, %v", r, err)
	}
	f.end()
}

// What no member takes is a dead letter, which says why, and can be replayed.
func TestUpstreamDeadLetters(t *testing.T) {
	s := newService(t)
	s.answers(500)
	f := start(t, "auto", fmt.Sprintf(viaPool, 2, s.address()))
	c := f.dial("lines")
	c.say(text("x"))
	store := f.store(1)
	l := all(store)[0]
	if l.Cause != "upstream" || !strings.Contains(l.Text, "500") || string(l.Message.Payload) != "x" || l.Listener != "lines" {
		t.Errorf("the letter says %q: %q of %q", l.Cause, l.Text, l.Message.Payload)
	}
	f.await("weft_messages_dead_total", 1)
	way := admin.ReplayWay{PastPlugins: true}
	if r, err := f.DeadLetters().Replay(l, way); err != nil || r.Outcome != admin.ReplayDead || !strings.Contains(r.Reason, "500") {
		t.Errorf("replayed while it fails: %+v, %v", r, err)
	}
	s.answers(0)
	if r, err := f.DeadLetters().Replay(l, way); err != nil || r.Outcome != admin.ReplayDelivered || r.Copies != 1 {
		t.Errorf("replayed: %+v, %v", r, err)
	}
	if n := len(all(f.store(1))); n != 1 {
		t.Errorf("%d letters, want the one", n)
	}
	s.answers(400)
	if _, err := f.ask("q", "request", 5*time.Second); !errors.Is(err, admin.ErrDropped) || !strings.Contains(err.Error(), "upstream_refused") {
		t.Errorf("a request that was refused: %v", err)
	}
	if n := len(all(f.store(1))); n != 1 {
		t.Errorf("%d letters: a request is none", n)
	}
	f.end()
}

// A pool whose queue is full takes no more, and says so; nobody waits for it.
func TestUpstreamQueue(t *testing.T) {
	s := newService(t)
	s.hold = make(chan struct{})
	f := start(t, "auto", fmt.Sprintf(viaPool, 1, s.address()))
	c := f.dial("lines")
	for i := range 40 {
		c.say(text(fmt.Sprint(i)))
	}
	f.awaitOf("weft_messages_dropped_total", delivery.UpstreamFull.String(), 24) // 8 under way, 8 wait
	close(s.hold)
	f.await("weft_copies_total", 16)
	f.end()
	if n := len(s.seen()); n != 16 {
		t.Errorf("%d messages arrived, want 16", n)
	}
}

// A drain waits for what pools have.
func TestUpstreamDrain(t *testing.T) {
	s := newService(t)
	s.hold = make(chan struct{})
	f := start(t, "auto", fmt.Sprintf(viaPool, 2, s.address()))
	c := f.dial("lines")
	for i := range 12 {
		c.say(text(fmt.Sprint(i)))
	}
	f.await("weft_upstream_waiting_messages", 12)
	f.stop()
	go func() { // once it drains
		for f.State().String() == "running" {
			time.Sleep(time.Millisecond)
		}
		close(s.hold)
	}()
	if err := <-f.ended; err != nil {
		t.Fatal(err)
	}
	f.stop = nil
	if l := f.Ledger(); l.Copies != 12 || l.InFlight() != 0 || l.Lost() != 0 {
		t.Errorf("%+v", l)
	}
	if n := len(s.seen()); n != 12 {
		t.Errorf("%d messages arrived, want 12", n)
	}
}

// A drain that takes too long ends; what a pool still has is counted.
func TestUpstreamDrainEnds(t *testing.T) {
	s := newService(t)
	s.hold = make(chan struct{})
	defer close(s.hold)
	f := start(t, "auto", "drain: 50ms\n"+fmt.Sprintf(viaPool, 2, s.address()))
	c := f.dial("lines")
	c.say(text("x"))
	f.await("weft_upstream_waiting_messages", 1)
	f.stop()
	f.stop = nil
	if err := <-f.ended; err == nil {
		t.Error("a drain that left a message ended well")
	}
	if l := f.Ledger(); l.InFlight() != 0 || l.Dropped[delivery.Draining]+l.Dropped[delivery.UpstreamTimeout] != 1 {
		t.Errorf("%+v", l)
	}
}

// With a key, messages arrive in the order in which they were sent.
func TestUpstreamOrder(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{}
	var members []string
	for range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			got[r.URL.Path] = append(got[r.URL.Path], string(body))
		}))
		t.Cleanup(s.Close)
		members = append(members, `"`+strings.TrimPrefix(s.URL, "http://")+`"`)
	}
	f := start(t, "auto", `
loops: 2
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {web: {protocol: http, members: [`+strings.Join(members, ", ")+`], balance: hash, key: "{topic}", queue: 10000, http: {path: "/{topic...}"}}}
default_route: ["upstream:web"]
api: {address: ""}
`)
	const clients, each = 4, 300
	for i := range clients {
		c := f.mqtt(packet.V311, fmt.Sprint("c", i))
		for n := range each {
			m := message(fmt.Sprint("k", i), fmt.Sprint(n), 0)
			c.sends(&m)
		}
	}
	f.await("weft_copies_total", clients*each)
	f.end()
	for i := range clients {
		list := got[fmt.Sprint("/k", i)]
		if len(list) != each {
			t.Fatalf("%d of %d arrived", len(list), each)
		}
		for n, text := range list {
			if text != fmt.Sprint(n) {
				t.Fatalf("client %d: %s is in place %d", i, text, n)
			}
		}
	}
}

// An entry of a durable route's log is kept until a member of the pool has taken it.
func TestUpstreamDurable(t *testing.T) {
	s := newService(t)
	s.answers(500)
	f := start(t, "auto", `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {web: {protocol: http, members: ["`+s.address()+`"], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}}}
routes: [{name: log, when: {topic: log}, durable: {tries: 1000, backoff: {first: 1ms, most: 5ms}}, to: ["upstream:web"]}]
backbone: {data: "`+t.TempDir()+`"}
api: {address: ""}
`)
	c := f.mqtt(packet.V5, "m")
	if code := c.publishes(message("log", "kept", 1)); code != packet.Success {
		t.Fatalf("PUBACK says %v: the log has it", code)
	}
	for len(s.seen()) < 3 {
		time.Sleep(time.Millisecond)
	}
	s.answers(0)
	f.await("weft_copies_total", 1)
	n := len(s.seen())
	f.end()
	if len(s.seen()) != n {
		t.Error("it was sent again after it was taken")
	}
	if len(all(f.DeadLetters().Store())) > 0 {
		t.Error("it became a dead letter")
	}
}

// An entry of a log that has no id comes with the same one each time, also after a restart;
// another entry with another, also of the log that begins anew.
func TestAnEntryHasOneMessageID(t *testing.T) {
	s := newService(t)
	s.answers(500)
	ids := func() map[string]int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return maps.Clone(s.ids)
	}
	for _, folder := range []string{t.TempDir(), t.TempDir()} {
		config := `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {web: {protocol: http, members: ["` + s.address() + `"], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}}}
routes: [{name: log, when: {topic: log}, durable: {tries: 1000, backoff: {first: 1ms, most: 5ms}}, to: ["upstream:web"]}]
backbone: {data: "` + folder + `"}
api: {address: ""}
`
		before := ids()
		for begun := range 2 {
			f := start(t, "auto", config)
			if begun == 0 {
				c := f.mqtt(packet.V5, "m")
				for _, what := range []string{"one", "two"} {
					if code := c.publishes(message("log", what, 1)); code != packet.Success {
						t.Fatalf("PUBACK says %v", code)
					}
				}
			}
			seen := len(s.seen())
			f.until("each comes again", func() bool { return len(s.seen()) >= seen+8 })
			f.end()
		}
		if n := len(ids()) - len(before); n != 2 {
			t.Fatalf("two entries came with %d ids: %v", n, ids())
		}
		for id := range ids() {
			if strings.HasSuffix(id, " ") {
				t.Errorf("%q has none", id)
			}
		}
	}
}
