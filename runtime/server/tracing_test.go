package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/logging"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/runtime/tracing"
	"github.com/weftrun/weft/runtime/tracing/otlptest"
)

func traced(r *otlptest.Receiver, more string) string {
	return fmt.Sprintf("tracing: {endpoint: %q, sample: 100%%, delay: 10ms%s}\n", r.URL, more)
}

// A message is a span with a child for each plugin, of the listener's chain and of the
// route's, with what each decided and cost.
func TestATraceHasASpanAPlugin(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		r := otlptest.Start(t)
		f := start(t, driver, tailed+traced(r, ", service: orders"))
		sub, err := f.Bus().Subscribe(t.Context(), []string{"second"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		in := f.dial("in")
		in.say(abi.Message{Type: abi.TypeRequest, Seq: 1, Priority: 2, Payload: []byte("continue")})
		got := r.Await(t, 4, nil)
		root := got[slices.IndexFunc(got, func(s otlptest.Span) bool { return s.ParentID() == "" })]
		want := map[string]string{
			"weft.listener": "in", "messaging.destination.name": "raw", "weft.route": "hot", "weft.places": "subscribers queue:nobody", "weft.copies": "1",
			"weft.result": "delivered", "messaging.message.body.size": "8", "weft.batch.messages": "1", "network.protocol.name": "mcp-seq",
		}
		for name, value := range want {
			if root.Attribute(name) != value {
				t.Errorf("%s is %q, not %q", name, root.Attribute(name), value)
			}
		}
		if root.Name != "process in" || root.Service != "orders" || root.Attribute("weft.session.hash") == "" || root.Status != nil || root.EndTimeUnixNano <= root.StartTimeUnixNano {
			t.Errorf("the message: %v", root)
		}
		var plugins []string
		for _, s := range got {
			if s.ParentID() == "" {
				continue
			}
			plugins = append(plugins, fmt.Sprintf("%s=%s/%s", s.Name, s.Attribute("weft.plugin.verdict"), s.Attribute("weft.plugin.changed")))
			if s.TraceID() != root.TraceID() || s.ParentID() != root.ID() || s.Attribute("weft.plugin.fuel") == "0" || s.Attribute("weft.plugin.generation") != "1" ||
				s.EndTimeUnixNano <= s.StartTimeUnixNano || s.StartTimeUnixNano < root.StartTimeUnixNano || s.EndTimeUnixNano > root.EndTimeUnixNano {
				t.Errorf("a plugin: %v of %v", s, root)
			}
		}
		if text := strings.Join(plugins, " "); text != "plugin first=continue/topic,attributes plugin guest=continue/ plugin guest=continue/attributes" {
			t.Errorf("the plugins: %s", text)
		}

		in.say(abi.Message{Type: abi.TypeRequest, Seq: 2, Payload: []byte("drop too-cold")})
		in.say(abi.Message{Type: abi.TypeRequest, Seq: 3, Payload: []byte("trap")})
		dropped := r.Await(t, 1, func(s otlptest.Span) bool { return s.Attribute("weft.result") == "dropped" })[0]
		if dropped.GetStatus().GetMessage() != "plugin_drop" || dropped.Attribute("weft.drop.reason") != "plugin_drop" {
			t.Errorf("a message that a plugin drops: %v", dropped)
		}
		trapped := r.Await(t, 1, func(s otlptest.Span) bool { return s.Attribute("weft.plugin.cause") == "trap" })[0]
		if trapped.GetStatus().GetMessage() != "trap" || trapped.Attribute("weft.plugin.verdict") != "route" {
			t.Errorf("a plugin that traps: %v", trapped)
		}
		f.await("weft_trace_spans_total", float64(r.Spans()))
		if n := f.Metric("weft_trace_spans_dropped_total"); n != 0 {
			t.Errorf("%v spans were dropped", n)
		}
	})
}

// A message that a plugin pauses is a span until then, and another one when it goes on.
func TestATraceGoesOnAfterAPause(t *testing.T) {
	r, w := otlptest.Start(t), newWeb(t)
	f := start(t, "auto", w.yaml("20s", "continue")+traced(r, ""))
	out := f.dial("out")
	f.await("weft_subscriptions", 4)
	f.dial("in").say(text(w.ask("/open")))
	out.hear()
	spans := r.Await(t, 4, nil)
	ofMessages := slices.DeleteFunc(slices.Clone(spans), func(s otlptest.Span) bool { return strings.HasPrefix(s.Name, "plugin") })
	if len(ofMessages) != 2 {
		t.Fatalf("the spans: %v", spans)
	}
	first, second := ofMessages[0], ofMessages[1]
	if first.Attribute("weft.result") != "paused" || second.Name != "resume in" || second.ParentID() != first.ID() || second.TraceID() != first.TraceID() || second.Attribute("weft.result") != "delivered" {
		t.Errorf("the messages: %v", ofMessages)
	}
}

