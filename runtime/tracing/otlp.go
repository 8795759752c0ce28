package tracing

import (
	"encoding/hex"
	"net"
	"strconv"
	"strings"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

// encoder makes requests of OTLP.
type encoder struct {
	resource *resource.Resource
	scope    *common.InstrumentationScope
}

func newEncoder(o *Options) *encoder {
	e := &encoder{scope: &common.InstrumentationScope{Name: "github.com/weftrun/weft", Version: o.Version}, resource: &resource.Resource{}}
	for _, a := range [...][2]string{{"service.name", o.Service}, {"service.version", o.Version}, {"service.instance.id", o.Instance}} {
		if a[1] != "" {
			e.resource.Attributes = append(e.resource.Attributes, text(a[0], a[1]))
		}
	}
	for _, name := range sortedKeys(o.Attributes) {
		e.resource.Attributes = append(e.resource.Attributes, text(name, o.Attributes[name]))
	}
	return e
}

// request makes the request that exports the messages.
func (e *encoder) request(messages []*Message) *collector.ExportTraceServiceRequest {
	spans := make([]*trace.Span, 0, 2*len(messages))
	for _, m := range messages {
		spans = e.message(spans, m)
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource: e.resource, ScopeSpans: []*trace.ScopeSpans{{Scope: e.scope, Spans: spans}},
	}}}
}

// Flags of a span beside those of W3C (OTLP, SpanFlags).
const (
	flagSampled   = 1
	flagHasRemote = 1 << 8
	flagIsRemote  = 1 << 9
)

// kinds are what spans of messages are called, before the name of who they are about.
var kinds = [...]struct {
	name, operation string
	kind            trace.Span_SpanKind
}{
	Consumer: {"process ", "process", trace.Span_SPAN_KIND_CONSUMER},
	Internal: {"resume ", "process", trace.Span_SPAN_KIND_INTERNAL},
	Recalled: {"recall ", "process", trace.Span_SPAN_KIND_CONSUMER},
	Emitted:  {"emit ", "create", trace.Span_SPAN_KIND_PRODUCER},
	Sent:     {"send ", "send", trace.Span_SPAN_KIND_CLIENT},
}

// message appends the spans of one message.
func (e *encoder) message(spans []*trace.Span, m *Message) []*trace.Span {
	flags := uint32(flagSampled | flagHasRemote)
	if m.Remote {
		flags |= flagIsRemote
	}
	kind := &kinds[m.Kind]
	s := &trace.Span{
		TraceId: m.Trace[:], SpanId: m.Span[:], TraceState: valid(m.State), Flags: flags, Name: valid(kind.name + m.about()),
		Kind: kind.kind, StartTimeUnixNano: uint64(m.Begin), EndTimeUnixNano: uint64(max(m.Begin, m.End)),
	}
	if !m.Parent.IsZero() {
		s.ParentSpanId = m.Parent[:]
	}
	if !m.Link.Trace.IsZero() {
		s.Links = []*trace.Span_Link{{TraceId: m.Link.Trace[:], SpanId: m.Link.Span[:], Flags: flagSampled | flagHasRemote}}
	}
	s.Attributes = m.attributes(kind.operation)
	if m.Cut > 0 {
		s.DroppedAttributesCount = uint32(m.Cut)
	}
	if m.Reason != "" {
		s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: valid(m.Reason)}
	}
	if m.Kind == Sent {
		sent(s, m)
	}
	spans = append(spans, s)
	for i := range m.Steps {
		spans = append(spans, step(m, &m.Steps[i]))
	}
	return spans
}

// about is who a message's span is named by.
func (m *Message) about() string {
	switch m.Kind {
	case Sent:
		return m.Upstream
	case Recalled:
		return m.Route
	}
	return m.Listener
}

