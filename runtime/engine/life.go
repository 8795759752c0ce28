package engine

import "net/netip"

// maxRuns is how many runs one write takes (IOV_MAX of Linux).
const maxRuns = 1024

func (c *Conn) transport() transport {
	if c.udp != nil {
		return udpTransport{}
	}
	if c.net != nil {
		return c.net
	}
	return c.loop.sockets
}

// open makes a connection of an accepted socket. It has been admitted; it is
// counted here.
func (l *Loop) open(c *Conn, listener int, remote netip.AddrPort) bool {
	c.loop, c.listener, c.remote = l, uint16(listener), remote
	c.since, c.lastIn = l.now, l.now
	if !l.table.put(c, l.index) {
		return false
	}
	s := l.slots.own(c.id.slot())
	lim := &l.limits[listener]
	s.limit.Store(int64(lim.outbox))
	s.policy.Store(uint32(lim.policy))
	s.queued.Store(0)
	s.listener.Store(uint32(listener))
	s.id.Store(uint64(c.id))
	words := l.countListener(listener)
	words[listenerAccepted]++
	words[listenerOpen]++
	return true
}

// opened tells the handler.
func (l *Loop) opened(c *Conn) {
	l.callOpen(c)
	if c.state != stateClosed {
		l.updateInterest(c)
		l.arm(c)
	}
}

// wantsInput tells whether c is to be read.
func (l *Loop) wantsInput(c *Conn) bool {
	switch c.state {
	case stateOpen:
		if l.isDeaf { // nobody is held back any more
			return l.awaits(c)
		}
		return !c.eof && c.holds == 0
	case stateLingering:
		return true
	}
	return false
}

// awaits tells whether the handler waits for something that c's peer has to say.
func (l *Loop) awaits(c *Conn) bool {
	return l.awaiter != nil && c.state == stateOpen && !c.eof && l.callAwaits(c)
}

func (l *Loop) updateInterest(c *Conn) {
	if c.state != stateClosed {
		c.transport().interest(c)
	}
}

// write offers the socket what is queued, until it is full or all is written, and
// copies what is left.
func (l *Loop) write(c *Conn) {
	o := c.box
	if o == nil {
		l.updateInterest(c)
		return
	}
	for !c.blocked && !o.empty() {
		l.runs = o.gather(l.runs[:0], maxRuns)
		n, full, err := c.transport().write(c, l.runs)
		clear(l.runs)
		if err != nil {
			l.shut(c, ReasonReset)
			return
		}
		if n > 0 {
			c.out += uint64(n)
			l.countOf(c)[listenerBytesOut] += uint64(n)
			o.advance(l, n)
			o.moved = l.now
		}
		c.blocked = full
	}
	if o.empty() {
		c.box = nil
		l.giveBox(o)
	} else {
		o.keep(l)
		if o.moved == 0 {
			o.moved = l.now
		}
		l.armBy(c, l.writeDeadline(c))
	}
	l.updateInterest(c)
}

// writable is called when a full socket takes bytes again.
func (l *Loop) writable(c *Conn) {
	c.blocked = false
	l.soil(c)
}

// hungUp is called when the peer has closed its sending side.
func (l *Loop) hungUp(c *Conn) {
	c.eof = true
	if c.state == stateLingering {
		l.shut(c, c.reason)
		return
	}
	l.dropPart(c)
	if d := l.limits[c.listener].linger; d > 0 && c.state == stateOpen {
		c.until = l.now + d
		l.armBy(c, c.until)
	}
	l.updateInterest(c)
	l.soil(c)
}

// linger shuts our side and waits for the peer to close its own.
func (l *Loop) linger(c *Conn) {
	c.state = stateLingering
	c.until = l.now + lingerTime
	l.dropPart(c)
	c.transport().shutWrite(c)
	l.updateInterest(c)
	l.armBy(c, c.until)
}

// endReason is why a connection ends whose time is over.
func (c *Conn) endReason() Reason {
	if c.reason != ReasonNone {
		return c.reason
	}
	return ReasonPeerClosed
}

// shut closes a connection at once; the handler is told before the next Turn.
func (l *Loop) shut(c *Conn, reason Reason) {
	if c.state == stateClosed {
		return
	}
	calm := c.state == stateLingering || reason == ReasonDrained
	c.state, c.reason = stateClosed, reason
	l.wheel.unset(c)
	l.wakes.remove(c)
	c.owed = 0
	if o := c.box; o != nil {
		c.box = nil
		l.countOf(c)[listenerDropped+int(DropClosed)] += uint64(o.units)
		l.giveBox(o)
	}
	l.dropPart(c)
	c.transport().close(c, calm)
	if c.holds > 0 {
		c.holds = 0
		l.count[countPaused]--
	}
	s := l.slots.at(c.id.slot())
	s.id.Store(0)
	l.show(c)
	words := l.countOf(c)
	words[listenerOpen]--
	words[listenerClosed+int(reason)]++
	l.engine.admission.leave(int(c.listener), c.remote.Addr())
	l.ended = append(l.ended, c)
}

// end closes a connection by a decision of the engine's own. If the handler has last
// words for the peer, they are written first.
func (l *Loop) end(c *Conn, reason Reason) {
	if c.state == stateOpen && !c.blocked {
		if l.callLeave(c, reason); c.box != nil {
			c.CloseAfterFlush(reason)
			return
		}
	}
	l.shut(c, reason)
}

// tellClosed calls Closed for every connection that has ended, and frees its slot.
func (l *Loop) tellClosed() {
	for i := 0; i < len(l.ended); i++ {
		c := l.ended[i]
		l.callClosed(c)
		l.table.remove(c.id)
		l.ended[i] = nil
	}
	l.ended = l.ended[:0]
}