const parentOfClient = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A trace that an MQTT 5 client began comes out at an HTTP upstream, and at a client,
// with weft's span as the parent.
func TestATraceGoesFromMQTTToHTTP(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		r := otlptest.Start(t)
		came := make(chan http.Header, 16)
		web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { came <- q.Header }))
		t.Cleanup(web.Close)
		f := start(t, driver, fmt.Sprintf(`
loops: 2
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {web: {protocol: http, members: [%q]}}
routes: [{name: out, when: {topic: out}, to: ["upstream:web", subscribers]}]
api: {address: ""}
tracing: {endpoint: %q, protocol: grpc, sample: 0%%, delay: 10ms, headers: {x-secret: hush}}
`, strings.TrimPrefix(web.URL, "http://"), r.URL))
		from, to5, to3 := f.mqtt(packet.V5, "from"), f.mqtt(packet.V5, "to5"), f.mqtt(packet.V311, "to3")
		to5.subscribes(to("#", 0))
		to3.subscribes(to("#", 0))

		m := message("out", "hello", 0)
		m.Properties = m.Properties.AppendUser([]byte(tracing.Parent), []byte(parentOfClient)).AppendUser([]byte(tracing.State), []byte("vendor=1")).AppendUser([]byte("own"), []byte("kept"))
		from.publishes(m)
		h := <-came
		span := r.Await(t, 1, named("process "))[0]
		client, _ := tracing.ParseParent([]byte(parentOfClient))
		out, ok := tracing.ParseParent([]byte(h.Get(tracing.Parent)))
		if !ok || out.Trace != client.Trace || out.Span == client.Span || !out.Sampled || h.Get(tracing.State) != "vendor=1" {
			t.Errorf("the upstream gets %q and %q", h.Get(tracing.Parent), h.Get(tracing.State))
		}
		if span.TraceID() != client.Trace.String() || span.ParentID() != client.Span.String() || span.ID() != out.Span.String() || span.TraceState != "vendor=1" || span.Attribute("weft.places") != "upstream:web subscribers" {
			t.Errorf("the span is %v", span)
		}
		properties := map[string]string{}
		for list := to5.gets("hello").Properties; len(list) > 0; {
			var p packet.Property
			if p, list = list.Next(); p.ID == packet.UserProperty {
				properties[string(p.Name)] = string(p.Value)
			}
		}
		if properties[tracing.Parent] != h.Get(tracing.Parent) || properties[tracing.State] != "vendor=1" || properties["own"] != "kept" {
			t.Errorf("the client of 5.0 gets %v", properties)
		}
		to3.gets("hello")

		// What is not sampled passes as it came, and so does what has no context.
		unsampled := strings.TrimSuffix(parentOfClient, "01") + "00"
		m.Properties = packet.Properties(nil).AppendUser([]byte(tracing.Parent), []byte(unsampled))
		from.publishes(m)
		if h := <-came; h.Get(tracing.Parent) != unsampled {
			t.Errorf("what is not sampled goes on with %q", h.Get(tracing.Parent))
		}
		from.publishes(message("out", "plain", 0))
		if h := <-came; h.Get(tracing.Parent) != "" {
			t.Errorf("what has no context goes on with %q", h.Get(tracing.Parent))
		}
		sent := r.Await(t, 2, nil)
		if len(sent) != 2 || sent[1].Name != "send web" || sent[1].ParentID() != span.ID() || sent[1].Attribute("http.response.status_code") != "200" {
			t.Errorf("%d spans, not the message and its way to the upstream: %v", len(sent), sent)
		}
		if h := r.Requests()[0]; h.Get("x-secret") != "hush" || !strings.HasPrefix(h.Get("Content-Type"), "application/grpc") {
			t.Errorf("the request's headers: %v", h)
		}
	})
}

