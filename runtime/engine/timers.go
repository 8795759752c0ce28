package engine

import "time"

// tickEvery is how often Handler.Tick is called, and the wheel's step unless a
// deadline is so short that it asks for a finer one.
const tickEvery = 100 * time.Millisecond

// lingerTime is how long a peer has to close its side after ours is shut.
const lingerTime = 1000

const never = int64(1) << 62

// limits are a listener's numbers as the loop uses them; durations in ms, 0 for
// off.
type limits struct {
	readDeadline, writeDeadline, heartbeat, closeAfter, linger int64
	outbox, maxUnit                                            int
	policy                                                     Policy
}

func newLimits(l Listener) limits {
	return limits{
		readDeadline: millis(l.ReadDeadline), writeDeadline: millis(l.WriteDeadline),
		heartbeat: millis(l.HeartbeatEvery), closeAfter: millis(l.CloseAfter), linger: millis(l.Linger),
		outbox: l.Outbox.Limit, maxUnit: l.MaxUnit, policy: l.Outbox.WhenFull,
	}
}

// millis rounds up; a negative duration is off.
func millis(d time.Duration) int64 {
	return int64((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
}

// wheelTick is the wheel's step in ms: an eighth of the shortest deadline, between
// 1 ms and tickEvery.
func wheelTick(all []limits) int64 {
	tick := tickEvery.Milliseconds()
	for _, l := range all {
		for _, d := range [...]int64{l.readDeadline, l.writeDeadline, l.heartbeat, l.closeAfter, l.linger} {
			if d > 0 {
				tick = min(tick, max(d/8, 1))
			}
		}
	}
	return tick
}

// armBy makes sure that c is looked at no later than due.
func (l *Loop) armBy(c *Conn, due int64) {
	if due != never && (c.due == 0 || c.due > due+l.wheel.tick) {
		l.wheel.set(c, due)
	}
}

func (l *Loop) readDeadline(c *Conn) int64 {
	d := l.limits[c.listener].readDeadline
	if c.part == nil || d == 0 || c.holds > 0 || c.eof {
		return never
	}
	return c.part.since + d
}

func (l *Loop) writeDeadline(c *Conn) int64 {
	d := l.limits[c.listener].writeDeadline
	if !c.blocked || c.box == nil || d == 0 {
		return never
	}
	return c.box.moved + d
}

// expired looks at a connection whose moment in the wheel has come.
func (l *Loop) expired(c *Conn) {
	if c.state == stateLingering || c.eof && c.until > 0 {
		if l.now >= c.until {
			l.shut(c, c.endReason())
			return
		}
	}
	if l.now >= l.writeDeadline(c) {
		l.shut(c, ReasonWriteDeadline)
		return
	}
	if l.now >= l.readDeadline(c) {
		l.end(c, ReasonReadDeadline)
		return
	}
	if c.state == stateOpen && !c.eof && c.holds == 0 {
		lim := &l.limits[c.listener]
		if after := c.closeAfter(lim); after > 0 && l.now >= c.lastIn+after {
			l.end(c, ReasonSilence)
			return
		}
		if lim.heartbeat > 0 && l.now >= c.lastIn+int64(c.idles+1)*lim.heartbeat {
			c.idles = uint16(min((l.now-c.lastIn)/lim.heartbeat, 1<<15))
			l.callIdle(c)
			if c.state == stateClosed {
				return
			}
		}
	}
	l.arm(c)
}

// arm puts c into the wheel at its next moment.
func (l *Loop) arm(c *Conn) {
	due := min(l.readDeadline(c), l.writeDeadline(c))
	if c.state == stateLingering || c.eof && c.until > 0 {
		due = min(due, c.until)
	} else if c.state == stateOpen && !c.eof && c.holds == 0 {
		lim := &l.limits[c.listener]
		if after := c.closeAfter(lim); after > 0 {
			due = min(due, c.lastIn+after)
		}
		if lim.heartbeat > 0 {
			due = min(due, c.lastIn+int64(c.idles+1)*lim.heartbeat)
		}
	}
	l.armBy(c, due)
}
