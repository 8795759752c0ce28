package plugins

import (
	"slices"

	"github.com/weftrun/weft/abi"
)

// Tap is shown the messages that reach a place of a chain, and what became of
// them there.
type Tap interface {
	// Saw is called on the chain's goroutine after each call of the place, for the
	// hooks open, messages, close and resume. What it is shown is valid until it
	// returns, and is not to be changed. A place sees what it paused with the verdict
	// pause, and again with what it became when it was resumed. The Whole chain sees
	// what it held by resume alone, as it was held.
	Saw(hook abi.Hook, seen []Seen)
}

// Seen is one message at a place, before and after.
type Seen struct {
	Before abi.Message
	After  *abi.Message
	// Outcome is what this place decided: Changes, Verdict, Out and the cause are
	// its own, not those of the places before. Plugin is -1 if it did not decide.
	Outcome Outcome
	// Emitted is the messages that were made because of this one: by the plugin,
	// or, of the whole chain, as they left it.
	Emitted []abi.Message
	// Subscriptions is what plugins subscribed the message's session to. Those of
	// several messages of a session in one batch are with the first.
	Subscriptions []Subscription
}

// Whole is the place that stands for a chain as a whole.
const Whole = -1

// Tap lets t see what reaches plugin place, as Outcome.Plugin counts, or the
// Whole chain; nil ends that. A place has one tap. It is called on the chain's
// goroutine, between runs. A place without a tap costs one comparison a call.
func (c *Chain) Tap(place int, t Tap) {
	at := &c.tap
	if place != Whole {
		at = &c.hops[place].tap
	}
	if t == nil {
		*at = nil
		return
	}
	*at = &tapPoint{tap: t}
}

// tapPoint is a tap with what it needs during a call. The nil one does nothing.
type tapPoint struct {
	tap           Tap
	list          []int32
	given         []abi.Message
	changes       []abi.Changes
	seen          []Seen
	emitted       []abi.Message
	subscriptions []Subscription
	first         map[uint64]int // of each session, its first message
	subscribed    int            // subscriptions of the batch before the call
}

// before notes the messages that a plugin is about to get. Until after, the
// outcomes hold only the changes that it makes.
func (t *tapPoint) before(b *Batch, live []int32) {
	if t == nil {
		return
	}
	t.list, t.subscribed = append(t.list[:0], live...), len(b.Subscriptions)
	t.given, t.changes = t.given[:0], t.changes[:0]
	for _, i := range live {
		t.given = append(t.given, b.Messages[i])
		t.changes = append(t.changes, b.Outcomes[i].Changes)
		b.Outcomes[i].Changes = 0
	}
}

// after shows what became of them. The emitted messages still wait.
func (t *tapPoint) after(b *Batch, place int16, hook abi.Hook) {
	if t == nil {
		return
	}
	t.seen, t.emitted = t.seen[:0], t.emitted[:0]
	for i := range b.emits {
		t.emitted = append(t.emitted, b.emits[i].message)
	}
	at := 0
	for n, i := range t.list {
		for at < len(b.emits) && b.emits[at].after < i {
			at++
		}
		from := at
		for at < len(b.emits) && b.emits[at].after == i {
			at++
		}
		o := b.Outcomes[i]
		if o.Plugin != place {
			o.Verdict, o.Out, o.Plugin, o.Generation, o.Cause = abi.VerdictContinue, nil, Whole, 0, CauseNone
		}
		t.seen = append(t.seen, Seen{Before: t.given[n], After: &b.Messages[i], Outcome: o, Emitted: t.emitted[from:at]})
		b.Outcomes[i].Changes |= t.changes[n]
	}
	t.show(b, hook)
}

// beforeAll notes the messages that a chain is about to get.
func (t *tapPoint) beforeAll(b *Batch) {
	if t == nil {
		return
	}
	t.given, t.subscribed = append(t.given[:0], b.Messages...), len(b.Subscriptions)
}

// afterAll shows what a chain has made of them.
func (t *tapPoint) afterAll(b *Batch, hook abi.Hook) {
	if t == nil {
		return
	}
	t.seen, t.emitted = t.seen[:0], t.emitted[:0]
	for i := range b.Messages {
		if b.Outcomes[i].Emitted {
			t.emitted = append(t.emitted, b.Messages[i])
		}
	}
	at := 0
	for i := range b.Messages {
		o := b.Outcomes[i]
		if o.Emitted {
			at++
			continue
		}
		if o.Origin < 0 || int(o.Origin) >= len(t.given) {
			continue
		}
		from, to := at, at
		for k := i + 1; k < len(b.Messages) && b.Outcomes[k].Emitted; k++ {
			to++
		}
		t.seen = append(t.seen, Seen{Before: t.given[o.Origin], After: &b.Messages[i], Outcome: o, Emitted: t.emitted[from:to]})
	}
	t.show(b, hook)
}

// show hands over what was gathered and forgets it.
func (t *tapPoint) show(b *Batch, hook abi.Hook) {
	t.assign(b.Subscriptions[t.subscribed:])
	if hook != abi.HookTick && len(t.seen) > 0 {
		t.tap.Saw(hook, t.seen)
	}
	clear(t.seen)
	clear(t.given)
	clear(t.emitted)
}

// assign gives each subscription to the first message of its session.
func (t *tapPoint) assign(list []Subscription) {
	if len(list) == 0 {
		return
	}
	if t.first == nil {
		t.first = make(map[uint64]int)
	}
	clear(t.first)
	for n := range t.seen {
		session := t.seen[n].Before.Session
		if _, there := t.first[session]; !there && session != 0 {
			t.first[session] = n
		}
	}
	t.subscriptions = t.subscriptions[:0]
	for _, sub := range list {
		if _, there := t.first[sub.Session]; there {
			t.subscriptions = append(t.subscriptions, sub)
		}
	}
	slices.SortStableFunc(t.subscriptions, func(x, y Subscription) int { return t.first[x.Session] - t.first[y.Session] })
	for rest := t.subscriptions; len(rest) > 0; {
		session, n := rest[0].Session, 1
		for n < len(rest) && rest[n].Session == session {
			n++
		}
		t.seen[t.first[session]].Subscriptions = rest[:n:n]
		rest = rest[n:]
	}
}
