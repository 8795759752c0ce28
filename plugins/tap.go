package plugins

import (
	"slices"
	"time"

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
	Saw(hook abi.Hook, seen []Seen, cost Cost)
}

// Choosy is a Tap that does not look at everything: what it does not look at costs
// next to nothing.
type Choosy interface {
	Tap
	// Looks is asked before each run of a chain, with the messages of its batch, by
	// the Whole chain's tap, and before each call of a place, without them. False:
	// Saw is not called for it.
	Looks(hook abi.Hook, messages []abi.Message) bool
	// Wants is asked, where Looks has answered true, for each message of the batch, by
	// the place that it had in it when the run began: Saw is shown those alone.
	Wants(origin int32) bool
}

// Cost is what a call has taken, or a run of the Whole chain.
type Cost struct {
	// Began is when the call, or the run, began.
	Began time.Time
	Took  time.Duration
	// Messages is how many messages it was about, those that the tap does not want
	// included.
	Messages int
	// Fuel is what the place's generations have spent; 0 of the Whole chain.
	Fuel uint64
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
	choosy, _ := t.(Choosy)
	*at = &tapPoint{tap: t, choosy: choosy}
}

// tapPoint is a tap with what it needs during a call. The nil one does nothing.
type tapPoint struct {
	tap           Tap
	choosy        Choosy // nil: it looks at everything
	skips         bool   // it does not look at the call that is under way
	began         time.Time
	fuel          uint64
	list          []int32       // of the messages that it wants
	all           int           // how many there were
	given         []abi.Message // of a place: as list; of the whole chain: by origin
	changes       []abi.Changes
	seen          []Seen
	emitted       []abi.Message
	subscriptions []Subscription
	first         map[uint64]int // of each session, its first message
	subscribed    int            // subscriptions of the batch before the call
}

// before notes the messages that a plugin is about to get. Until after, the
// outcomes hold only the changes that it makes.
func (t *tapPoint) before(h *hop, b *Batch, hook abi.Hook, live []int32) {
	if t == nil {
		return
	}
	if t.skips = t.choosy != nil && !t.choosy.Looks(hook, nil); t.skips {
		return
	}
	t.list, t.all, t.subscribed = t.list[:0], len(live), len(b.Subscriptions)
	t.given, t.changes = t.given[:0], t.changes[:0]
	for _, i := range live {
		if !t.wants(b.Outcomes[i].Origin) {
			continue
		}
		t.list = append(t.list, i)
		t.given = append(t.given, b.Messages[i])
		t.changes = append(t.changes, b.Outcomes[i].Changes)
		b.Outcomes[i].Changes = 0
	}
	t.fuel, t.began = h.fuel(), time.Now()
}

// after shows what became of them. The emitted messages still wait.
func (t *tapPoint) after(h *hop, b *Batch, hook abi.Hook) {
	if t == nil || t.skips {
		return
	}
	place, cost := h.index, Cost{Began: t.began, Took: time.Since(t.began), Fuel: h.fuel() - t.fuel, Messages: t.all}
	t.seen, t.emitted = t.seen[:0], t.emitted[:0]
	if len(t.list) == 0 {
		return
	}
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
	t.show(b, hook, cost)
	clear(t.given)
}

// beforeAll notes the messages that a chain is about to get.
func (t *tapPoint) beforeAll(b *Batch, hook abi.Hook) {
	if t == nil {
		return
	}
	if t.skips = t.choosy != nil && !t.choosy.Looks(hook, b.Messages); t.skips {
		return
	}
	t.began, t.all, t.subscribed = time.Now(), len(b.Messages), len(b.Subscriptions)
	t.list, t.given = t.list[:0], slices.Grow(t.given[:0], t.all)[:t.all]
	for i := range b.Messages {
		if t.wants(int32(i)) {
			t.list, t.given[i] = append(t.list, int32(i)), b.Messages[i]
		}
	}
}

// wants tells whether the message that came so into the batch is to be shown.
func (t *tapPoint) wants(origin int32) bool { return t.choosy == nil || t.choosy.Wants(origin) }

// afterAll shows what a chain has made of them.
func (t *tapPoint) afterAll(b *Batch, hook abi.Hook) {
	if t == nil || t.skips {
		return
	}
	cost := Cost{Began: t.began, Took: time.Since(t.began), Messages: t.all}
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
		if o.Origin < 0 || int(o.Origin) >= len(t.given) || !t.wants(o.Origin) {
			continue
		}
		from, to := at, at
		for k := i + 1; k < len(b.Messages) && b.Outcomes[k].Emitted; k++ {
			to++
		}
		t.seen = append(t.seen, Seen{Before: t.given[o.Origin], After: &b.Messages[i], Outcome: o, Emitted: t.emitted[from:to]})
	}
	t.show(b, hook, cost)
	for _, origin := range t.list {
		t.given[origin] = abi.Message{}
	}
	t.given = t.given[:0]
}

// show hands over what was gathered and forgets it.
func (t *tapPoint) show(b *Batch, hook abi.Hook, cost Cost) {
	t.assign(b.Subscriptions[t.subscribed:])
	if hook != abi.HookTick && len(t.seen) > 0 {
		t.tap.Saw(hook, t.seen, cost)
	}
	clear(t.seen)
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
