// Package otlptest is a receiver of OpenTelemetry's protocol in the test's own process,
// over HTTP and over gRPC, made of the official messages.
package otlptest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Receiver takes spans.
type Receiver struct {
	*httptest.Server
	// Answer says what is answered to each request, by its number from 1; nil: all is
	// taken. A status other than 200 refuses. It is asked before anything is kept.
	Answer func(n int) (status int, retryAfter string, rejected int64)

	mu       sync.Mutex
	changed  chan struct{}
	requests int
	headers  []http.Header
	spans    []Span
}

// Span is a span with what its resource says.
type Span struct {
	*trace.Span
	Service string
}

// Start starts a receiver, until the test ends.
func Start(t testing.TB) *Receiver { return StartAnswering(t, nil) }

// StartAnswering is Start with an Answer.
func StartAnswering(t testing.TB, answer func(n int) (status int, retryAfter string, rejected int64)) *Receiver {
	r := &Receiver{Answer: answer, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.http)
	const procedure = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	mux.Handle(procedure, connect.NewUnaryHandler(procedure, r.grpc))
	r.Server = httptest.NewUnstartedServer(mux)
	r.Config.Protocols = new(http.Protocols)
	r.Config.Protocols.SetHTTP1(true)
	r.Config.Protocols.SetUnencryptedHTTP2(true)
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *Receiver) http(w http.ResponseWriter, q *http.Request) {
	body := io.Reader(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(q.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &request)
	}
	if err != nil || q.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	status, later, rejected := r.take(q.Header, &request)
	if later != "" {
		w.Header().Set("Retry-After", later)
	}
	answer, err := proto.Marshal(answered(rejected))
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (r *Receiver) grpc(_ context.Context, q *connect.Request[collector.ExportTraceServiceRequest]) (*connect.Response[collector.ExportTraceServiceResponse], error) {
	status, _, rejected := r.take(q.Header(), q.Msg)
	switch status {
	case http.StatusOK:
		return connect.NewResponse(answered(rejected)), nil
	case http.StatusServiceUnavailable:
		return nil, connect.NewError(connect.CodeUnavailable, nil)
	}
	return nil, connect.NewError(connect.CodeInvalidArgument, nil)
}

func answered(rejected int64) *collector.ExportTraceServiceResponse {
	if rejected == 0 {
		return &collector.ExportTraceServiceResponse{}
	}
	return &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: "too many"}}
}

func (r *Receiver) take(h http.Header, q *collector.ExportTraceServiceRequest) (status int, later string, rejected int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.headers = append(r.headers, h.Clone())
	status = http.StatusOK
	if r.Answer != nil {
		status, later, rejected = r.Answer(r.requests)
	}
	if status == http.StatusOK {
		for _, of := range q.GetResourceSpans() {
			service := ""
			for _, a := range of.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					service = a.GetValue().GetStringValue()
				}
			}
			for _, scope := range of.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					r.spans = append(r.spans, Span{s, service})
				}
			}
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return status, later, rejected
}

// Await waits until the receiver has taken so many spans that are wanted; nil wants all.
// They are in the order of their beginnings.
func (r *Receiver) Await(t testing.TB, n int, wanted func(Span) bool) []Span {
	t.Helper()
	timer := time.NewTimer(60 * time.Second)
	defer timer.Stop()
	for {
		r.mu.Lock()
		var found []Span
		for _, s := range r.spans {
			if wanted == nil || wanted(s) {
				found = append(found, s)
			}
		}
		changed, all := r.changed, len(r.spans)
		r.mu.Unlock()
		if len(found) >= n {
			slices.SortStableFunc(found, func(a, b Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
			return found
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%d spans have come, of %d in all, not %d", len(found), all, n)
		}
	}
}

// Requests are the headers of all requests so far.
func (r *Receiver) Requests() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.headers)
}

// Spans is how many spans were taken.
func (r *Receiver) Spans() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spans)
}

// TraceID is the span's trace in hexadecimal.
func (s Span) TraceID() string { return hex.EncodeToString(s.GetTraceId()) }

// ID is the span's own id in hexadecimal.
func (s Span) ID() string { return hex.EncodeToString(s.GetSpanId()) }

// ParentID is its parent's; empty: it is the first.
func (s Span) ParentID() string { return hex.EncodeToString(s.GetParentSpanId()) }

// Attribute is the text or the number of an attribute; "" if there is none.
func (s Span) Attribute(name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() != name {
			continue
		}
		v := a.GetValue()
		if list := v.GetArrayValue(); list != nil {
			var texts []string
			for _, one := range list.GetValues() {
				texts = append(texts, one.GetStringValue())
			}
			return strings.Join(texts, " ")
		}
		if text := v.GetStringValue(); text != "" {
			return text
		}
		return number(v.GetIntValue())
	}
	return ""
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
