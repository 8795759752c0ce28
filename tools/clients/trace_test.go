package clients

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collect is a receiver of OTLP over HTTP that hands over each span.
func collect(t *testing.T) (url string, spans <-chan *trace.Span) {
	t.Helper()
	got := make(chan *trace.Span, 64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request collector.ExportTraceServiceRequest
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			var b []byte
			if b, err = io.ReadAll(z); err == nil {
				err = proto.Unmarshal(b, &request)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, of := range request.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, span := range scope.Spans {
					got <- span
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

// A trace that Paho's client for MQTT 5 begins comes out at an HTTP upstream, and at
// another client, by way of weft's spans, which the collector gets.
func TestATraceFromPahoToHTTP(t *testing.T) {
	type request struct{ parent, state, body string }
	requests := make(chan request, 16) // it is asked again where it was slow
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Header.Get("traceparent"), r.Header.Get("tracestate"), string(body)}
	}))
	t.Cleanup(upstream.Close)
	collector, spans := collect(t)
	w := start(t, fmt.Sprintf(`
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams: {orders: {protocol: http, members: [%q]}}
routes: [{name: out, when: {topic: "orders/#"}, to: ["upstream:orders", subscribers]}]
api: {address: ""}
tracing: {endpoint: %q, sample: 0%%, delay: 10ms}
`, strings.TrimPrefix(upstream.URL, "http://"), collector))
	from, to := w.paho5("from"), w.paho5("to")
	to.subscribe("orders/#", 1)
	const traceID, spanID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	_, err := from.Publish(from.within(), &paho.Publish{Topic: "orders/1", QoS: 1, Payload: []byte("one"), Properties: &paho.PublishProperties{User: paho.UserProperties{
		{Key: "traceparent", Value: "00-" + traceID + "-" + spanID + "-01"}, {Key: "tracestate", Value: "vendor=1"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	byKind := map[trace.Span_SpanKind]*trace.Span{}
	for len(byKind) < 2 {
		select {
		case s := <-spans:
			byKind[s.Kind] = s
		case <-timeout.C:
			t.Fatalf("the spans %v have come", byKind)
		}
	}
	whole, sent := byKind[trace.Span_SPAN_KIND_CONSUMER], byKind[trace.Span_SPAN_KIND_CLIENT]
	if whole == nil || sent == nil || hex.EncodeToString(whole.TraceId) != traceID || hex.EncodeToString(whole.ParentSpanId) != spanID ||
		hex.EncodeToString(sent.TraceId) != traceID || string(sent.ParentSpanId) != string(whole.SpanId) {
		t.Fatalf("the message's span is %v, the one of its way to the upstream %v", whole, sent)
	}
	want := request{"00-" + traceID + "-" + hex.EncodeToString(whole.SpanId) + "-01", "vendor=1", "one"}
	if got := <-requests; got != want {
		t.Errorf("the upstream gets %v, not %v", got, want)
	}
	got := to.gets("orders/1 one 1 false")
	if parent := got.Properties.User.Get("traceparent"); parent != want.parent || got.Properties.User.Get("tracestate") != "vendor=1" {
		t.Errorf("the other client gets %v", got.Properties.User)
	}
}
