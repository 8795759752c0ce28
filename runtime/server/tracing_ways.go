package server

import (
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/tracing"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

// Beside a message's own span there are those of what follows from it: what plugins make
// of it, what comes out of the log that it went into, and what pools do with it.

// emitted begins the spans of what plugins have made while they were called with messages
// that are traced. It goes on with its span's context. Plugins may have given it another
// one: then it is of that trace, with a link to this one, if that is recorded.
func (t *pathTail) emitted(b *plugins.Batch) {
	for i := range b.Messages {
		o := &b.Outcomes[i]
		if !o.Emitted || o.Origin < 0 || int(o.Origin) >= len(t.causes) || t.causes[o.Origin] == nil {
			continue
		}
		if span := t.trace.emitted(&b.Messages[i], t.causes[o.Origin]); span != nil {
			t.way[&b.Messages[i]] = &followed{span: span}
		}
	}
	t.forgetCauses()
}

// causedBy notes the span of the message that came so into the batch.
func (t *pathTail) causedBy(origin int, span *tracing.Message) {
	for len(t.causes) <= origin {
		t.causes = append(t.causes, nil)
	}
	t.causes[origin] = span
}

func (t *pathTail) forgetCauses() {
	clear(t.causes)
	t.causes = t.causes[:0]
}

func (t *pathTrace) emitted(m *abi.Message, cause *tracing.Message) *tracing.Message {
	from := tracing.Context{Trace: cause.Trace, Span: cause.Span}
	parent, link := from, tracing.Context{}
	if own, there := t.parentOf(m); there && own.Trace != from.Trace {
		if !own.Sampled {
			return nil
		}
		parent, link = own, from
	}
	if !t.mayHave() {
		return nil
	}
	span := t.begin(m, parent, 0)
	span.Kind, span.Begin, span.Link = tracing.Emitted, time.Now().UnixNano(), link
	t.stamp(m, span)
	return span
}

// mayHave tells whether there may be one more message that is traced, and counts it if
// not.
func (t *pathTrace) mayHave() bool {
	if t.allowed() {
		return true
	}
	t.tracer.limited.Add(1)
	return false
}

// recalling begins with an entry of a log that goes on with the trace it was kept with;
// what it answers goes to recalled.
func (t *pathTail) recalling(m *abi.Message, l *logLane, e *backbone.Entry) (outer *followed) {
	if t == nil {
		return nil
	}
	outer, t.current = t.current, nil
	if span := t.trace.recalling(m); span != nil {
		span.Route, span.Entry, span.Offered = l.route.name, e.Seq, e.Tries
		t.current = &followed{span: span, at: m}
	}
	return outer
}

func (t *pathTrace) recalling(m *abi.Message) *tracing.Message {
	if t == nil {
		return nil
	}
	parent, there := t.parentOf(m)
	if !there || !parent.Sampled || !t.mayHave() {
		return nil
	}
	span := t.begin(m, parent, 0)
	span.Kind, span.Begin = tracing.Recalled, time.Now().UnixNano()
	t.stamp(m, span)
	return span
}

// recalled ends with it. An entry that nobody here wanted, or that waits for room, has
// left no trace.
func (t *pathTail) recalled(outer *followed, wanted bool, result string, why delivery.Reason) {
	if t == nil {
		return
	}
	f := t.current
	t.current = outer
	switch {
	case f == nil:
	case !wanted:
		t.trace.tokens++
	default:
		if f.span.Result = result; result == resultDropped || result == resultAgain {
			f.span.Reason = why.String()
		}
		t.trace.end(f.span)
	}
}

// What becomes of an entry, as its span says it.
const (
	resultDelivered = "delivered"
	resultDropped   = "dropped"
	resultDead      = "dead"
	resultWaiting   = "waiting"
	resultAgain     = "again"
)

// resultOf is what has become of an entry that was offered to a work's destination.
func resultOf(o offered, why delivery.Reason) string {
	switch {
	case o == offerTaken:
		return resultDelivered
	case o == offerLate:
		return resultWaiting
	case o == offerAgain:
		return resultAgain
	case why == asDeadLetter:
		return resultDead
	}
	return resultDropped
}

// sending begins the span of a traced message's way to an upstream pool and back.
func (t *pathTail) sending(m *abi.Message, pool *upstreamPool) *tracing.Message {
	f := t.of(m)
	if f == nil || f.span == nil {
		return nil
	}
	from := f.span
	span := tracing.NewMessage()
	span.Trace, span.Parent, span.Span, span.State = from.Trace, from.Span, tracing.NewSpanID(), from.State
	span.Kind, span.Begin, span.Upstream = tracing.Sent, time.Now().UnixNano(), pool.name
	span.Topic, span.Size, span.Protocol = tracing.Text(m.Topic), len(m.Payload), pool.c.Protocol
	return span
}

// sent ends it.
func (t *pathTrace) sent(f *flight) {
	span, j := f.span, &f.job
	f.span = nil
	tries := j.Tries
	slices.SortStableFunc(tries, func(a, b transport.Try) int { return int(flag(a.Err == nil)) - int(flag(b.Err == nil)) })
	for i := range tries {
		try := &tries[i]
		text := ""
		if try.Err != nil {
			text = tracing.Text([]byte(try.Err.Error()))
		}
		span.Try(tracing.Try{Member: try.Member, End: try.End.UnixNano(), Status: try.Status, Error: text})
	}
	span.Result = resultDelivered
	if j.Err != nil {
		span.Result, span.Reason, span.Failure = resultDropped, reasonOf(j.Err).String(), tracing.Text([]byte(j.Err.Error()))
	}
	t.end(span)
}
