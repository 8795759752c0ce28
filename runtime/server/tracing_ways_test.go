package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/tracing"
	"github.com/weftrun/weft/runtime/tracing/otlptest"
)

// named wants the spans whose name begins so.
func named(name string) func(otlptest.Span) bool {
	return func(s otlptest.Span) bool { return strings.HasPrefix(s.Name, name) }
}

// withParent is a message of MQTT 5 with a trace context.
func withParent(topic, text string, qos uint8) packet.Publish {
	m := message(topic, text, qos)
	m.Properties = m.Properties.AppendUser([]byte(tracing.Parent), []byte(parentOfClient))
	return m
}

// contextOf is the trace context of a message that a client of MQTT 5 got.
func contextOf(t *testing.T, m packet.Publish) tracing.Context {
	t.Helper()
	for list := m.Properties; len(list) > 0; {
		var p packet.Property
		if p, list = list.Next(); p.ID == packet.UserProperty && string(p.Name) == tracing.Parent {
			c, ok := tracing.ParseParent(p.Value)
			if !ok {
				t.Errorf("the message has the context %q", p.Value)
			}
			return c
		}
	}
	t.Errorf("the message has no context: %q", m.Properties)
	return tracing.Context{}
}

// What a pool does with a message is a span: the member, its answer, the tries before.
func TestATraceShowsWhatAPoolDid(t *testing.T) {
	r := otlptest.Start(t)
	var calls atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Connection", "close") // each try dials: a member that is gone refuses
		switch {
		case q.URL.Path == "/no":
			w.WriteHeader(http.StatusUnprocessableEntity)
		case calls.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(web.Close)
	f := start(t, "auto", fmt.Sprintf(`
loops: 1
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {web: {protocol: http, members: [%q], retries: 2, breaker: {calls: 0}, health: {passive: {failures: 0}}, http: {path: "/{topic}?key=mark-of-a-secret"}}}
routes: [{name: out, when: {topic: "+"}, to: ["upstream:web"]}]
api: {address: ""}
`, strings.TrimPrefix(web.URL, "http://"))+traced(r, ""))
	c := f.mqtt(packet.V5, "c")
	if code := c.publishes(withParent("yes", "1", 1)); code != packet.Success {
		t.Errorf("PUBACK says %v", code)
	}
	c.publishes(withParent("no", "2", 1))
	c.publishes(message("no", "3", 1))
	whole := r.Await(t, 3, named("process "))[0]
	list := r.Await(t, 3, named("send "))
	yes, no := list[0], list[1]
	if yes.Name != "send web" || yes.Kind.String() != "SPAN_KIND_CLIENT" || yes.ParentID() != whole.ID() || yes.TraceID() != whole.TraceID() || yes.EndTimeUnixNano <= yes.StartTimeUnixNano {
		t.Errorf("what was sent: %v of %v", yes, whole)
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(web.URL, "http://"), ":")
	for name, want := range map[string]string{
		"weft.upstream.name": "web", "weft.upstream.tries": "2", "server.address": host, "server.port": port, "http.response.status_code": "200",
		"weft.result": "delivered", "messaging.destination.name": "yes", "messaging.operation.type": "send", "error.type": "", "network.protocol.name": "http",
	} {
		if got := yes.Attribute(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if len(yes.Events) != 1 || !strings.Contains(yes.Events[0].String(), "503") || yes.Status != nil {
		t.Errorf("the try that failed is not there: %v", yes)
	}
	for name, want := range map[string]string{
		"weft.upstream.tries": "1", "http.response.status_code": "422", "weft.result": "dropped", "error.type": "upstream_refused",
	} {
		if got := no.Attribute(name); got != want {
			t.Errorf("refused: %s is %q, not %q", name, got, want)
		}
	}
	if said := no.GetStatus(); said.GetCode().String() != "STATUS_CODE_ERROR" || !strings.Contains(said.GetMessage(), "422") {
		t.Errorf("refused: the status is %v", said)
	}
	web.Close()
	c.publishes(withParent("yes", "4", 1))
	gone := r.Await(t, 4, named("send "))[3]
	if gone.Attribute("weft.upstream.tries") != "3" || len(gone.Events) != 2 || gone.Attribute("http.response.status_code") != "" || !strings.Contains(gone.GetStatus().GetMessage(), "refused") {
		t.Errorf("a member that is gone: %v", gone)
	}
	for _, s := range r.Await(t, 8, nil) {
		if strings.Contains(s.String(), "mark-of-a-secret") {
			t.Errorf("the request's query is in a span: %v", s)
		}
	}
}

const otherTrace = "00-11111111111111111111111111111111-2222222222222222-"

// What a plugin makes of a traced message is part of its trace; if the plugin says that
// it belongs to another trace, it is, with a link.
func TestATraceHasWhatPluginsMake(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		r := otlptest.Start(t)
		f := start(t, driver, tailed+traced(r, ""))
		sub, err := f.Bus().Subscribe(t.Context(), []string{"alarm", "second"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		in := f.dial("in")
		say := func(commands string) (spans map[string]otlptest.Span, alarm tracing.Context) {
			before := r.Spans()
			in.say(abi.Message{Type: abi.TypeRequest, Seq: 1, Payload: []byte(commands)})
			for range 2 {
				d, err := sub.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if parent, ok := d.Message.Attrs.Get(tracing.Parent); ok && string(d.Message.Topic) == "alarm" {
					alarm, _ = tracing.ParseParent(parent)
				}
			}
			expected := 5
			if strings.Contains(commands, "-00") {
				expected = 4
			}
			f.await("weft_trace_spans_total", float64(before+expected))
			spans = map[string]otlptest.Span{}
			for _, s := range r.Await(t, before+expected, nil) {
				spans[s.Name] = s // the newest
			}
			return spans, alarm
		}
		spans, alarm := say("emit alarm hot")
		made, whole := spans["emit in"], spans["process in"]
		if made.Span == nil || made.Kind.String() != "SPAN_KIND_PRODUCER" || made.ParentID() != whole.ID() || made.TraceID() != whole.TraceID() || made.Attribute("messaging.destination.name") != "alarm" || made.Attribute("weft.result") != "delivered" {
			t.Errorf("what it has made: %v of %v", made, whole)
		}
		if alarm.Trace.String() != whole.TraceID() || alarm.Span.String() != made.ID() {
			t.Errorf("it goes on with %v", alarm)
		}
		spans, alarm = say("emit alarm hot @" + tracing.Parent + "=" + otherTrace + "01")
		made, whole = spans["emit in"], spans["process in"]
		if made.TraceID() != strings.Repeat("1", 32) || made.ParentID() != strings.Repeat("2", 16) || len(made.Links) != 1 ||
			fmt.Sprintf("%x", made.Links[0].TraceId) != whole.TraceID() || fmt.Sprintf("%x", made.Links[0].SpanId) != whole.ID() || alarm.Span.String() != made.ID() {
			t.Errorf("with a context of its own: %v, and it goes on with %v", made, alarm)
		}
		last := made.ID()
		spans, alarm = say("emit alarm hot @" + tracing.Parent + "=" + otherTrace + "00")
		if spans["emit in"].ID() != last || alarm.Sampled || alarm.Span.String() != strings.Repeat("2", 16) {
			t.Errorf("of a trace that is not recorded: %v, and it goes on with %v", spans["emit in"], alarm)
		}
	})
}

// What comes out of a log goes on with its trace: at once, when it is offered again, and
// for a session that was away.
func TestATraceGoesOnOutOfALog(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		r := otlptest.Start(t)
		var calls atomic.Int64
		came := make(chan string, 16)
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			came <- q.Header.Get(tracing.Parent)
			if calls.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(web.Close)
		yaml := withLoops(durableConfig(t.TempDir(), "backoff: {first: 10ms, most: 10ms}"), loops)
		yaml = strings.Replace(yaml, "to: [subscribers]", `to: [subscribers, "upstream:web"]`, 1) + traced(r, "") + fmt.Sprintf(
			"upstreams: {web: {protocol: http, members: [%q], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}}}\n", strings.TrimPrefix(web.URL, "http://"))
		f := start(t, "auto", yaml)
		away := f.mqtt(packet.V5, "away", persistent)
		away.subscribes(to("d/#", 1))
		away.leaves()
		sub := f.mqtt(packet.V5, "sub")
		sub.subscribes(to("d/#", 1))
		if code := f.mqtt(packet.V5, "pub").publishes(withParent("d/1", "x", 1)); code != packet.Success {
			t.Fatal(code)
		}
		there, first, second := contextOf(t, sub.gets("x")), <-came, <-came
		f.await("weft_log_lag", 0)
		back := comesBack(f, packet.V5, "away")
		then := contextOf(t, back.gets("x"))
		whole := r.Await(t, 1, named("process "))[0]
		if whole.Attribute("weft.places") != "log" || whole.ParentID() != "b7ad6b7169203331" {
			t.Errorf("what goes into the log: %v", whole)
		}
		offers := r.Await(t, 2, func(s otlptest.Span) bool { return s.Attribute("weft.places") == "upstream:web" })
		for i, parent := range []string{first, second} {
			c, _ := tracing.ParseParent([]byte(parent))
			s := offers[i]
			if s.Name != "recall kept" || s.Kind.String() != "SPAN_KIND_CONSUMER" || s.ParentID() != whole.ID() || s.TraceID() != whole.TraceID() || s.ID() != c.Span.String() ||
				s.Attribute("weft.log.offered") != fmt.Sprint(i+1) || s.Attribute("weft.log.entry") == "0" || s.Attribute("weft.result") != "waiting" {
				t.Errorf("offer %d, which the member got with %q: %v", i+1, parent, s)
			}
		}
		sent := r.Await(t, 2, named("send "))
		if sent[0].ParentID() != offers[0].ID() || sent[0].Attribute("http.response.status_code") != "503" || sent[1].ParentID() != offers[1].ID() || sent[1].Status != nil {
			t.Errorf("what the pool did: %v", sent)
		}
		for name, c := range map[string]tracing.Context{"who is there": there, "who was away": then} {
			s := r.Await(t, 1, func(s otlptest.Span) bool { return s.ID() == c.Span.String() })[0]
			if s.Name != "recall kept" || s.ParentID() != whole.ID() || s.Attribute("weft.result") != "delivered" || !strings.HasPrefix(s.Attribute("weft.places"), "subscribers") {
				t.Errorf("%s: %v", name, s)
			}
		}
	})
}

const carrying = `{fields: [
  {name: parent_len, size: 1, counts: traceparent}, {name: state_len, size: 2, counts: tracestate}, {name: length, size: 2, counts: payload},
  {name: traceparent, attribute: traceparent}, {name: tracestate, attribute: tracestate}, {name: payload}]}`

// A frame that declares the two attributes carries the context in and out, and one that
// does not takes no harm.
func TestATraceInFrames(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		r := otlptest.Start(t)
		f := start(t, driver, `
loops: 2
frames: {carrying: `+carrying+`}
listeners:
  - {name: in, address: "127.0.0.1:0", frame: carrying, topic: t, acknowledge: ""}
  - {name: out, address: "127.0.0.1:0", frame: carrying, topic: u, acknowledge: "", subscribe: ["t"]}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: v, acknowledge: "", subscribe: ["t"]}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
api: {address: ""}
`+traced(r, ""))
		in, out, lines, sub := f.dial("in"), f.dial("out"), f.dial("lines"), f.mqtt(packet.V5, "sub")
		sub.subscribes(to("t", 0))
		f.await("weft_subscriptions", 3)
		format, err := frame.Parse("carrying", []byte(carrying))
		if err != nil {
			t.Fatal(err)
		}
		in.format, out.format = format, format
		in.say(abi.Message{Payload: []byte("x"), Attrs: abi.Attributes(nil).AppendString(tracing.Parent, parentOfClient).AppendString(tracing.State, "vendor=1")})
		span := r.Await(t, 1, nil)[0]
		if span.ParentID() != "b7ad6b7169203331" || span.TraceState != "vendor=1" {
			t.Errorf("the span: %v", span)
		}
		got := out.hear()
		parent, _ := got.Attrs.Get(tracing.Parent)
		state, _ := got.Attrs.Get(tracing.State)
		if c, ok := tracing.ParseParent(parent); !ok || c.Span.String() != span.ID() || c.Trace.String() != span.TraceID() || string(state) != "vendor=1" {
			t.Errorf("the frame goes out with %q and %q", parent, state)
		}
		if c := contextOf(t, sub.gets("x")); c.Span.String() != span.ID() {
			t.Errorf("MQTT 5 gets %v", c)
		}
		if got := lines.hear(); string(got.Payload) != "x" {
			t.Errorf("the line is %q", got.Payload)
		}
		sub.publishes(withParent("t", "y", 0)) // and from there into a frame
		parent, _ = out.hear().Attrs.Get(tracing.Parent)
		if c, ok := tracing.ParseParent(parent); !ok || c.Trace.String() != span.TraceID() || c.Span.String() == span.ID() {
			t.Errorf("the frame of a message of MQTT goes out with %q", parent)
		}
	})
}

// The API takes the context from the headers of a request, and shows it to who listens.
func TestATraceByTheAPI(t *testing.T) {
	r := otlptest.Start(t)
	f := start(t, "auto", `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
api: {address: "127.0.0.1:0"}
tracing: {endpoint: "`+r.URL+`", sample: 0%, delay: 10ms}
`)
	sub := f.mqtt(packet.V5, "sub")
	sub.subscribes(to("t", 0))
	for i, path := range []string{"/v1/publish/t", "/weft.v1.Messages/Publish"} {
		body, kind := "x", "text/plain"
		if i == 1 {
			body, kind = `{"topic":"t","text":"x"}`, "application/json"
		}
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", kind)
		q.Header.Set(tracing.Parent, parentOfClient)
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, answer.Status)
		}
		c := contextOf(t, sub.hears())
		s := r.Await(t, i+1, named("process "))[i]
		if s.ParentID() != "b7ad6b7169203331" || s.ID() != c.Span.String() || s.Attribute("weft.listener") != "api" {
			t.Errorf("%s: %v, and the subscriber gets %v", path, s, c)
		}
	}
}
