package engine

// hold is a publisher of this loop that waits for a consumer of any loop.
type hold struct{ publisher, until ConnID }

// Hold stops reading from publisher until the outbox of until has drained below
// half its limit, or until is closed, whichever loops the two live on. Call it when
// Send or SendTo to until answered Pressed. What was already read in this turn is
// still delivered. The same pair twice is one; with several consumers reading goes
// on when the last of them has drained. A consumer that takes nothing at all meets
// its write deadline, so nobody waits for ever; each tick asks again besides.
func (l *Loop) Hold(publisher, until ConnID) {
	if publisher.Loop() != l.index {
		if publisher.Loop() < len(l.engine.loops) {
			other := l.engine.loops[publisher.Loop()]
			l.postHold(other, hold{publisher, until})
		}
		return
	}
	c := l.table.get(publisher)
	h := hold{publisher, until}
	if c == nil || c.state != stateOpen {
		return
	}
	if _, there := l.held[h]; there || l.drained(until) {
		return
	}
	l.held[h] = struct{}{}
	c.holds++
	if c.holds == 1 {
		l.count[countPaused]++
		l.updateInterest(c)
	}
}

// wayBit marks an id that stands for the way to a loop; no connection has it.
const wayBit = 1 << 55

// WayTo is what to hold a publisher for when Post to the loop answered Pressed: it is
// read from again when the way is at most half full.
func WayTo(loop int) ConnID { return ConnID(uint64(loop)<<loopShift | wayBit) }

// drained tells whether nobody needs to wait for the consumer any more. If it answers
// false, this loop will be woken when that may have changed.
func (l *Loop) drained(id ConnID) bool {
	if id.Loop() >= len(l.engine.loops) {
		return true
	}
	owner := l.engine.loops[id.Loop()]
	if id&wayBit != 0 {
		return l.routeCalm(owner)
	}
	if c := l.table.get(id); c != nil {
		l.show(c) // as of now, not of the last turn
	}
	s := owner.slots.at(id.slot())
	if s == nil || s.calm(id) && l.routeCalm(owner) {
		return true
	}
	s.waiting.Or(1 << l.index)
	return s.calm(id) && l.routeCalm(owner)
}

// Drained tells whether nobody needs to wait for a connection, of whichever loop, or
// for the way to a loop, for which Hold would hold a publisher.
func (l *Loop) Drained(until ConnID) bool { return l.drained(until) }

// Written tells whether everything that was sent to a connection of this loop, by
// whichever loop, is with the operating system, and whether the connection is gone.
func (l *Loop) Written(id ConnID) (written, gone bool) {
	c := l.table.get(id)
	if c == nil || c.state == stateClosed {
		return false, true
	}
	return c.Queued() == 0 && l.slots.at(id.slot()).flight.Load() == 0, false
}

// calm tells whether the connection has drained below half its limit or is gone.
func (s *slotState) calm(id ConnID) bool {
	return ConnID(s.id.Load()) != id || s.queued.Load()+s.flight.Load() < (s.limit.Load()+1)/2
}

// release lets every publisher read again whose consumer has drained.
func (l *Loop) release() {
	for h := range l.held {
		c := l.table.get(h.publisher)
		if c == nil || c.state == stateClosed {
			delete(l.held, h)
			continue
		}
		if !l.drained(h.until) {
			continue
		}
		delete(l.held, h)
		if c.holds--; c.holds == 0 {
			l.resume(c)
		}
	}
}

// resume reads from c again; its silence counts from now.
func (l *Loop) resume(c *Conn) {
	l.count[countPaused]--
	if c.state != stateOpen {
		return
	}
	c.lastIn, c.idles = l.now, 0
	if c.part != nil {
		c.part.since = l.now
	}
	l.updateInterest(c)
	l.arm(c)
	if c.udp != nil {
		c.wakeAt(l.now)
	}
}

// show publishes the cost of c's outbox to the other loops and wakes those that
// wait for it to drain.
func (l *Loop) show(c *Conn) {
	cost := int64(c.owed)
	if c.box != nil {
		cost += int64(c.box.cost())
	}
	s := l.slots.at(c.id.slot())
	if cost != c.shown {
		l.count[countQueued] += uint64(cost - c.shown)
		c.shown = cost
		s.queued.Store(cost + c.backlog)
	}
	l.tellWaiting(s, c.id)
}

// SetBusy says that the handler has more for c than it takes, beside what its outbox
// holds: while it is busy, Loop.Hold for it holds. Only the loop of c may call it.
func (c *Conn) SetBusy(busy bool) {
	backlog := int64(0)
	if busy {
		backlog = int64(c.loop.limits[c.listener].outbox)
	}
	if backlog == c.backlog || c.state == stateClosed {
		return
	}
	c.backlog = backlog
	s := c.loop.slots.at(c.id.slot())
	s.queued.Store(c.shown + backlog)
	c.loop.tellWaiting(s, c.id)
}

func (l *Loop) tellWaiting(s *slotState, id ConnID) {
	if s.waiting.Load() == 0 || !s.calm(id) {
		return
	}
	for bits, i := s.waiting.Swap(0), 0; bits != 0; bits, i = bits>>1, i+1 {
		if bits&1 != 0 {
			l.engine.loops[i].recheck.Store(true)
			if i != l.index {
				l.engine.loops[i].wake()
			}
		}
	}
}
