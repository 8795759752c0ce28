package server

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/tracing"
)

// pathTail follows some messages on their way on one loop, for those who look, and for
// traces. A path has one only while somebody looks or traces are exported.
type pathTail struct {
	path   *path
	tails  []*tailing
	trace  *pathTrace // nil: no traces
	tokens float64    // messages that tails may look at now
	filled time.Time

	run     []*followed                // of the chain that runs, by origin; nil for those that are not followed
	running int                        // of them, those that are
	causes  []*tracing.Message         // of the chain that runs, by origin; nil for those that are not traced
	way     map[*abi.Message]*followed // of those that have left a chain
	staged  []*followed                // of the messages that wait in the open stage; nil for those that are not followed
	current *followed                  // the one that is being settled
}

// followed is one message that is followed.
type followed struct {
	shown *weftv1.TailMessage // for tails; nil: for none
	span  *tracing.Message    // nil: it is not traced
	began time.Time
	cut   int
	at    *abi.Message // while it is settled
	some  bool         // it went somewhere
	ended bool
	waits bool // in a stage
}

// lookedPerSecond bounds what a loop looks at where a tail chooses by what becomes of a
// message.
const lookedPerSecond = 4000

func newPathTail(p *path, tails []*tailing, trace *pathTrace) *pathTail {
	if len(tails) == 0 && trace == nil {
		return nil
	}
	return &pathTail{path: p, tails: tails, trace: trace, tokens: lookedPerSecond, filled: time.Now(), way: map[*abi.Message]*followed{}}
}

// looks tells whether something is followed of what a chain is about to get: of a
// listener's what was chosen, of a route's what is followed already, and of what comes
// back after a plugin has paused it what is chosen now.
func (t *pathTail) looks(listener int, hook abi.Hook, messages []abi.Message) bool {
	switch {
	case hook == abi.HookMessages && listener >= 0:
		// They were chosen before the run.
	case hook == abi.HookMessages:
		t.forget()
		for i, f := range t.staged {
			if f != nil {
				t.followAt(i, f)
			}
		}
		clear(t.staged)
		t.staged = t.staged[:0]
	case hook == abi.HookResume:
		t.choose(hook, messages)
	default:
		t.forget()
	}
	return t.running > 0
}

// forget ends with the chain that ran last.
func (t *pathTail) forget() {
	clear(t.run)
	t.run, t.running = t.run[:0], 0
	t.forgetCauses()
}

// followAt follows the message that came so into the batch.
func (t *pathTail) followAt(origin int, f *followed) {
	for len(t.run) <= origin {
		t.run = append(t.run, nil)
	}
	if t.run[origin] == nil {
		t.running++
	}
	t.run[origin] = f
	if f.span != nil {
		t.causedBy(origin, f.span)
	}
}

// origin is what follows the message that came so into the batch, if it is followed.
func (t *pathTail) origin(origin int32) *followed {
	if t == nil || origin < 0 || int(origin) >= len(t.run) {
		return nil
	}
	return t.run[origin]
}

// choose chooses among messages that a chain is about to get, for tails and for traces.
// It gives those that are traced afresh the trace context that they go on with.
func (t *pathTail) choose(hook abi.Hook, messages []abi.Message) {
	t.forget()
	count := 0
	if len(t.tails) > 0 {
		for _, one := range t.tails {
			one.passed.Add(uint64(len(messages)))
		}
		count = t.allow(len(messages))
	}
	if count == 0 && t.trace == nil {
		return
	}
	var began time.Time
	batch := uint64(0)
	for i := range messages {
		m := &messages[i]
		var f *followed
		if i < count && t.wanted(m) {
			if batch == 0 {
				began, batch = time.Now(), t.tails[0].owner.batches.Add(1)
			}
			f = t.follow(m, began)
			f.shown.Batch, f.shown.BatchSize, f.shown.Resumed = batch, uint32(len(messages)), hook == abi.HookResume
		}
		if span := t.trace.chosen(m, hook, len(messages)); span != nil {
			if f == nil {
				f = &followed{}
			}
			f.span = span
		}
		if f != nil {
			t.followAt(i, f)
		}
	}
	for _, one := range t.tails {
		one.looked.Add(uint64(count))
	}
}

// allow answers how many of n messages are looked at.
func (t *pathTail) allow(n int) int {
	rate := 0.0
	for _, one := range t.tails {
		if one.selective {
			rate = lookedPerSecond
			break
		}
		rate += 2 * float64(one.options.Rate)
	}
	now := time.Now()
	t.tokens = min(rate, t.tokens+now.Sub(t.filled).Seconds()*rate)
	t.filled = now
	n = min(n, int(t.tokens))
	t.tokens -= float64(n)
	return n
}

