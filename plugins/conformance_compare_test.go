package plugins_test

import (
	"slices"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
	"github.com/weftrun/weft/plugins"
)

// compareBatch compares a batch after a run with what the step expects. before
// is its messages as they were handed in.
func compareBatch(t *testing.T, before []abi.Message, b *plugins.Batch, s vectors.Step) {
	t.Helper()
	if want := len(s.Outcomes) * s.Times; len(b.Outcomes) != want {
		t.Errorf("%d outcomes, expected %d", len(b.Outcomes), want)
	}
	origin, shown := int32(-1), 0
	var contexts []plugins.ContextChange
	for i := range min(len(b.Outcomes), len(s.Outcomes)*s.Times) {
		want := s.Outcomes[i%len(s.Outcomes)]
		from := abi.Message{Flags: abi.FlagEmitted}
		switch {
		case !want.Emitted:
			origin++
			from = before[origin]
		case origin >= 0:
			o := before[origin]
			from.Session, from.Listener, from.Time, from.Context = o.Session, o.Listener, o.Time, b.Messages[causedBy(b, i)].Context
		default:
			from.Time = b.Messages[i].Time // a tick's
		}
		got, expected := describeOutcome(b.Messages[i], b.Outcomes[i]), describeExpected(from, want, origin)
		if got != expected && shown < 5 {
			shown++
			t.Errorf("outcome %d:\n     got %s\nexpected %s", i, cut(got), cut(expected))
		}
		if abi.Changes(want.Changes)&abi.ChangedContext != 0 && from.Session != 0 {
			contexts = append(contexts, plugins.ContextChange{Session: from.Session, Context: want.Context.Encode()})
		}
	}
	var wanted []vectors.Subscription
	for range s.Times {
		wanted = append(wanted, s.Subscriptions...)
	}
	if got, want := whole(subscriptions(b)), whole(wanted); got != want {
		t.Errorf("subscriptions:\n     got %s\nexpected %s", cut(got), cut(want))
	}
	same := slices.EqualFunc(b.Contexts, contexts, func(a, b plugins.ContextChange) bool {
		return a.Session == b.Session && string(a.Context) == string(b.Context)
	})
	if !same {
		t.Errorf("contexts:\n     got %s\nexpected %s", short(b.Contexts), short(contexts))
	}
}

// causedBy is the index of the message behind which an emitted one stands.
func causedBy(b *plugins.Batch, i int) int {
	for b.Outcomes[i].Emitted {
		i--
	}
	return i
}

func subscriptions(b *plugins.Batch) []vectors.Subscription {
	var list []vectors.Subscription
	for _, s := range b.Subscriptions {
		list = append(list, vectors.Subscription{Session: s.Session, Pattern: s.Pattern, QoS: s.QoS, Remove: s.Remove})
	}
	return list
}

// result is an outcome and its message with every field, for comparing and
// showing.
type result struct {
	Verdict vectors.Verdict
	Cause   string
	Out     vectors.Bytes
	Changes vectors.Changes
	Emitted bool
	Origin  int32
	vectors.Message
	ListenerIndex uint32
}

func describeOutcome(m abi.Message, o plugins.Outcome) string {
	r := result{
		Verdict: vectors.Verdict(o.Verdict), Cause: o.Cause.String(), Out: o.Out, Changes: vectors.Changes(o.Changes), Emitted: o.Emitted,
		Origin: o.Origin, Message: plain(m), ListenerIndex: m.Listener,
	}
	return whole(r)
}

// describeExpected applies what an outcome expects to the message that it began
// with.
func describeExpected(m abi.Message, o vectors.Outcome, origin int32) string {
	r := result{
		Verdict: o.Verdict, Cause: o.Cause, Out: o.Out, Changes: o.Changes, Emitted: o.Emitted,
		Origin: origin, Message: plain(m), ListenerIndex: m.Listener,
	}
	switch {
	case o.Cause != "":
	case o.Verdict != 0:
		r.Cause = "plugin"
	default:
		r.Cause = "none"
	}
	replace(&r.Flags, o.Flags)
	replace(&r.Seq, o.Seq)
	replace(&r.Type, o.Type)
	replace(&r.Priority, o.Priority)
	replace(&r.QoS, o.QoS)
	replace(&r.Topic, o.Topic)
	replace(&r.Attributes, o.Attributes)
	replace(&r.Context, o.Context)
	replace(&r.Payload, o.Payload)
	return whole(r)
}

func replace[T any](to *T, with *T) {
	if with != nil {
		*to = *with
	}
}

// plain is a message as the golden files write it, without its listener.
func plain(m abi.Message) vectors.Message {
	return vectors.Message{
		Session: m.Session, Seq: m.Seq, Time: m.Time, Flags: vectors.Flags(m.Flags), Type: vectors.Type(m.Type), Priority: m.Priority,
		QoS: m.QoS, Topic: m.Topic, Attributes: block(m.Attrs), Context: block(m.Context), Payload: m.Payload,
	}
}

func block(a abi.Attributes) vectors.Block {
	var b vectors.Block
	for name, value := range a.All() {
		b = append(b, vectors.Attribute{Name: string(name), Value: value})
	}
	return b
}