// What crosses from one node to another is one trace.
func TestATraceCrossesNodes(t *testing.T) {
	r := otlptest.Start(t)
	config := fmt.Sprintf(mqttConfig, 2) + fmt.Sprintf("tracing: {endpoint: %q, sample: 0%%, delay: 10ms}\n", r.URL)
	list := several(t, alone(t), 2, config)
	from, far := list[0].mqtt(packet.V5, "from"), list[1].mqtt(packet.V5, "far")
	far.subscribes(to("x/+", 0))
	list[0].await("weft_link_node_interests", 1)
	m := message("x/1", "over", 1)
	m.Properties = m.Properties.AppendUser([]byte(tracing.Parent), []byte(parentOfClient))
	from.publishes(m)
	got := far.gets("over")
	spans := r.Await(t, 2, nil)
	a, b := spans[0], spans[1]
	if a.Attribute("weft.listener") != "mqtt" {
		a, b = b, a
	}
	if a.TraceID() != b.TraceID() || b.ParentID() != a.ID() || a.ParentID() != "b7ad6b7169203331" || b.Attribute("weft.listener") != "api" {
		t.Errorf("the spans: %v and %v", a, b)
	}
	if !strings.Contains(string(got.Properties), b.ID()) {
		t.Errorf("the client on the other node gets %q, not with %s", got.Properties, b.ID())
	}
}

// tracesAt starts one loop that traces at most so many messages of who speaks lines.
func tracesAt(t *testing.T, rate string) (r *otlptest.Receiver, f *fixture, in *client) {
	t.Helper()
	r = otlptest.Start(t)
	f = start(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, acknowledge: "", topic: t}]
loops: 1
api: {address: ""}
`+traced(r, ", rate: "+rate))
	return r, f, f.dial("lines")
}

// However many senders want to be traced, a loop traces so many and lets the others pass
// as they came.
func TestTracesAreBounded(t *testing.T) {
	r, f, in := tracesAt(t, "10/s")
	for range 2000 {
		in.say(text("x"))
	}
	f.await("weft_messages_in_total", 2000)
	here, limited := f.MetricOf("weft_trace_messages_total", "here"), f.MetricOf("weft_trace_messages_total", "limited")
	if here < 10 || here > 1000 || here+limited != 2000 {
		t.Errorf("%v were traced, %v were not", here, limited)
	}
	if s := r.Await(t, 10, nil)[0]; s.GetStatus().GetMessage() != "no_subscriber" {
		t.Errorf("a span: %v", s)
	}
}

// A rate of less than one a second traces one message now and then.
func TestASlowRateTraces(t *testing.T) {
	r, f, in := tracesAt(t, "50/m")
	sent := 0
	for deadline := time.Now().Add(time.Minute); f.MetricOf("weft_trace_messages_total", "here") < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d messages %v were traced", sent, f.MetricOf("weft_trace_messages_total", "here"))
		}
		in.say(text("x"))
		sent++
	}
	if f.MetricOf("weft_trace_messages_total", "limited") == 0 {
		t.Error("all were traced")
	}
	r.Await(t, 2, nil)
}

// The histogram of how long messages take names a trace of each bucket, to who asks for
// OpenMetrics.
func TestExemplarsNameTraces(t *testing.T) {
	r := otlptest.Start(t)
	f := start(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: t}]
api: {address: "127.0.0.1:0"}
`+traced(r, ""))
	in := f.dial("lines")
	in.say(text("x"))
	in.hear()
	span := r.Await(t, 1, nil)[0]
	scrape := func() string {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		page, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(page)
	}
	want := regexp.MustCompile(`(?m)^weft_message_seconds_bucket\{le="[^"]+"\} \d+ # \{trace_id="` + span.TraceID() + `"\} \S+ \S+$`)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if page := scrape(); want.MatchString(page) && strings.HasSuffix(page, "# EOF\n") {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%s is not in\n%s", span.TraceID(), page)
		}
	}
}

// A log line about a message that is traced has its trace_id, any other has none.
func TestLinesNameTheirTrace(t *testing.T) {
	for _, on := range []bool{true, false} {
		r, log := otlptest.Start(t), &lines{}
		logger, err := logging.New(log, "weft", "debug", logging.FormatJSON)
		if err != nil {
			t.Fatal(err)
		}
		yaml := recorded
		if on {
			yaml += traced(r, "")
		}
		srv, err := server.New(t.Context(), server.Options{Config: load(t, yaml), Logger: logger, CacheDir: compiled})
		if err != nil {
			t.Fatal(err)
		}
		f := run(t, srv)
		f.dial("in").say(abi.Message{Type: abi.TypeRequest, Seq: 1, Payload: []byte("drop too-cold")})
		f.await("weft_messages_dropped_total", 1)
		var line map[string]any
		for text := range strings.Lines(log.String()) {
			if strings.Contains(text, `"message dropped"`) {
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, key := range []string{"time", "level", "service", "message"} {
			if line[key] == nil {
				t.Errorf("the line has no %s: %v", key, line)
			}
		}
		want := any(nil)
		if on {
			want = r.Await(t, 1, nil)[0].TraceID()
		}
		if line["trace_id"] != want {
			t.Errorf("the line is of trace %v, not %v: %v", line["trace_id"], want, line)
		}
		f.end()
	}
}
