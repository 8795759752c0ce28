package server

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/logging"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/tracing"
)

// tracer is what the loops share of traces. The nil one traces nothing.
type tracer struct {
	exporter *tracing.Exporter
	below    uint64 // of random numbers: those that make a trace begin here
	trust    bool   // who sends a message decides whether it is traced
	rate     float64
	seed     maphash.Seed

	begun, continued, limited atomic.Uint64 // messages
}

// newTracer starts the exporter, if traces are wanted.
func newTracer(s *Server, version string) (*tracer, error) {
	c := &s.cfg.Tracing
	if c.Endpoint == "" {
		return nil, nil
	}
	t := &tracer{trust: c.Parent == config.ParentTrust, rate: c.Rate.Float(), seed: maphash.MakeSeed()}
	switch {
	case c.Sample.Share() >= 1:
		t.below = math.MaxUint64
	case c.Sample > 0:
		t.below = uint64(c.Sample.Share() * (1 << 63) * 2)
	}
	o := tracing.Options{
		Endpoint: c.Endpoint, Protocol: c.Protocol, Timeout: c.Timeout.Std(), Delay: c.Delay.Std(), Queue: c.Queue,
		Service: c.Service, Version: version, Instance: s.node, Attributes: c.Attributes, Logger: s.log,
		TLS: s.secrets.now().client(tracingName),
	}
	if len(c.Headers) > 0 {
		o.Headers = http.Header{}
		for name, value := range c.Headers {
			o.Headers.Set(name, value)
		}
	}
	var err error
	if t.exporter, err = tracing.New(o); err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w (%s)", err, s.cfg.Place("tracing.endpoint"))
	}
	return t, nil
}

// tracingName is the name of what takes the spans among those that weft connects to.
const tracingName = "tracing"

// path is a loop's part.
func (t *tracer) path(p *path) *pathTrace {
	if t == nil {
		return nil
	}
	return &pathTrace{tracer: t, path: p, tokens: t.burst(), filled: time.Now()}
}

// burst is how many messages a loop may trace at once: those of a second, or one.
func (t *tracer) burst() float64 { return max(t.rate, 1) }

// close sends what waits.
func (t *tracer) close() {
	if t != nil {
		t.exporter.Close()
	}
}

// metrics are what has become of spans.
func (t *tracer) metrics() []admin.Metric {
	if t == nil {
		return nil
	}
	st := t.exporter.Stats()
	messages := newFamily("weft_trace_messages_total", "Messages that were traced, by who decided it: this weft, or who had them before; and those that were not because there were more than the rate allows.", admin.Counter, "decision")
	messages.add(t.begun.Load(), "here")
	messages.add(t.continued.Load(), "parent")
	messages.add(t.limited.Load(), "limited")
	dropped := newFamily("weft_trace_spans_dropped_total", "Spans that were not exported, by reason.", admin.Counter, "reason")
	dropped.add(st.NoRoom, "queue_full")
	dropped.add(st.Refused, "refused")
	dropped.add(st.Failed, "unreachable")
	dropped.add(st.Ended, "shutdown")
	return []admin.Metric{
		messages.Metric, dropped.Metric,
		single("weft_trace_spans_total", "Spans that were exported.", admin.Counter, st.Sent),
		single("weft_trace_queue_spans", "Spans that wait to be exported.", admin.Gauge, uint64(max(st.Waiting, 0))),
		single("weft_trace_requests_total", "Requests to the receiver of spans, repeated ones included.", admin.Counter, st.Requests),
		single("weft_trace_retries_total", "Requests to it that were repeated.", admin.Counter, st.Retries),
	}
}

// pathTrace chooses the messages of one loop that are traced, and collects their spans
// until the turn ends. The nil one chooses none.
type pathTrace struct {
	tracer *tracer
	path   *path
	tokens float64 // messages that may be traced now
	filled time.Time
	out    []*tracing.Message

	last      tracing.ID // the last trace of this turn that has ended here
	exemplars [exemplarBuckets]atomic.Pointer[exemplar]
}

