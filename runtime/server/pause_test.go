package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
)

// web answers requests when the test lets it, by path.
type web struct {
	*httptest.Server
	mu      sync.Mutex
	gates   map[string]chan struct{}
	arrived chan string
}

func newWeb(t *testing.T) *web {
	w := &web{gates: map[string]chan struct{}{}, arrived: make(chan string, 1000)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.arrived <- r.URL.Path
		select {
		case <-w.gate(r.URL.Path):
			_, _ = io.WriteString(out, r.URL.Path)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *web) gate(path string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gates[path] == nil {
		w.gates[path] = make(chan struct{})
		if strings.HasPrefix(path, "/open") {
			close(w.gates[path])
		}
	}
	return w.gates[path]
}

// yaml is a server whose plugin may ask w.
func (w *web) yaml(deadline, resume string) string {
	return fmt.Sprintf(`
drain: 20s
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t", acknowledge: "ok {payload}", chain: [guest]}
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "x", acknowledge: "", subscribe: ["t", "asked", "routed", "past"]}
plugins:
  guest:
    file: ../../abi/vectors/v1.0/assemblyscript.wasm
    cpu: 10ms
    config: {resume: %q}
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: [%q], deadline: %s, concurrency: 64}}
routes:
  - name: routed
    when: {topic: "routed"}
    chain: [{plugin: guest, config: {messages: "http GET %s/route - 0\nawait", resume: "continue"}}]
    to: [subscribers]
dead_letter: {topic: ""}
api: {address: ""}
`, resume, w.URL, deadline, w.URL)
}

// ask is a message that asks the web and pauses.
func (w *web) ask(path string) string { return "http GET " + w.URL + path + " - 0\nawait" }

func TestAMessageWaitsAndTheLoopDoesNot(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "topic asked\ncontinue"))
		out := f.dial("out")
		f.await("weft_subscriptions", 4)
		slow, fast := f.dial("in"), f.dial("in")
		said := []string{w.ask("/a"), "continue", "reply no", "continue"}
		for _, s := range said {
			slow.say(text(s))
		}
		<-w.arrived
		for range 100 {
			fast.say(text("continue"))
			if got := fast.hear(); string(got.Payload) != "ok continue" {
				t.Fatalf("the other connection heard %q", got.Payload)
			}
			out.hear()
		}
		f.await("weft_messages_in_total", 104)
		if l := f.Ledger(); l.InFlight() != 4 {
			t.Errorf("while they wait: %+v", l)
		}
		close(w.gate("/a"))
		for _, want := range []string{"ok " + said[0], "ok continue", "no", "ok continue"} {
			if got := slow.hear(); string(got.Payload) != want {
				t.Errorf("heard %q, expected %q", got.Payload, want)
			}
		}
		for _, want := range []string{said[0], "continue", "continue"} {
			if got := out.hear(); string(got.Payload) != want {
				t.Errorf("delivered %q, expected %q", got.Payload, want)
			}
		}
		f.await("weft_messages_delivered_total", 103)
		if l := f.Ledger(); l.InFlight() != 0 || l.Replied != 1 {
			t.Errorf("afterwards: %+v", l)
		}
		if n := f.Metric("weft_plugin_paused_total"); n != 1 {
			t.Errorf("%v pauses", n)
		}
	})
}

// What a route's chain holds is not overtaken by what takes another way.
func TestNothingOvertakesAHeldMessage(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "continue"))
		out := f.dial("out")
		f.await("weft_subscriptions", 4)
		in, other := f.dial("in"), f.dial("in")
		for _, s := range []string{"topic routed\npayload 1", "topic past\npayload 2", "topic routed\npayload 3", "reply 4", "topic past\npayload 5"} {
			in.say(text(s))
		}
		<-w.arrived
		other.say(text("topic past\npayload free"))
		if got := out.hear(); string(got.Payload) != "free" {
			t.Errorf("delivered %q", got.Payload)
		}
		other.hear()
		f.await("weft_messages_in_total", 6)
		close(w.gate("/route"))
		for _, want := range []string{"1", "2", "3", "5"} {
			if got := out.hear(); string(got.Payload) != want {
				t.Errorf("delivered %q, expected %q", got.Payload, want)
			}
		}
		for _, want := range []string{"ok topic routed\npayload 1", "ok topic past\npayload 2", "ok topic routed\npayload 3", "4", "ok topic past\npayload 5"} {
			if got := in.hear(); string(got.Payload) != want {
				t.Errorf("heard %q, expected %q", got.Payload, want)
			}
		}
	})
}

func TestASessionEndsWhileItsMessagesWait(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "continue"))
		in := f.dial("in")
		in.say(text(w.ask("/never")))
		in.say(text("continue"))
		in.say(text("topic past"))
		<-w.arrived
		f.await("weft_messages_in_total", 3)
		_ = in.Close()
		f.await("weft_messages_dropped_total", 3)
		if n := f.MetricOf("weft_messages_dropped_total", "session_ended"); n != 3 {
			t.Errorf("%v dropped with their session", n)
		}
	})
}

