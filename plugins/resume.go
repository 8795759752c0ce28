package plugins

import (
	"errors"
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

// Resume goes on with the messages that wait no longer: with the plugin that paused
// them, then with those that follow, then with the messages that waited behind them.
// b must be empty; afterwards it holds what left the chain, as after Messages. At
// most 1024 messages come back at once; if there are more, the chain wakes again. It
// is cheap when there is nothing to do.
func (c *Chain) Resume(b *Batch) {
	c.compact()
	b.begin(abi.HookMessages)
	p := c.pauses
	if p == nil {
		return
	}
	p.answers()
	p.missing()
	p.pop(b)
	if len(b.Messages) > 0 {
		c.tap.beforeAll(b, abi.HookResume)
		c.steps(b)
		c.tap.afterAll(b, abi.HookResume)
	}
}

// Wait holds a message behind those that are [Chain.Ahead] of it; false if there is
// none, or no room. It comes back by
// Resume with the outcome that is given, and carry.
func (c *Chain) Wait(m *abi.Message, o *Outcome, carry any) bool {
	p := c.pauses
	if !c.Ahead(m) {
		return false
	}
	one := Batch{Messages: []abi.Message{*m}, Outcomes: []Outcome{*o}}
	one.Outcomes[0].Origin, one.Outcomes[0].again, one.Outcomes[0].topic = -1, false, 0
	h := p.take(&one, 0)
	if h == nil {
		return false
	}
	h.carry, h.outcome.hook, h.outcome.next = carry, abi.HookMessages, int16(len(c.hops))
	q := p.queues[orderOf(m, &h.outcome)]
	q.list = append(q.list, h)
	return true
}

// DropHeld ends the messages of a session that has ended: b, which must be empty,
// holds them afterwards with the verdict drop and CauseEnded, and what they carry in
// Carried.
func (c *Chain) DropHeld(session uint64, b *Batch) {
	b.begin(abi.HookMessages)
	if c.pauses == nil {
		return
	}
	of := order{session: session}
	if q := c.pauses.queues[of]; q != nil {
		c.pauses.end(of, q, b)
	}
}

// DropAllHeld is DropHeld for every session, and for the messages that have none.
func (c *Chain) DropAllHeld(b *Batch) {
	b.begin(abi.HookMessages)
	if c.pauses == nil {
		return
	}
	for of, q := range c.pauses.queues {
		c.pauses.end(of, q, b)
	}
}

func (p *pauses) end(of order, q *queue, b *Batch) {
	for _, h := range q.list {
		h.gone = true
		h.outcome.Verdict, h.outcome.Cause, h.outcome.Out, h.outcome.Plugin = abi.VerdictDrop, CauseEnded, nil, -1
		if s := h.seat; s != nil {
			h.outcome.Plugin, h.outcome.Generation = s.index, s.plugin.spec.Generation
			h.seat = nil
			p.unpause(s)
		}
		p.hand(h, b)
		if h.waiting {
			*h = held{gone: true, waiting: true} // the batch has it; waits may keep this for long
			p.gone++
		}
	}
	delete(p.queues, of)
	if p.gone > p.count+leastGone {
		p.prune()
	}
}

// leastGone is how many messages that are gone waits keeps at least before it is worth
// looking for them. More of them than the chain holds it never keeps.
const leastGone = 64

// prune forgets those that are gone: the answers that they waited for may never come.
func (p *pauses) prune() {
	p.gone = 0
	for at, list := range p.waits {
		if list = slices.DeleteFunc(list, func(h *held) bool { return h.gone || !h.waiting }); len(list) == 0 {
			delete(p.waits, at)
		} else {
			p.waits[at] = list
		}
	}
}

// hand puts a held message back into a batch.
func (p *pauses) hand(h *held, b *Batch) {
	p.count--
	p.bytes -= h.size
	o := h.outcome
	o.Origin, o.again = int32(len(b.Messages)), true
	b.Messages, b.Outcomes = append(b.Messages, h.message), append(b.Outcomes, o)
	b.again, b.Carried = append(b.again, h), append(b.Carried, h.carry)
}

// forget lets everything go.
func (c *Chain) forget() {
	if c.pauses == nil {
		return
	}
	for _, s := range c.pauses.seats {
		s.paused = 0
		if s.closing {
			s.close()
		}
	}
	c.pauses = nil
}

// answers hands the answers that have come to the messages that wait for them. One
// that nobody waits for is thrown away.
func (p *pauses) answers() {
	p.mu.Lock()
	inbox := p.inbox
	p.inbox = nil
	p.mu.Unlock()
	for _, a := range inbox {
		at := wait{a.Calls, a.Token}
		a.Calls.Take(a.Token)
		for _, h := range p.waits[at] {
			if h.gone {
				p.gone--
			}
			if h.gone || !h.waiting {
				continue
			}
			h.waiting = false
			p.answered(h, a)
			of := orderOf(&h.message, &h.outcome)
			p.look(of, p.queues[of])
		}
		delete(p.waits, at)
	}
}

// answered keeps an answer for a message, as far as there is room: it may be long until
// those before the message are through.
func (p *pauses) answered(h *held, a hostfuncs.Answer) {
	size := int64(len(a.Bytes))
	if p.bytes+size > p.maxBytes && size > 0 {
		h.status = abi.StatusLimit
		return
	}
	h.status, h.answer = a.Status, a.Bytes
	h.size += size
	p.bytes += size
}

// missing ends the waiting of messages whose instance is lost.
func (p *pauses) missing() {
	for _, s := range p.seats {
		if !s.lost {
			continue
		}
		s.lost = false
		for of, q := range p.queues {
			for _, h := range q.list {
				if h.seat == s && h.lost() {
					h.waiting = false
				}
			}
			p.look(of, q)
		}
		p.prune()
	}
}

// pop moves messages that may go on into the batch.
func (p *pauses) pop(b *Batch) {
	ready := p.ready
	p.ready = nil
	for n, of := range ready {
		if len(b.Messages) >= maxResumed {
			p.ready = append(p.ready, ready[n:]...)
			p.wake()
			return
		}
		q := p.queues[of]
		if q == nil {
			continue
		}
		q.listed = false
		n := 0
		for n < len(q.list) && !q.list[n].waiting && len(b.Messages) < maxResumed {
			p.hand(q.list[n], b)
			n++
		}
		if q.list = slices.Delete(q.list, 0, n); len(q.list) == 0 {
			delete(p.queues, of)
		} else {
			p.look(of, q)
		}
	}
}

// settle is the end of a run.
func (p *pauses) settle(b *Batch) {
	p.missing()
	if len(b.Contexts) == 0 {
		return
	}
	seen := map[uint64]bool{}
	for _, change := range slices.Backward(b.Contexts) { // the last one of a session counts
		q := p.queues[order{session: change.Session}]
		if q == nil || seen[change.Session] {
			continue
		}
		seen[change.Session] = true
		context := slices.Clone(change.Context)
		for _, h := range q.list {
			h.message.Context = context
		}
	}
}

// unpause takes note that a message of the seat is not paused any more.
func (p *pauses) unpause(s *seat) {
	s.paused--
	s.counters.waiting.set(uint64(s.paused))
	if s.paused > 0 {
		return
	}
	s.lost = false
	p.seats = slices.DeleteFunc(p.seats, func(x *seat) bool { return x == s })
	if s.closing {
		s.close()
	}
}

// answerOf is what message i waited for.
func (b *Batch) answerOf(i int32) *held {
	if o := &b.Outcomes[i]; o.hook == abi.HookResume {
		return b.again[o.Origin]
	}
	return &held{}
}

// resumeAt brings messages back to the instances of place k that paused them.
func (c *Chain) resumeAt(b *Batch, k int16) {
	c.live = c.live[:0]
	for i := range b.Outcomes {
		if o := &b.Outcomes[i]; o.hook == abi.HookResume && o.only == k && o.Verdict == abi.VerdictContinue {
			c.live = append(c.live, int32(i))
		}
	}
	if len(c.live) == 0 {
		return
	}
	tap := c.hops[k].tap
	tap.before(c.hops[k], b, abi.HookResume, c.live)
	seats := make([]*seat, len(c.live))
	for n, i := range c.live {
		seats[n] = b.answerOf(i).seat
	}
	var mine []int32
	for n, s := range seats {
		if slices.Contains(seats[:n], s) {
			continue
		}
		mine = mine[:0]
		for m, i := range c.live {
			if seats[m] == s {
				mine = append(mine, i)
			}
		}
		c.serveResumed(s, b, mine)
		c.carryContexts(b, mine)
	}
	slices.SortStableFunc(b.emits, func(x, y emit) int { return int(x.after - y.after) })
	tap.after(c.hops[k], b, abi.HookResume)
	for _, i := range c.live {
		h := b.answerOf(i)
		h.seat, h.instance, h.answer = nil, nil, nil
		b.Outcomes[i].hook, b.Outcomes[i].next = abi.HookMessages, k+1
	}
	b.insertEmits(k + 1)
	if len(c.paused) > 0 {
		c.hold(b, k)
	}
	for _, s := range seats {
		c.pauses.unpause(s)
	}
}

// carryContexts gives the messages behind resumed ones the contexts that these
// brought.
func (c *Chain) carryContexts(b *Batch, resumed []int32) {
	if len(c.changed) == 0 {
		return
	}
	brought := map[uint64]abi.Attributes{}
	for i := range b.Messages {
		m := &b.Messages[i]
		if len(resumed) > 0 && int(resumed[0]) == i {
			resumed = resumed[1:]
			if _, ok := c.changed[m.Session]; ok {
				brought[m.Session] = m.Context
			}
		} else if context, ok := brought[m.Session]; ok {
			m.Context = context
		}
	}
}

// serveResumed calls on_resume for messages that one seat has paused. Those whose
// instance is lost, also during this, meet the failure policy.
func (c *Chain) serveResumed(s *seat, b *Batch, list []int32) {
	clear(c.changed)
	c.given, c.answered = 0, 0
	rest := make([]int32, 0, len(list))
	for _, i := range list {
		if b.answerOf(i).lost() {
			c.answerByPolicy(s, b, []int32{i}, CauseLost)
			continue
		}
		rest = append(rest, i)
	}
	s.counters.resumed.add(uint64(len(rest)))
	for len(rest) > 0 {
		if s.instance == nil {
			c.answerByPolicy(s, b, rest, CauseLost)
			return
		}
		c.refresh(b, rest)
		p := c.plan(s, b, rest)
		err := c.call(s, b, abi.HookResume, rest[:p.count], &p)
		switch {
		case err == nil:
			s.good(p.count)
		case errors.Is(err, errNoBuffer) && p.count > 1:
			s.instance.comfort = uint32(p.size / 2)
			continue
		case errors.Is(err, errNoBuffer):
			c.answerByPolicy(s, b, rest[:1], CauseBuffer)
		default:
			m := &b.Messages[rest[0]]
			s.discard(err, abi.HookResume, m, p.count)
			c.answerByPolicy(s, b, rest[:p.count], causeOf(err))
			s.strike(m.Session)
		}
		rest = rest[p.count:]
	}
}
