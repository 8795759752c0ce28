package server

import (
	"slices"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// waiting is what a path knows of the messages that its chains hold until an
// asynchronous call of a plugin is answered.
type waiting struct {
	due    atomic.Bool // a call of resume is on its way
	missed atomic.Bool // the loop had no room for it: the next tick does it
	resume func()
	batch  plugins.Batch // of Resume and of dropping
	lanes  int           // messages that the lanes' chains hold; at least 1 if there is one
	stages int           // and the stages'
	quiet  map[engine.ConnID]*peer
}

// A session that has maxSessionWaiting messages in a chain is not read from until half of
// them have left it.
const maxSessionWaiting = 128

// asReceived goes with a held message of a listener that acknowledges: the payload
// as it was received.
type asReceived []byte

// chosen goes with a message that a route's chain holds: where it goes afterwards,
// and what the listener's chain has changed.
type chosen struct {
	choice  router.Choice
	changes abi.Changes
}

// wakeOnAnswers lets the chain tell when messages can go on.
func (p *path) wakeOnAnswers(c *plugins.Chain) {
	if p.waiting.resume == nil {
		p.waiting.resume = p.resume
		p.waiting.quiet = map[engine.ConnID]*peer{}
	}
	c.OnWake(p.wake)
}

// wake has resume called by the loop, once for any number of answers. It is called
// from any goroutine. Where the loop has no room, the next tick does it.
func (p *path) wake() {
	if p.waiting.due.Swap(true) {
		return
	}
	if err := p.server.engine.Do(p.loop.Index(), p.waiting.resume); err != nil {
		p.waiting.due.Store(false)
		p.waiting.missed.Store(true)
	}
}

// resume goes on with the messages that need not wait any more.
func (p *path) resume() {
	p.waiting.due.Store(false)
	for i := range p.lanes {
		p.resumeLane(p.lanes[i])
	}
	for i := range p.stages {
		p.resumeStage(p.stages[i])
	}
	if len(p.retired) > 0 {
		for _, s := range p.retired {
			p.resumeStage(s)
		}
		p.endRetired()
	}
	p.count()
	p.publish()
}

// note takes note of what a chain holds after a run.
func (w *waiting) note(sum *int, c *plugins.Chain) {
	if n, _ := c.Held(); n > 0 {
		*sum = max(*sum, n)
	}
}

// count notes how much the chains hold, and reads again from whom few messages
// wait.
func (p *path) count() {
	w := &p.waiting
	w.lanes, w.stages = 0, 0
	for i := range p.lanes {
		n, _ := p.lanes[i].chain.Held()
		w.lanes += n
	}
	for i := range len(p.stages) + len(p.retired) {
		if c := p.stageAt(i).chain; c != nil {
			n, _ := c.Held()
			w.stages += n
		}
	}
	for id, from := range w.quiet {
		if p.heldOf(from.session.ID()) <= maxSessionWaiting/2 {
			delete(w.quiet, id)
			p.quieten(from)
		}
	}
}

// held is how many messages wait.
func (p *path) held() int {
	n := 0
	for i := range p.lanes {
		waiting, _ := p.lanes[i].chain.Held()
		n += waiting
	}
	for i := range len(p.stages) + len(p.retired) {
		if c := p.stageAt(i).chain; c != nil {
			waiting, _ := c.Held()
			n += waiting
		}
	}
	return n
}

// heldOf is how many messages of the session wait.
func (p *path) heldOf(session uint64) int {
	n := 0
	for i := range p.lanes {
		n += p.lanes[i].chain.HeldOf(session)
	}
	for i := range len(p.stages) + len(p.retired) {
		if c := p.stageAt(i).chain; c != nil {
			n += c.HeldOf(session)
		}
	}
	return n
}

// calm stops reading from a connection of which many messages wait.
func (p *path) calm(from *peer) {
	c := from.conn
	if from.session == nil {
		return
	}
	if _, there := p.waiting.quiet[c.ID()]; !there && p.heldOf(from.session.ID()) >= maxSessionWaiting {
		p.waiting.quiet[c.ID()] = from
		c.Suspend(true)
	}
}

// Pending implements engine.Pender: a drain waits for the messages that are held, and
// for what speakers still have to do.
func (p *path) Pending() bool {
	if p.holding() || p.logging > 0 || p.flights.under > 0 {
		return true
	}
	for _, s := range p.speakers {
		if s != nil && s.pending() {
			return true
		}
	}
	return false
}

// Awaits implements engine.Awaiter: a client that still acknowledges is waited for.
func (p *path) Awaits(c *engine.Conn) bool {
	from, ok := c.Value.(*peer)
	if !ok {
		return false
	}
	s, ok := p.speakers[from.listener.index].(awaiter)
	return ok && s.awaits(from)
}

// holding tells whether a chain holds messages.
func (p *path) holding() bool { return p.waiting.lanes+p.waiting.stages > 0 }

// resumeLane settles the messages that come back from a listener's chain.
func (p *path) resumeLane(l *lane) {
	b := &p.waiting.batch
	defer b.Reset()
	if n, _ := l.chain.Held(); n == 0 {
		l.chain.Resume(b) // nobody waits: answers to calls that need none make room for others
		return
	}
	p.begin()
	l.chain.Resume(b)
	if p.tail != nil {
		p.tail.held(b)
	}
	p.remember(b)
	for i := range b.Messages {
		m, o := &b.Messages[i], &b.Outcomes[i]
		p.flows.waited(p.now - m.Time)
		if o.Emitted {
			p.ledger.Emitted++
		}
		payload, _ := b.Carried[o.Origin].(asReceived)
		if p.tail != nil {
			outer := p.tail.settling(m)
			p.settleAs(l, m, o, payload)
			p.tail.settled(outer)
		} else {
			p.settleAs(l, m, o, payload)
		}
	}
	p.flush()
}

// parked goes with a message that has passed its listener's chain and waits behind
// others of its session in a route's chain, or of its topic where it has none, so that
// it does not overtake them.
type parked struct {
	lane    *lane
	payload asReceived
}

// park lets a message wait behind those that a route's chain holds and that it must not
// overtake; false if there are none.
func (p *path) park(l *lane, m *abi.Message, o *plugins.Outcome, payload []byte) bool {
	for i := range len(p.stages) + len(p.retired) {
		c := p.stageAt(i).chain
		if c == nil || !c.Ahead(m) {
			continue
		}
		if o.Emitted {
			p.ledger.Emitted-- // it is counted when it comes back
		}
		if !c.Wait(m, o, parked{l, slices.Clone(payload)}) {
			if o.Emitted {
				p.ledger.Emitted++
			}
			p.drop(m, delivery.HoldFull)
		}
		p.waiting.stages++
		return true
	}
	return false
}

// stageAt counts the stages of routes, then those of routes that are gone.
func (p *path) stageAt(i int) *stage {
	if i < len(p.stages) {
		return p.stages[i]
	}
	return p.retired[i-len(p.stages)]
}

// resumeStage takes the messages that come back from a route's chain to their
// places.
func (p *path) resumeStage(s *stage) {
	if s.chain == nil {
		return
	}
	if n, _ := s.chain.Held(); n == 0 {
		s.chain.Resume(&p.waiting.batch) // as of a lane
		return
	}
	b := &plugins.Batch{}
	p.begin()
	s.chain.Resume(b)
	if p.tail != nil {
		p.tail.held(b)
	}
	p.remember(b)
	for i := range b.Messages {
		m, o := &b.Messages[i], &b.Outcomes[i]
		p.flows.waited(p.now - m.Time)
		if o.Emitted {
			p.ledger.Emitted++
		}
		if p.tail != nil {
			outer := p.tail.settling(m)
			p.settleResumed(s, m, o, b.Carried[o.Origin])
			p.tail.settled(outer)
		} else {
			p.settleResumed(s, m, o, b.Carried[o.Origin])
		}
	}
	p.flush()
	b.Reset()
}

// settleResumed carries out what a route's chain decided about a message that it had
// held, given what went with it.
func (p *path) settleResumed(s *stage, m *abi.Message, o *plugins.Outcome, carried any) {
	switch from := carried.(type) {
	case parked:
		p.settleAs(from.lane, m, o, from.payload)
	case chosen:
		p.encoded.reset(o.Changes | from.changes)
		if p.decided(s.chain, m, o) {
			p.flush()
			p.chosenBy(s, m, &from.choice)
		}
	default: // a tick has caused it
		p.encoded.reset(abi.ChangesKnown)
		if p.decided(s.chain, m, o) {
			p.route(m)
		}
	}
}

// dropHeld ends what the chains hold of a session that has ended.
func (p *path) dropHeld(from *peer, why delivery.Reason) {
	if !p.holding() {
		return
	}
	p.eachChain(func(c *plugins.Chain, b *plugins.Batch) { c.DropHeld(from.session.ID(), b) }, why)
	delete(p.waiting.quiet, from.conn.ID())
}

// dropAllHeld ends what the chains still hold when the engine has ended.
func (p *path) dropAllHeld() {
	p.eachChain(func(c *plugins.Chain, b *plugins.Batch) { c.DropAllHeld(b) }, delivery.Draining)
	clear(p.waiting.quiet)
	p.publish()
}

func (p *path) eachChain(drop func(*plugins.Chain, *plugins.Batch), why delivery.Reason) {
	for i := range p.lanes {
		p.endChain(p.lanes[i].chain, drop, why)
	}
	for i := range len(p.stages) + len(p.retired) {
		p.endChain(p.stageAt(i).chain, drop, why)
	}
	p.count()
}

// endChain ends what a chain holds.
func (p *path) endChain(c *plugins.Chain, drop func(*plugins.Chain, *plugins.Batch), why delivery.Reason) {
	if c == nil {
		return
	}
	b := &p.waiting.batch
	drop(c, b)
	for i := range b.Outcomes {
		if b.Outcomes[i].Emitted {
			p.ledger.Emitted++
		}
		p.drop(&b.Messages[i], why)
	}
	b.Reset()
}
