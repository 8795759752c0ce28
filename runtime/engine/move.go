package engine

import "math"

// moving is a connection on its way from one loop to another.
type moving struct {
	old  *Conn
	fd   int32  // of the epoll driver
	rest []byte // read and not consumed
	owed []byte // sent and not written
}

// Move takes c, which must be a connection of this loop, to another loop. It may be
// called only by Handler.Data for the connection that the call is about, and rest is
// what that call did not consume; Data then answers len(b). The connection goes with
// its Value and with what was sent to it. Here it is gone at once, without Closed;
// there it has a new id, and the handler, a Mover, gets Moved and then Data with the
// rest. False if the connection is not open or there is no such loop; nothing has
// happened then.
func (l *Loop) Move(c *Conn, to int, rest []byte) bool {
	if c.loop != l || c.state != stateOpen || to < 0 || to >= len(l.engine.loops) || to == l.index {
		return false
	}
	m := &moving{old: c, fd: c.fd, rest: append([]byte(nil), rest...)}
	if o := c.box; o != nil {
		for _, run := range o.gather(nil, math.MaxInt) {
			m.owed = append(m.owed, run...)
		}
		c.box = nil
		l.giveBox(o)
	}
	c.transport().forget(c)
	l.leave(c)
	if c.net != nil {
		c.net.loop.Store(l.engine.loops[to]) // from here on it is not touched
	}
	l.engine.loops[to].postNet(netEvent{kind: netMoved, moved: m})
	return true
}

// leave forgets a connection that goes on elsewhere.
func (l *Loop) leave(c *Conn) {
	c.state = stateClosed
	l.wheel.unset(c)
	l.dropPart(c)
	if c.holds > 0 {
		c.holds = 0
		l.count[countPaused]--
	}
	s := l.slots.at(c.id.slot())
	s.id.Store(0)
	l.show(c)
	words := l.countOf(c)
	words[listenerOpen]--
	words[listenerAccepted]--
	l.table.remove(c.id)
}

// adopt goes on with a connection that another loop has sent here.
func (l *Loop) adopt(m *moving) {
	old := m.old
	c := &Conn{Value: old.Value, net: old.net, fd: m.fd}
	if !l.open(c, int(old.listener), old.remote) {
		l.engine.admission.leave(int(old.listener), old.remote.Addr())
		l.countListener(int(old.listener))[listenerRefused+int(RefusedTotal)]++
		c.transport().close(c, false)
		return
	}
	c.since, c.in, c.out = old.since, old.in, old.out
	if c.net != nil {
		c.net.c = c
		c.blocked = c.net.writing
	}
	l.callMoved(c)
	if c.state != stateClosed {
		l.updateInterest(c)
		l.arm(c)
	}
	if len(m.owed) > 0 {
		c.Send(m.owed, 0)
	}
	if len(m.rest) > 0 && c.state == stateOpen {
		l.batch++
		l.deliver(c, m.rest)
	}
	if c.net != nil && c.state != stateClosed { // it may have moved on
		l.netRead(c.net)
	}
}

// drop closes a connection that nobody will adopt.
func (m *moving) drop(l *Loop) {
	if m.old.net != nil {
		m.old.net.close(nil, false)
	} else {
		closeSockets([]int{int(m.fd)})
	}
	l.engine.admission.leave(int(m.old.listener), m.old.remote.Addr())
}
