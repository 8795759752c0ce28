package plugins

import (
	"slices"
	"sync"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

// What a chain holds at most, unless LimitHeld says otherwise. A message counts
// its bytes, those of the answer that it has got, and heldCost.
const (
	DefaultHeldMessages = 1 << 16
	DefaultHeldBytes    = 32 << 20

	heldCost = 512
	// maxResumed is how many messages one Resume brings back.
	maxResumed = 1024
)

// pauses is the messages that a chain holds: those that a plugin has paused, and
// those of the same order that wait behind them. All of it belongs to the
// chain's goroutine but the inbox.
type pauses struct {
	queues   map[order]*queue
	waits    map[wait][]*held
	ready    []order // whose first message may go on
	seats    []*seat // that have paused messages
	count    int
	bytes    int64
	gone     int // of those in waits: their sessions have ended
	maxCount int
	maxBytes int64

	mu    sync.Mutex // guards what follows
	inbox []hostfuncs.Answer
	wake  func()
	post  func(hostfuncs.Answer) // receive
}

// queue is what one order has in the chain: the first message is
// paused, or about to go on.
type queue struct {
	list   []*held
	listed bool // among the ready ones
}

// wait is what a message waits for.
type wait struct {
	calls *hostfuncs.Calls
	token uint64
}

// held is one message that the chain holds, with bytes of its own.
type held struct {
	message abi.Message
	outcome Outcome
	carry   any
	size    int64
	gone    bool // dropped while it was still waiting for its answer

	// Of a paused one, until it has been resumed:
	seat     *seat // nil: it only waits behind another
	instance *instance
	waiting  bool // for the answer to the token
	token    uint64
	status   abi.Status
	answer   []byte
}

// lost reports whether the instance that paused the message is no more.
func (h *held) lost() bool { return h.seat != nil && h.instance != h.seat.instance }

// pausing is a verdict of a call that has just been applied.
type pausing struct {
	index    int32
	seat     *seat
	instance *instance
	token    uint64
}

// inTime counts the pause and reports whether the message may still begin to wait.
func (one *pausing) inTime(o *Outcome) bool {
	now := one.seat.now()
	if o.pauses == 0 || o.only != one.seat.index {
		o.since = now
	}
	o.pauses++
	return now-o.since <= int64(one.seat.plugin.spec.Deadline)
}

func (c *Chain) holds() *pauses {
	if c.pauses == nil {
		c.pauses = &pauses{
			queues: make(map[order]*queue), waits: make(map[wait][]*held), wake: func() {},
			maxCount: DefaultHeldMessages, maxBytes: DefaultHeldBytes,
		}
		c.pauses.post = c.pauses.receive
	}
	return c.pauses
}

// OnWake sets what is called when Resume has something to do. It is called from any
// goroutine, the chain's own included, must not block and must not run the chain
// itself. Calls may come more often than there is something. Call it before the
// first run.
func (c *Chain) OnWake(wake func()) { c.holds().wake = wake }

// LimitHeld bounds the messages that the chain holds, and their bytes; 0 is the
// default. What a plugin pauses beyond that meets its failure policy, what would
// have to wait behind it is dropped, both with CauseHeld.
func (c *Chain) LimitHeld(messages int, bytes int64) {
	p := c.holds()
	if p.maxCount = messages; messages <= 0 {
		p.maxCount = DefaultHeldMessages
	}
	if p.maxBytes = bytes; bytes <= 0 {
		p.maxBytes = DefaultHeldBytes
	}
}

// MayPause tells whether some plugin of the chain can pause messages.
func (c *Chain) MayPause() bool {
	for _, h := range c.hops {
		if h.live.mayPause() || h.candidate != nil && h.candidate.mayPause() {
			return true
		}
	}
	return false
}

func (h *seat) mayPause() bool {
	return h.plugin.spec.Grants.HTTP != nil && h.wanted[abi.HookResume]
}

// Held is how many messages the chain holds, and how many bytes they count.
func (c *Chain) Held() (messages int, bytes int64) {
	if c.pauses == nil {
		return 0, 0
	}
	return c.pauses.count, c.pauses.bytes
}

// HeldOf is how many messages of the session the chain holds.
func (c *Chain) HeldOf(session uint64) int {
	if c.pauses == nil || c.pauses.count == 0 {
		return 0
	}
	if q := c.pauses.queues[order{session: session}]; q != nil {
		return len(q.list)
	}
	return 0
}

// receive takes an answer in. It is called by the goroutines of calls, which are as
// many as the grants allow.
func (p *pauses) receive(a hostfuncs.Answer) {
	p.mu.Lock()
	p.inbox = append(p.inbox, a)
	p.mu.Unlock()
	p.wake()
}

// holdArriving holds the messages that have others of their order in the chain, before
// a plugin sees them.
func (c *Chain) holdArriving(b *Batch) {
	p := c.pauses
	n := 0
	for i := range b.Messages {
		if q := p.queues[orderOf(&b.Messages[i], &b.Outcomes[i])]; q == nil || !p.behind(b, i, q) {
			b.Messages[n], b.Outcomes[n] = b.Messages[i], b.Outcomes[i]
			n++
		}
	}
	b.cut(n)
}

// behind puts message i behind the others of its queue; false if it does not fit
// and was dropped.
func (p *pauses) behind(b *Batch, i int, q *queue) bool {
	h := p.take(b, i)
	if h == nil {
		b.Outcomes[i].Verdict, b.Outcomes[i].Cause, b.Outcomes[i].Out = abi.VerdictDrop, CauseHeld, nil
		return false
	}
	q.list = append(q.list, h)
	return true
}

// hold takes what a plugin has just paused out of the batch, with everything of the
// same order that comes behind it: to the front of their queues, since whatever
// this run has held before came behind it as well. next is the first plugin that has
// not seen those behind.
func (c *Chain) hold(b *Batch, next int16) {
	slices.SortStableFunc(c.paused, func(x, y pausing) int { return int(x.index - y.index) })
	p, n, paused := c.holds(), 0, c.paused
	groups := map[order][]*held{}
	var orders []order
	for i := range b.Messages {
		o := &b.Outcomes[i]
		of := orderOf(&b.Messages[i], o)
		group, blocked := groups[of]
		var h *held
		switch {
		case o.Verdict == abi.VerdictPause:
			one := paused[0]
			paused = paused[1:]
			cause := CauseDeadline
			if one.inTime(o) {
				if h = p.take(b, i); h != nil {
					p.pause(h, one)
					break
				}
				cause = CauseHeld
			}
			o.Verdict = abi.VerdictContinue
			c.answerByPolicy(one.seat, b, []int32{int32(i)}, cause)
		case blocked && (o.hook == abi.HookMessages || o.hook == abi.HookResume):
			o.next = max(o.next, next)
			if h = p.take(b, i); h == nil {
				o.Verdict, o.Cause, o.Out = abi.VerdictDrop, CauseHeld, nil
			}
		}
		if h != nil {
			if !blocked {
				orders = append(orders, of)
			}
			groups[of] = append(group, h)
			continue
		}
		b.Messages[n], b.Outcomes[n] = b.Messages[i], *o
		n++
	}
	b.cut(n)
	c.paused = c.paused[:0]
	for _, of := range orders {
		q := p.queues[of]
		if q == nil {
			q = &queue{}
			p.queues[of] = q
		}
		q.list = append(groups[of], q.list...)
		p.look(of, q)
	}
}

// pause makes h wait for its answer.
func (p *pauses) pause(h *held, one pausing) {
	o := &h.outcome
	o.Verdict, o.Out, o.Plugin, o.Cause, o.Generation = abi.VerdictContinue, nil, -1, CauseNone, 0
	o.hook, o.only = abi.HookResume, one.seat.index
	h.seat, h.instance, h.token, h.answer = one.seat, one.instance, one.token, nil
	if one.seat.paused == 0 {
		p.seats = append(p.seats, one.seat)
	}
	one.seat.paused++
	one.seat.counters.paused.add(1)
	one.seat.counters.waiting.set(uint64(one.seat.paused))
	calls := one.instance.async
	if h.waiting = !h.lost() && calls.Pending(one.token); !h.waiting {
		h.status = abi.StatusNotFound
		return
	}
	at := wait{calls, one.token}
	p.waits[at] = append(p.waits[at], h)
}

// take copies message i out of the batch; nil if there is no room. The outcome
// goes with it.
func (p *pauses) take(b *Batch, i int) *held {
	m, o := &b.Messages[i], &b.Outcomes[i]
	size := heldCost + int64(len(m.Topic)+len(m.Attrs)+len(m.Context)+len(o.Out))
	if inside(m.Frame, m.Payload) {
		size += int64(len(m.Frame))
	} else {
		size += int64(len(m.Frame) + len(m.Payload))
	}
	if was := m.Came; was != nil {
		size += int64(len(was.Topic) + len(was.Attrs) + len(was.Payload))
	}
	if p.count > 0 && (p.count >= p.maxCount || p.bytes+size > p.maxBytes) {
		return nil
	}
	var h *held
	if o.again {
		h = b.again[o.Origin]
	} else {
		h = &held{carry: b.carry(o.Origin)}
		if !o.Emitted {
			b.Held++
		}
	}
	h.message, h.outcome, h.size = own(m), *o, size
	h.outcome.Out = slices.Clone(o.Out)
	if o.failure != nil {
		failure := *o.failure
		h.outcome.failure = &failure
	}
	p.count++
	p.bytes += size
	return h
}

// own copies a message with all its bytes. Where the payload lies within the frame
// it does so again.
func own(m *abi.Message) abi.Message {
	c := *m
	c.Topic, c.Attrs, c.Context, c.Frame = slices.Clone(m.Topic), slices.Clone(m.Attrs), slices.Clone(m.Context), slices.Clone(m.Frame)
	if inside(m.Frame, m.Payload) {
		from := int(address(m.Payload) - address(m.Frame))
		c.Payload = c.Frame[from : from+len(m.Payload)]
	} else {
		c.Payload = slices.Clone(m.Payload)
	}
	if m.Came != nil {
		was := *m.Came
		was.Context, was.Frame = nil, nil // the message has them
		was = own(&was)
		c.Came = &was
	}
	return c
}

func inside(whole, part []byte) bool {
	at, from := address(part), address(whole)
	return len(part) > 0 && at >= from && at+uintptr(len(part)) <= from+uintptr(len(whole))
}

// look lists the order if its first message may go on.
func (p *pauses) look(of order, q *queue) {
	if !q.listed && len(q.list) > 0 && !q.list[0].waiting {
		q.listed = true
		p.ready = append(p.ready, of)
		p.wake()
	}
}