// wanted tells whether some tail may want the message, by what is known beforehand.
func (t *pathTail) wanted(m *abi.Message) bool {
	for _, one := range t.tails {
		if (one.listener < 0 || one.listener == int(m.Listener)) && (one.session == 0 || one.session == m.Session) {
			return true
		}
	}
	return false
}

// follow begins to follow a message.
func (t *pathTail) follow(m *abi.Message, began time.Time) *followed {
	f := &followed{began: began, cut: t.cut()}
	f.shown = &weftv1.TailMessage{
		Time: timestamppb.New(time.Unix(0, m.Time)), Listener: t.path.setup.nameOf(m.Listener), Topic: f.text(m.Topic),
		Attributes: map[string]string{}, Payload: cloneBytes(m.Payload[:min(len(m.Payload), f.cut)]), Size: uint64(len(m.Payload)),
		Priority: uint32(m.Priority), Qos: uint32(m.QoS),
	}
	for name, value := range m.Attrs.All() {
		f.shown.Attributes[f.text(name)] = f.text(plugins.Shown(name, value))
	}
	if m.Session != 0 && !isStay(m.Session) && !isAPI(m.Session) {
		f.shown.Connection = engine.ConnID(m.Session).String()
		if from := t.path.peer(m.Session); from != nil {
			f.shown.Remote = from.conn.Remote().String()
		}
	}
	return f
}

// cut is the most that any tail shows of a value.
func (t *pathTail) cut() int {
	most := 0
	for _, one := range t.tails {
		most = max(most, one.options.Cut)
	}
	return most
}