// attributes are those of a message's span.
func (m *Message) attributes(operation string) []*common.KeyValue {
	a := append(make([]*common.KeyValue, 0, 12), text("messaging.system", "weft"), text("messaging.operation.type", operation),
		number("messaging.message.body.size", int64(m.Size)))
	for _, one := range [...][2]string{
		{"weft.listener", m.Listener}, {"messaging.destination.name", m.Topic}, {"network.protocol.name", m.Protocol}, {"weft.route", m.Route},
		{"weft.result", m.Result}, {"weft.drop.reason", m.Reason},
	} {
		if one[1] != "" {
			a = append(a, text(one[0], one[1]))
		}
	}
	if m.Session != 0 {
		var b [8]byte
		put(b[:], m.Session)
		a = append(a, text("weft.session.hash", hex.EncodeToString(b[:])))
	}
	for _, one := range [...]struct {
		name string
		n    int64
	}{{"weft.batch.messages", int64(m.Batch)}, {"weft.log.entry", int64(m.Entry)}, {"weft.log.offered", int64(m.Offered)}} {
		if one.n > 0 {
			a = append(a, number(one.name, one.n))
		}
	}
	if len(m.Places) > 0 {
		places := &common.ArrayValue{}
		for i := range m.Places {
			places.Values = append(places.Values, stringValue(m.Places[i].To))
		}
		a = append(a, &common.KeyValue{Key: "weft.places", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: places}}},
			number("weft.copies", int64(m.Copies)))
	}
	return a
}

// sent says of a span what an upstream pool has done: the last try's member and answer,
// and an event for each one that failed before it.
func sent(s *trace.Span, m *Message) {
	s.Attributes = append(s.Attributes, text("weft.upstream.name", m.Upstream), number("weft.upstream.tries", int64(m.Tried)))
	if m.Failure != "" {
		s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: valid(m.Failure)}
		s.Attributes = append(s.Attributes, text("error.type", m.Reason))
	}
	for i := range m.Tries {
		t := &m.Tries[i]
		if i == len(m.Tries)-1 {
			s.Attributes = append(s.Attributes, t.attributes()...)
		} else {
			s.Events = append(s.Events, &trace.Span_Event{TimeUnixNano: uint64(t.End), Name: "try failed", Attributes: append(t.attributes(), text("exception.message", t.Error))})
		}
	}
	if more := m.Tried - len(m.Tries); more > 0 {
		s.DroppedEventsCount = uint32(more)
	}
}

func (t *Try) attributes() []*common.KeyValue {
	host, port := t.Member, 0
	if h, p, err := net.SplitHostPort(t.Member); err == nil {
		if n, err := strconv.Atoi(p); err == nil {
			host, port = h, n
		}
	}
	a := []*common.KeyValue{text("server.address", host)}
	if port != 0 {
		a = append(a, number("server.port", int64(port)))
	}
	if t.Status != 0 {
		a = append(a, number("http.response.status_code", int64(t.Status)))
	}
	return a
}

// step is the span of one call of a plugin.
func step(m *Message, s *Step) *trace.Span {
	id := NewSpanID()
	span := &trace.Span{
		TraceId: m.Trace[:], SpanId: id[:], ParentSpanId: m.Span[:], TraceState: valid(m.State), Flags: flagSampled | flagHasRemote,
		Name: valid("plugin " + s.Plugin), Kind: trace.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(s.Begin), EndTimeUnixNano: uint64(max(s.Begin, s.End)),
		Attributes: []*common.KeyValue{
			text("weft.plugin.name", s.Plugin), number("weft.plugin.generation", int64(s.Generation)), text("weft.plugin.verdict", s.Verdict),
			number("weft.plugin.fuel", int64(s.Fuel)), number("weft.plugin.call.messages", int64(s.Messages)),
		},
	}
	for _, one := range [...][2]string{{"weft.plugin.cause", s.Cause}, {"weft.plugin.reason", s.Text}, {"weft.plugin.changed", s.Changed}} {
		if one[1] != "" {
			span.Attributes = append(span.Attributes, text(one[0], one[1]))
		}
	}
	if s.Emitted > 0 {
		span.Attributes = append(span.Attributes, number("weft.plugin.emitted", int64(s.Emitted)))
	}
	if s.Failed {
		span.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: valid(s.Cause)}
	}
	return span
}

// valid is the text as a message of protobuf may hold it.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func stringValue(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(s)}}
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: stringValue(value)}
}

func number(key string, n int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}}
}