// chosen begins the span of a message that a listener's chain is about to get, one of so
// many, or that comes back out of a plugin's hands; nil if it is not traced.
func (t *pathTrace) chosen(m *abi.Message, hook abi.Hook, batch int) *tracing.Message {
	if t == nil {
		return nil
	}
	parent, there := t.parentOf(m)
	if hook == abi.HookResume {
		if !there || !parent.Sampled || !t.mayHave() {
			return nil
		}
		span := t.begin(m, parent, batch)
		span.Kind, span.Begin = tracing.Internal, t.path.now
		return span
	}
	if !t.decide(parent, there) {
		return nil
	}
	span := t.begin(m, parent, batch)
	span.Remote = there
	t.stamp(m, span)
	return span
}

// entering is chosen for a message that comes past all chains.
func (t *pathTrace) entering(m *abi.Message, begins bool) *tracing.Message {
	if t == nil {
		return nil
	}
	if _, there := t.parentOf(m); !there && !begins {
		return nil
	}
	return t.chosen(m, abi.HookMessages, 0)
}

// parentOf reads the trace context that a message came with.
func (t *pathTrace) parentOf(m *abi.Message) (tracing.Context, bool) {
	if len(m.Attrs) == 0 {
		return tracing.Context{}, false
	}
	value, ok := m.Attrs.Get(tracing.Parent)
	if !ok {
		return tracing.Context{}, false
	}
	return tracing.ParseParent(value)
}

// decide tells whether a message is traced: as who had it before has decided, or by
// chance.
func (t *pathTrace) decide(parent tracing.Context, there bool) bool {
	c := &t.tracer.begun
	if there && t.tracer.trust {
		if !parent.Sampled {
			return false
		}
		c = &t.tracer.continued
	} else if below := t.tracer.below; below == 0 || below != math.MaxUint64 && rand.Uint64() >= below {
		return false
	}
	if !t.mayHave() {
		return false
	}
	c.Add(1)
	return true
}

// allowed tells whether one more may be traced: who sends messages may want all of them
// to be.
func (t *pathTrace) allowed() bool {
	if t.tokens < 1 {
		now := time.Now()
		t.tokens = min(t.tracer.burst(), t.tokens+now.Sub(t.filled).Seconds()*t.tracer.rate)
		t.filled = now
		if t.tokens < 1 {
			return false
		}
	}
	t.tokens--
	return true
}

// begin begins the span of a message: under its parent, if it has one.
func (t *pathTrace) begin(m *abi.Message, parent tracing.Context, batch int) *tracing.Message {
	p := t.path
	span := tracing.NewMessage()
	span.Trace, span.Parent, span.Span = parent.Trace, parent.Span, tracing.NewSpanID()
	if span.Trace.IsZero() {
		span.Trace = tracing.NewID()
	} else if state, ok := m.Attrs.Get(tracing.State); ok && len(state) <= tracing.MaxState {
		span.State = string(state)
	}
	span.Begin, span.Topic, span.Size, span.Batch = m.Time, tracing.Text(m.Topic), len(m.Payload), batch
	span.Listener = p.setup.nameOf(m.Listener)
	if int(m.Listener) < len(p.setup.listeners) {
		span.Protocol = p.setup.listeners[m.Listener].protocol
	}
	if m.Session != 0 {
		span.Session = maphash.Comparable(t.tracer.seed, m.Session)
	}
	return span
}

// stamp gives a message the context that it goes on with: its span is the parent of what
// follows, wherever that is.
func (t *pathTrace) stamp(m *abi.Message, span *tracing.Message) {
	p := t.path
	start := len(p.scratch)
	var text [64]byte
	parent := tracing.AppendParent(text[:0], tracing.Context{Trace: span.Trace, Span: span.Span, Sampled: true})
	block := abi.Attributes(p.scratch).Append(tracing.Parent, parent)
	for name, value := range m.Attrs.All() {
		switch string(name) {
		case tracing.Parent:
		case tracing.State:
			if span.State != "" {
				block = block.Append(tracing.State, value)
			}
		default:
			block = block.Append(string(name), value)
		}
	}
	if len(block)-start > abi.MaxAttrs {
		p.scratch = block[:start]
		return // it is traced here, and goes on as it came
	}
	p.scratch, m.Attrs = block, block[start:len(block):len(block)]
	m.FrameStale = m.FrameStale || p.carriesTrace(m)
}

