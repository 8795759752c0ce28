package plugins

import (
	"github.com/weftrun/weft/abi"
)

// Batch is what a chain runs over: messages in, messages and outcomes out. The
// caller appends to Messages and calls one of the chain's hooks, which fills in
// the rest; Reset makes it ready for the next turn and keeps its memory.
//
// All bytes that a run puts into a batch (changed fields, emitted messages, what
// verdicts carry) lie in the batch's own scratch memory and are valid until
// Reset. Bytes that no plugin changed are the caller's own, untouched.
//
// Payloads that follow each other in one array are handed to a plugin by a single
// copy if the capacity of the first one's Frame, or of its Payload, reaches the
// others: do not clip it.
//
// For the hooks open and close a message stands for a session: Session,
// Listener, Time, Attrs and Context count, the rest is empty.
type Batch struct {
	// Messages holds the messages in order. A run changes them in place and
	// inserts what plugins emit right behind the message that caused it. The
	// frame of a message of which a plugin changed the payload is stale; whether
	// another change makes it so the caller knows by Outcome.Changes.
	Messages []abi.Message
	// From is the first plugin that sees the messages; Reset makes it 0.
	From int16
	// Outcomes says for each message what became of it; filled in by the run.
	Outcomes []Outcome
	// Subscriptions that plugins began and ended, in order.
	Subscriptions []Subscription
	// Contexts lists the contexts that plugins changed, in order: the last one
	// of a session is what the caller keeps for it.
	Contexts []ContextChange
	// Held is how many messages the run has taken out of the batch because they
	// wait, those that plugins made not counted. Resume brings them back.
	Held int
	// Carry may say what goes with a message that is held, and with those that it
	// causes: origin is its Outcome.Origin. Nil is nothing. Reset keeps Carry.
	Carry func(origin int32) any
	// Carried is, after Resume, what went with each message, by its Origin.
	Carried []any

	again         []*held       // of a Resume, by origin
	came          []abi.Message // what messages were that plugins have changed
	bytes         arena
	spareMessages []abi.Message
	spareOutcomes []Outcome
	emits         []emit
	failures      []string // in words; outcomes point there
}

// Outcome is what the chain decided about one message.
type Outcome struct {
	// Verdict is Continue if the message is to take the configured routes. A
	// failure policy shows as Drop (closed), Continue (open) or Route with the
	// destination dead-letter (quarantine).
	Verdict abi.Verdict
	// Changes gathers what all plugins changed in the message.
	Changes abi.Changes
	// Out is what the verdict carries: a reason, an answer's payload, or
	// destinations, one a line, each of which abi.ParseDestination accepts.
	Out []byte
	// Origin is the index that the message had when the run began, or for an
	// emitted message the index of the one that caused it; -1 for what a tick
	// emitted.
	Origin int32
	// Plugin is the index in the chain of the plugin that decided, -1 if none
	// did: the message went through all of them.
	Plugin int16
	// Generation is that of the plugin, 0 if none decided.
	Generation uint64
	// Cause says why; CauseNone if the message simply went through.
	Cause Cause
	// Emitted says that a plugin made the message. After Open and Close such a
	// message is among those that stand for sessions.
	Emitted bool

	hook    abi.Hook // what the next plugins are called with
	pauses  uint8    // times that it was paused
	topic   uint64   // see order; 0: not known yet
	since   int64    // Clock.Monotonic when the plugin paused it for the first time
	again   bool     // it was held, and Resume has brought it back
	next    int16    // the first plugin that has not seen it
	only    int16    // tick and resume: the one plugin that is called
	failure *string  // in words; nil for none
}

// Failure is what went wrong, in words on one line, where a plugin failed on the
// message and its policy answered; else it is empty. It is valid until the
// batch's Reset.
func (o *Outcome) Failure() string {
	if o.failure == nil {
		return ""
	}
	return *o.failure
}

// Cause is why a message left the chain as it did.
type Cause uint8

// The causes.
const (
	CauseNone       Cause = iota // nothing happened
	CausePlugin                  // the plugin's own verdict
	CauseTrap                    // the plugin trapped on the message twice; its policy answered
	CauseFault                   // the plugin's answer broke the contract twice; its policy answered
	CauseBackOff                 // the plugin fails too often and is resting; its policy answered
	CauseBuffer                  // the plugin had no buffer for so large a message; its policy answered
	CauseFuel                    // the plugin used up its CPU budget on the message; its policy answered
	CauseDepth                   // the plugin nested its calls too deep on the message; its policy answered
	CauseLost                    // the instance that had paused the message is gone; its policy answered
	CauseHeld                    // the chain holds as much as it may: the plugin's policy answered, or the message could not wait and was dropped
	CauseDeadline                // the plugin wanted to wait longer than the message may; its policy answered
	CauseEnded                   // the message was held when its session ended
	CauseConversion              // the payload could not be converted for the plugin; its policy answered
)

