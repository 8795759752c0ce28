package engine

// largeUnit is from which length on a partial unit has a buffer of its own into
// which the socket is read, instead of being copied in front of the next read.
const largeUnit = 64 << 10

// minRead is the least room that a read is given; with less the turn ends.
const minRead = 4 << 10

// partial is the beginning of a unit whose rest has not arrived. A connection has
// one only while there is such a unit.
type partial struct {
	buf   []byte
	need  int   // length of the whole unit, 0 if not known
	since int64 // when the unit began (ms)
}

func (p *partial) large() bool { return p.need > largeUnit || len(p.buf) > largeUnit }

// arena is the memory of one turn's reads.
type arena struct {
	buf  []byte
	used int
}

// room is where the next bytes of c are to be read, nil if this turn has no place
// left. With a small partial unit, room for it is left in front.
func (l *Loop) room(c *Conn) []byte {
	if c.part != nil && c.part.large() {
		return l.roomLarge(c)
	}
	front := 0
	if c.part != nil {
		front = len(c.part.buf)
	}
	free := l.arena.buf[l.arena.used:]
	if len(free) < front+minRead {
		return nil
	}
	return free[front:min(len(free), front+l.engine.cfg.ReadSize)]
}

// roomLarge is the free end of the partial unit's own buffer. The buffer grows
// with what has arrived, never to more than four times that: a header alone
// reserves no memory. Bytes already read count against the turn's bound.
func (l *Loop) roomLarge(c *Conn) []byte {
	p := c.part
	if l.large >= l.engine.cfg.TurnBytes {
		return nil
	}
	size := cap(p.buf)
	if len(p.buf) == size || size < largeUnit {
		size = max(4*len(p.buf), 2*largeUnit)
		if p.need > 0 {
			size = min(size, p.need)
		}
		grown := append(l.pool.get(size), p.buf...)
		l.retired = append(l.retired, p.buf)
		p.buf = grown
	}
	size = cap(p.buf)
	if p.need > 0 {
		size = min(size, p.need)
	}
	return p.buf[len(p.buf):size]
}

// received takes n bytes that were read into room(c) and hands over what the
// handler can use.
func (l *Loop) received(c *Conn, n int) {
	c.in += uint64(n)
	l.heard, l.idles = c.lastIn, c.idles
	c.lastIn, c.idles = l.now, 0
	l.countOf(c)[listenerBytesIn] += uint64(n)
	l.batch++
	p := c.part
	if p == nil {
		b := l.arena.buf[l.arena.used : l.arena.used+n : l.arena.used+n]
		l.arena.used += n
		l.deliver(c, b)
		return
	}
	if p.large() {
		l.large += n
		p.buf = p.buf[:len(p.buf)+n]
		if len(p.buf) >= p.need {
			l.deliver(c, p.buf)
		}
		return
	}
	front := len(p.buf)
	b := l.arena.buf[l.arena.used : l.arena.used+front+n : l.arena.used+front+n]
	if len(b) < p.need {
		p.buf = l.grow(p.buf, n)
		p.buf = append(p.buf, b[front:]...)
		return
	}
	copy(b, p.buf)
	l.arena.used += front + n
	l.deliver(c, b)
}

// grow makes room for n more bytes in a pooled buffer.
func (l *Loop) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	grown := append(l.pool.get(len(b)+n), b...)
	l.pool.put(b)
	return grown
}

// deliver calls the handler with everything unconsumed and keeps what it leaves.
func (l *Loop) deliver(c *Conn, b []byte) {
	consumed, need, ok := l.callData(c, b)
	if !ok || c.state == stateClosed {
		return
	}
	if l.isDeaf {
		l.soil(c) // it may be one that nothing is awaited from any more
	}
	rest := b[consumed:]
	if c.state != stateOpen || len(rest) == 0 {
		l.dropPart(c)
		return
	}
	if limit := l.limits[c.listener].maxUnit; need > limit || len(rest) > limit || need == 0 && len(rest) == limit {
		l.end(c, ReasonUnitTooLong)
		return
	}
	if need <= len(rest) {
		need = 0
	}
	l.stash(c, rest, consumed, need)
}

// stash keeps the beginning of a unit until its rest arrives.
func (l *Loop) stash(c *Conn, rest []byte, consumed, need int) {
	p := c.part
	if p == nil {
		p = l.takePartial()
		c.part = p
		p.since = l.now
	} else if consumed > 0 {
		p.since = l.now
	}
	if consumed == 0 && p.large() {
		p.need = need // the bytes are where they belong
		l.armBy(c, l.readDeadline(c))
		return
	}
	if p.large() {
		l.retired = append(l.retired, p.buf) // lent to the handler until the turn ends
		p.buf = nil
	} else if p.buf != nil {
		l.pool.put(p.buf)
	}
	size := len(rest)
	if need > 0 {
		size = max(size, min(need, largeUnit))
	}
	p.buf = append(l.pool.get(size), rest...)
	p.need = need
	l.armBy(c, l.readDeadline(c))
}

// dropPart forgets the partial unit of c.
func (l *Loop) dropPart(c *Conn) {
	p := c.part
	if p == nil {
		return
	}
	c.part = nil
	if p.large() {
		l.retired = append(l.retired, p.buf)
	} else {
		l.pool.put(p.buf)
	}
	*p = partial{}
	l.parts.give(p)
}

func (l *Loop) takePartial() *partial {
	if p, ok := l.parts.take(); ok {
		return p
	}
	return &partial{}
}