// text is a value as people read it.
func (f *followed) text(b []byte) string {
	if len(b) > f.cut {
		b = b[:f.cut]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// saw notes what a place of a chain, or the whole one, did with what is followed.
func (t *pathTail) saw(chain *plugins.Chain, place int, seen []plugins.Seen, cost plugins.Cost) {
	if t.running == 0 {
		return
	}
	for i := range seen {
		s := &seen[i]
		f := t.origin(s.Outcome.Origin)
		switch {
		case f == nil || s.Outcome.Emitted:
		case place == plugins.Whole:
			t.way[s.After] = f
			t.run[s.Outcome.Origin] = nil
			t.running--
		default:
			f.step(chain.Plugin(place), s, cost)
		}
	}
}

// held ends with a chain's run: what is followed and has not left the chain is held in it.
func (t *pathTail) held(b *plugins.Batch) {
	if len(t.causes) > 0 {
		t.emitted(b)
	}
	if t.running == 0 {
		return
	}
	for _, f := range t.run {
		if f != nil {
			f.result("paused")
			t.show(f)
		}
	}
	t.forget()
}

// abandon forgets what a panic has cost.
func (t *pathTail) abandon() {
	if t == nil {
		return
	}
	t.forget()
	clear(t.way)
	clear(t.staged)
	t.staged, t.current = t.staged[:0], nil
}

// step notes what one plugin did.
func (f *followed) step(p *plugins.Plugin, s *plugins.Seen, cost plugins.Cost) {
	if f.shown != nil {
		f.showStep(p.Name(), s, cost, cost.Messages)
	}
	if f.span != nil {
		f.span.Step(spanStep(p, s, cost))
	}
}

// showStep is step for tails.
func (f *followed) showStep(plugin string, s *plugins.Seen, cost plugins.Cost, messages int) {
	o := &s.Outcome
	step := &weftv1.TailStep{
		Plugin: plugin, Generation: o.Generation, Verdict: o.Verdict.String(), Out: f.text(o.Out),
		Took: durationpb.New(cost.Took / time.Duration(messages)), Fuel: cost.Fuel / uint64(messages), CallMessages: uint32(messages),
		Emitted: uint32(len(s.Emitted)), Subscriptions: uint32(len(s.Subscriptions)),
	}
	if o.Cause != plugins.CauseNone {
		step.Cause = o.Cause.String()
		if words := o.Failure(); words != "" {
			step.Out = f.text([]byte(words))
		}
	}
	change := func(what, before, after string) {
		if before != after {
			step.Changes = append(step.Changes, &weftv1.TailChange{What: what, Before: before, After: after})
		}
	}
	a, b := &s.Before, s.After
	if o.Changes&abi.ChangedTopic != 0 {
		change("topic", f.text(a.Topic), f.text(b.Topic))
	}
	if o.Changes&abi.ChangedAttrs != 0 {
		for name, value := range b.Attrs.All() {
			was, _ := a.Attrs.Get(string(name))
			change("attribute "+f.text(name), f.text(plugins.Shown(name, was)), f.text(plugins.Shown(name, value)))
		}
		for name, value := range a.Attrs.All() {
			if _, ok := b.Attrs.Get(string(name)); !ok {
				change("attribute "+f.text(name), f.text(plugins.Shown(name, value)), "")
			}
		}
	}
	if o.Changes&abi.ChangedPayload != 0 {
		change("payload", f.text(a.Payload), f.text(b.Payload))
	}
	if o.Changes&abi.ChangedType != 0 {
		change("type", a.Type.String(), b.Type.String())
	}
	if o.Changes&abi.ChangedPriority != 0 {
		change("priority", fmt.Sprint(a.Priority), fmt.Sprint(b.Priority))
	}
	if o.Changes&abi.ChangedQoS != 0 {
		change("qos", fmt.Sprint(a.QoS), fmt.Sprint(b.QoS))
	}
	f.shown.Steps = append(f.shown.Steps, step)
}

// settling begins with a message that has left its chain; what it answers goes to
// settled.
func (t *pathTail) settling(m *abi.Message) (outer *followed) {
	outer = t.current
	if t.current = t.way[m]; t.current != nil {
		t.current.at, t.current.waits = m, false
		delete(t.way, m)
	}
	return outer
}

// entering begins with a message that comes past all chains; what it answers goes to
// settled. A trace may begin with it, or only be gone on with.
func (t *pathTail) entering(m *abi.Message, begins bool) (outer *followed) {
	outer, t.current = t.current, nil
	if span := t.trace.entering(m, begins); span != nil {
		t.current = &followed{span: span, at: m}
	}
	return outer
}

// settled ends with it.
func (t *pathTail) settled(outer *followed) {
	f := t.current
	t.current = outer
	if f == nil || f.waits {
		return
	}
	if f.shown != nil {
		if topic := f.text(f.at.Topic); topic != f.shown.GetTopic() {
			f.shown.TopicAfter = topic
		}
	}
	if !f.ended {
		f.result("waiting")
	}
	t.show(f)
}

// result notes what has become of the message so far.
func (f *followed) result(result string) {
	if f.shown != nil {
		f.shown.Result = result
	}
	if f.span != nil {
		f.span.Result = result
	}
}

// of is what is known of a message, if it is the one that is settled.
func (t *pathTail) of(m *abi.Message) *followed {
	if t == nil || t.current == nil || t.current.at != m {
		return nil
	}
	return t.current
}

// stages notes that a message waits for its route's chain, whether or not it is
// followed.
func (t *pathTail) stages(m *abi.Message) {
	f := t.of(m)
	if f != nil {
		f.waits = true
	}
	t.staged = append(t.staged, f)
}

// placeNames are the words of the configuration for destinations.
var placeNames = map[abi.DestinationKind]string{
	abi.ToSubscribers: "subscribers", abi.ToNode: "node", abi.ToAll: "all", abi.ToQueue: "queue",
	abi.ToUpstream: "upstream", abi.ToReply: "reply", abi.ToDeadLetter: "dead-letter",
}

// went notes to where a message went, and how many took it.
func (f *followed) went(kind abi.DestinationKind, name []byte, copies int) {
	f.some = true
	if f.span != nil {
		f.span.Place(tracing.Place{To: spanPlace(kind, name), Copies: copies})
	}
	if f.shown == nil {
		return
	}
	to := placeNames[kind]
	if len(name) > 0 {
		if kind == abi.ToSubscribers {
			to = "topic"
		}
		to += ":" + f.text(name)
	}
	f.shown.Places = append(f.shown.Places, &weftv1.TailPlace{To: to, Copies: uint32(copies)})
	f.shown.Copies += uint32(copies)
}

// logged notes that a message was handed to its route's log.
func (f *followed) logged() {
	f.some = true
	if f.shown != nil {
		f.shown.Places = append(f.shown.Places, &weftv1.TailPlace{To: "log"})
	}
	if f.span != nil {
		f.span.Place(tracing.Place{To: "log"})
	}
}

// routed notes the route that a message takes.
func (f *followed) routed(name string) {
	if f.shown != nil {
		f.shown.Route = name
	}
	if f.span != nil {
		f.span.Route = name
	}
}

// end notes what became of a message.
func (f *followed) end(result string, why delivery.Reason) {
	if f.ended {
		return
	}
	f.ended = true
	f.result(result)
	if result != "dropped" {
		return
	}
	if f.shown != nil {
		f.shown.Reason = why.String()
	}
	if f.span != nil {
		f.span.Reason = why.String()
	}
}

// endAs is end by how many copies were taken.
func (f *followed) endAs(copies int, why delivery.Reason) {
	if !f.some {
		f.went(abi.ToSubscribers, nil, copies)
	}
	switch {
	case copies == 0:
		f.end("dropped", why)
	case why == asDeadLetter:
		f.end("dead", 0)
	default:
		f.end("delivered", 0)
	}
}

// show offers what was followed to every tail.
func (t *pathTail) show(f *followed) {
	if f.span != nil {
		t.trace.end(f.span)
	}
	if f.shown == nil {
		return
	}
	f.shown.Took = durationpb.New(time.Since(f.began))
	for _, one := range t.tails {
		one.offer(f.shown)
	}
}