// String is the cause's name as it appears in logs and metrics.
func (c Cause) String() string {
	switch c {
	case CauseNone:
		return "none"
	case CausePlugin:
		return "plugin"
	case CauseTrap:
		return "trap"
	case CauseFault:
		return "fault"
	case CauseBackOff:
		return "back_off"
	case CauseBuffer:
		return "buffer"
	case CauseFuel:
		return "fuel"
	case CauseDepth:
		return "depth"
	case CauseLost:
		return "lost"
	case CauseDeadline:
		return "deadline"
	case CauseHeld:
		return "held"
	case CauseEnded:
		return "ended"
	case CauseConversion:
		return "conversion"
	}
	return "unknown"
}

// Subscription is a plugin's wish that a session be subscribed to a pattern.
type Subscription struct {
	Session uint64
	Pattern []byte
	QoS     uint8
	// Remove ends the subscription instead.
	Remove bool
	// Plugin is the index in the chain of the plugin.
	Plugin int16

	after int32 // the message that caused it, as long as its plugin is at it
}

// ContextChange is a new context of a session. It replaces the whole block.
type ContextChange struct {
	Session uint64
	Context abi.Attributes
}

// emit is a message that waits to be put behind the one at index after.
type emit struct {
	message abi.Message
	origin  int32
	after   int32
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Messages)
	b.Messages = b.Messages[:0]
	b.Outcomes = b.Outcomes[:0]
	b.Subscriptions = b.Subscriptions[:0]
	b.Contexts = b.Contexts[:0]
	b.Held, b.From = 0, 0
	if len(b.again) > 0 {
		clear(b.again)
		clear(b.Carried)
		b.again, b.Carried = b.again[:0], b.Carried[:0]
	}
	b.emits = b.emits[:0]
	clear(b.came)
	b.came = b.came[:0]
	clear(b.failures)
	b.failures = b.failures[:0]
	b.bytes.reset()
}

// keep notes what a message is before something of it changes for the first time.
func (b *Batch) keep(m *abi.Message) {
	if !m.Changed {
		b.came = append(b.came, *m) // what grows it leaves the older ones where they are
		m.Changed, m.Came = true, &b.came[len(b.came)-1]
	}
}

// begin prepares the outcomes of a run.
func (b *Batch) begin(hook abi.Hook) {
	b.failures = b.failures[:0]
	n := len(b.Messages)
	if cap(b.Outcomes) < n {
		b.Outcomes = make([]Outcome, n, max(n, 64))
	}
	b.Outcomes = b.Outcomes[:n]
	for i := range b.Outcomes {
		b.Outcomes[i] = Outcome{Origin: int32(i), Plugin: -1, hook: hook, next: b.From}
	}
}

// insertEmits puts the waiting messages to their places. They lie in b.emits in
// the order of the messages that caused them.
func (b *Batch) insertEmits(next int16) {
	if len(b.emits) == 0 {
		return
	}
	messages, outcomes := b.spareMessages[:0], b.spareOutcomes[:0]
	at := 0
	for i := range b.Messages {
		messages, outcomes = append(messages, b.Messages[i]), append(outcomes, b.Outcomes[i])
		for at < len(b.emits) && int(b.emits[at].after) == i {
			e := &b.emits[at]
			messages = append(messages, e.message)
			outcomes = append(outcomes, Outcome{
				Origin: e.origin, Plugin: -1, Emitted: true, hook: abi.HookMessages, next: next,
			})
			orderOf(&e.message, &outcomes[len(outcomes)-1])
			at++
		}
	}
	clear(b.Messages)
	b.spareMessages, b.Messages = b.Messages[:0], messages
	b.spareOutcomes, b.Outcomes = b.Outcomes[:0], outcomes
	b.emits = b.emits[:0]
}

// cut leaves the first n messages.
func (b *Batch) cut(n int) {
	clear(b.Messages[n:])
	b.Messages, b.Outcomes = b.Messages[:n], b.Outcomes[:n]
}

// carry is what goes with the message of that origin.
func (b *Batch) carry(origin int32) any {
	switch {
	case origin < 0:
		return nil
	case len(b.again) > 0:
		return b.Carried[origin]
	case b.Carry != nil:
		return b.Carry(origin)
	}
	return nil
}

// dropTicks removes what stood for ticks.
func (b *Batch) dropTicks() {
	n := 0
	for i := range b.Messages {
		if b.Outcomes[i].hook == abi.HookTick {
			continue
		}
		b.Messages[n], b.Outcomes[n] = b.Messages[i], b.Outcomes[i]
		b.Outcomes[n].Origin = -1
		n++
	}
	b.cut(n)
}

// arena is scratch memory: what is copied into it stays valid until reset.
type arena struct {
	buf  []byte
	used int // bytes since reset, over all arrays
}

const (
	arenaMin  = 16 << 10
	arenaKeep = 8 << 20 // what reset keeps at most
)

// copy returns a copy of b. Its capacity is its length.
func (a *arena) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(a.buf)+len(b) > cap(a.buf) {
		a.buf = make([]byte, 0, max(2*cap(a.buf), len(b), arenaMin))
	}
	start := len(a.buf)
	a.buf = append(a.buf, b...)
	a.used += len(b)
	return a.buf[start:len(a.buf):len(a.buf)]
}

func (a *arena) reset() {
	if cap(a.buf) > arenaKeep {
		a.buf = nil
	}
	a.buf, a.used = a.buf[:0], 0
}