// carriesTrace tells whether the frame that was received would carry the context that
// the message came with to who gets it as it is.
func (p *path) carriesTrace(m *abi.Message) bool {
	if m.Frame == nil || int(m.Listener) >= len(p.setup.listeners) {
		return false
	}
	l := p.setup.listeners[m.Listener]
	if l.format != nil {
		return l.format.HasPart(tracing.Parent)
	}
	if from := p.peer(m.Session); from != nil {
		c, ok := from.said.(*mqttConn)
		return ok && c.version == packet.V5
	}
	return true
}

// end ends a message's span.
func (t *pathTrace) end(span *tracing.Message) {
	span.End = time.Now().UnixNano()
	t.out = append(t.out, span)
	t.last = span.Trace
	if len(t.out) >= maxTraced {
		t.post()
	}
}

// logContext is the context of a log line about the message: a line about one that is
// traced has its trace_id.
func (p *path) logContext(m *abi.Message) context.Context {
	if f := p.tail.of(m); f != nil && f.span != nil {
		return logging.WithTrace(p.server.ctx, f.span.Trace.String())
	}
	return p.server.ctx
}

// maxTraced is how many messages' spans a loop hands over at once.
const maxTraced = 256

// post hands over what the turn has collected.
func (t *pathTrace) post() {
	if len(t.out) > 0 {
		t.tracer.exporter.Offer(t.out)
		t.out = nil
	}
}

// spanStep is the call of a plugin as its span shows it.
func spanStep(p *plugins.Plugin, s *plugins.Seen, cost plugins.Cost) tracing.Step {
	o := &s.Outcome
	step := tracing.Step{
		Plugin: p.Name(), Generation: o.Generation, Verdict: o.Verdict.String(),
		Begin: cost.Began.UnixNano(), End: cost.Began.Add(cost.Took).UnixNano(),
		Fuel: cost.Fuel / uint64(max(cost.Messages, 1)), Messages: cost.Messages, Emitted: len(s.Emitted),
	}
	if step.Generation == 0 { // it let the message go on
		step.Generation = p.Generation()
	}
	if o.Verdict == abi.VerdictDrop || o.Verdict == abi.VerdictClose {
		step.Text = tracing.Text(o.Out)
	}
	if o.Cause != plugins.CauseNone && o.Cause != plugins.CausePlugin {
		step.Cause, step.Failed = o.Cause.String(), true
		if words := o.Failure(); words != "" {
			step.Text = tracing.Text([]byte(words))
		}
	}
	if o.Changes != 0 {
		step.Changed = changedNames(o.Changes)
	}
	return step
}

// changedNames are the parts of a message that a plugin has changed.
func changedNames(c abi.Changes) string {
	var names []string
	for _, one := range [...]struct {
		bit  abi.Changes
		name string
	}{
		{abi.ChangedTopic, "topic"}, {abi.ChangedAttrs, "attributes"}, {abi.ChangedContext, "context"}, {abi.ChangedPayload, "payload"},
		{abi.ChangedSeq, "seq"}, {abi.ChangedType, "type"}, {abi.ChangedPriority, "priority"}, {abi.ChangedQoS, "qos"},
	} {
		if c&one.bit != 0 {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, ",")
}

// spanPlace is a destination as a span shows it.
func spanPlace(kind abi.DestinationKind, name []byte) string {
	if len(name) == 0 {
		return placeNames[kind]
	}
	to := placeNames[kind]
	if kind == abi.ToSubscribers {
		to = "topic"
	}
	return to + ":" + tracing.Text(name)
}