func TestADrainWaitsForHeldMessages(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "reply done"))
		in := f.dial("in")
		in.say(text(w.ask("/a")))
		<-w.arrived
		f.await("weft_messages_in_total", 1)
		stop := f.stop
		f.stop = nil
		stop()
		close(w.gate("/a"))
		if got := in.hear(); string(got.Payload) != "done" {
			t.Errorf("heard %q", got.Payload)
		}
		if err := <-f.ended; err != nil {
			t.Error(err)
		}
		if l := f.Ledger(); l.Replied != 1 || l.InFlight() != 0 {
			t.Errorf("%+v", l)
		}
	})
}

func TestADrainThatIsCutShortCountsWhatItDrops(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, strings.Replace(w.yaml("20s", "continue"), "drain: 20s", "drain: 100ms", 1))
		in := f.dial("in")
		in.say(text(w.ask("/never")))
		in.say(text("continue"))
		<-w.arrived
		f.await("weft_messages_in_total", 2)
		stop := f.stop
		f.stop = nil
		stop()
		if err := <-f.ended; err == nil {
			t.Error("nobody says that the drain was cut short")
		}
		l := f.Ledger()
		if n := f.MetricOf("weft_messages_dropped_total", "draining"); n != 2 || l.InFlight() != 0 {
			t.Errorf("%v were dropped; %+v", n, l)
		}
	})
}

func TestTheDeadlineResumes(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		yaml := w.yaml("20s", "answer")
		// hurried is guest with a deadline that passes soon: it asks for what never comes.
		_, guest, _ := strings.Cut(yaml, "  guest:\n")
		guest, _, _ = strings.Cut(guest, "routes:\n")
		f := start(t, driver, strings.NewReplacer(
			"plugins:\n", "plugins:\n  hurried:\n"+strings.Replace(guest, "deadline: 20s", "deadline: 50ms", 1),
			"routes:\n", fmt.Sprintf(`routes:
  - name: never
    when: {topic: "never"}
    chain: [{plugin: hurried, config: {messages: "http GET %s/never - 0\nawait", resume: "answer"}}]
    to: [subscribers]
`, w.URL)).Replace(yaml))
		in := f.dial("in")
		for range 2 { // the plugin goes on
			in.say(text("topic never\ncontinue"))
			for _, want := range []string{"ok topic never\ncontinue", "http !timeout\n"} {
				if got := in.hear(); string(got.Payload) != want {
					t.Errorf("heard %q, expected %q", got.Payload, want)
				}
			}
		}
		in.say(text(w.ask("/open")))
		if got := in.hear(); !strings.HasPrefix(string(got.Payload), "http 200\nheader content-length 5") {
			t.Errorf("heard %q", got.Payload)
		}
	})
}

// A session of which many messages wait is not read from: nothing is dropped,
// however much it sends.
func TestASenderOfHeldMessagesWaits(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "drop"))
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 4)
		in.say(text(w.ask("/a")))
		<-w.arrived
		const total = 20_000
		payload := "topic past\npayload " + strings.Repeat("x", 500)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range total {
				in.say(text(payload))
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, in.in) }()
		f.await("weft_loop_paused_connections", 1)
		if l := f.Ledger(); l.In >= total || l.InFlight() != int64(l.In) {
			t.Errorf("while it waits: %+v", l)
		}
		close(w.gate("/a"))
		for range total {
			out.hear()
		}
		<-sent
		if l := f.Ledger(); l.Lost() != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// A plugin need not wait for what it sends: its calls end by themselves.
func TestCallsThatNobodyWaitsForEnd(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		w := newWeb(t)
		f := start(t, driver, w.yaml("20s", "continue"))
		in := f.dial("in")
		for range 3 * 64 { // three times as many as may be under way
			in.say(text("http GET " + w.URL + "/open - 0"))
			in.hear()
			<-w.arrived
			f.await("weft_plugin_http_open", 0)
		}
	})
}

// What the API publishes has no session: its topics are held one by one.
func TestHeldMessagesOfTheAPIBindTheirTopicAlone(t *testing.T) {
	w := newWeb(t)
	yaml := strings.NewReplacer("drain: 20s", "drain: 20s\nloops: 1", `config: {messages: "http GET `+w.URL+`/route - 0\nawait", resume: "continue"}`, `config: {resume: "continue"}`,
		`topic: "routed"`, `topic: "routed/#"`, `"routed", "past"`, `"routed/#", "past"`).Replace(w.yaml("20s", "continue"))
	f := start(t, "auto", yaml)
	out := f.dial("out")
	f.await("weft_subscriptions", 4)
	publish := func(topic, payload string, delivered int) {
		t.Helper()
		r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte(topic), Payload: []byte(payload)})
		if err != nil || r.Delivered != delivered || r.Dropped != "" {
			t.Errorf("%s: %+v, %v", topic, r, err)
		}
	}
	publish("routed/a", w.ask("/a"), 0)
	<-w.arrived
	publish("routed/b", "payload free\ncontinue", 1)
	publish("routed/a", "payload later\ncontinue", 0)
	if got := out.hear(); string(got.Payload) != "free" {
		t.Errorf("delivered %q", got.Payload)
	}
	close(w.gate("/a"))
	for _, want := range []string{w.ask("/a"), "later"} {
		if got := out.hear(); string(got.Payload) != want {
			t.Errorf("delivered %q, expected %q", got.Payload, want)
		}
	}
}
