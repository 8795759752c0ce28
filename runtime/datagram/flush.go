package datagram

import "encoding/binary"

// Flush hands out every datagram that is to be sent now. It appends to scratch what
// does not lie in the connection's own memory, and returns it; earlier contents stay
// where they are. Call it after a batch of Receive and Send, not after each.
func (c *Conn) Flush(now int64, scratch []byte, out Out) []byte {
	for i, p := range c.spent {
		c.pool.give(p)
		c.spent[i] = nil
	}
	c.spent = c.spent[:0]
	f := flusher{c: c, now: now, scratch: scratch, out: out}
	switch {
	case c.bye:
		c.bye, c.progress = false, now
		c.byes++
		f.at = len(scratch)
		f.beat(c.cookie, goodbye)
		f.end()
		return f.scratch
	case c.err != nil:
		return scratch
	case c.state < open:
		if c.welcome {
			f.greet()
		}
		return f.scratch
	}
	f.control()
	f.acks()
	f.again()
	f.fresh()
	f.end()
	return f.scratch
}

// flusher collects records into datagrams.
type flusher struct {
	c       *Conn
	now     int64
	scratch []byte
	at      int  // where the open datagram begins in scratch
	counted bool // it has its number
	out     Out
}

func (f *flusher) greet() {
	c := f.c
	h := c.cfg.hello(stepHello, c.connection)
	if c.state == connecting {
		h.step, h.token = stepConnect, c.token
	}
	c.welcome, c.greeted = false, f.now
	f.at = len(f.scratch)
	f.scratch = appendHello(f.scratch, c.cookie, h)
	f.end()
}

// beat appends a heartbeat.
func (f *flusher) beat(seq uint32, text []byte) {
	if !f.c.full {
		f.scratch = append(appendHeader(f.scratch, seq, 0, uint8(Heartbeat), len(text)), text...)
		return
	}
	f.scratch = appendHeader(f.scratch, seq, 0, uint8(Heartbeat), 8+len(text))
	f.scratch = append(binary.BigEndian.AppendUint64(f.scratch, f.c.connection), text...)
}

// control sends what is about the connection itself.
func (f *flusher) control() {
	c := f.c
	f.at = len(f.scratch)
	if c.welcome {
		c.welcome = false
		h := c.cfg.hello(stepWelcome, c.connection)
		h.token = c.epoch
		f.scratch = appendHello(f.scratch, c.cookie, h)
		f.end()
	}
	if c.probe {
		c.probe, c.asked = false, true
		f.scratch = appendHello(f.scratch, c.cookie, c.cfg.hello(stepHello, c.connection))
		f.end()
	}
	for _, seq := range c.echoes {
		f.fit(HeaderSize + 8)
		f.beat(seq, nil)
	}
	c.echoes = c.echoes[:0]
	if c.tell {
		c.tell = false
		c.oweAll()
	}
	if c.sendBeat {
		c.sendBeat = false
		if c.beat == 0 {
			c.beatFrom = f.now
		}
		c.beats++
		c.beat, c.beatAt = c.cookie+c.beats&(serverBeats-1)+c.side(), f.now
		f.fit(HeaderSize + 8)
		f.beat(c.beat, nil)
	}
}

// acks collects the acknowledgements in the open datagram.
func (f *flusher) acks() {
	c := f.c
	for i, ch := range c.due {
		f.fit(maxAck)
		f.scratch = c.appendAck(f.scratch, ch)
		ch.owing = false
		c.due[i] = nil
	}
	c.due = c.due[:0]
}

// fit ends the open datagram if so many more bytes do not go into it.
func (f *flusher) fit(size int) {
	if used := len(f.scratch) - f.at; used > 0 && (used+size > f.c.mtu || !f.c.full) {
		f.end()
	}
}

// end sends the open datagram.
func (f *flusher) end() {
	if len(f.scratch) > f.at {
		f.send(f.scratch[f.at:len(f.scratch):len(f.scratch)])
		f.at = len(f.scratch)
	}
	f.counted = false
}

func (f *flusher) send(b []byte) {
	f.c.counters.Datagrams++
	f.out.Datagram(b)
}

// again sends what was lost.
func (f *flusher) again() {
	c := f.c
	for p := c.lost.head; p != nil && c.mayFly(p); p = c.lost.head {
		c.lost.remove(p)
		p.resent = true
		c.counters.Retransmitted++
		f.launch(p)
	}
}

// fresh sends what was not sent before: the channels in turn, a packet each.
func (f *flusher) fresh() {
	c := f.c
	c.admit()
	for stuck := 0; stuck < len(c.ready); {
		ch := c.ready[0]
		if !c.mayFly(ch.unsent) {
			return
		}
		if !ch.allowed() {
			stuck++
			rotate(c.ready)
			continue
		}
		if ch.unsent.long > 0 && (len(c.line) > 0 || !c.begin(ch)) {
			c.line = append(c.line, ch)
			c.ready = shift(c.ready)
			continue
		}
		stuck = 0
		f.launch(c.take(ch))
		if ch.unsent != nil {
			if len(c.ready) > 1 {
				rotate(c.ready)
			}
			continue
		}
		ch.listed = false
		c.ready = shift(c.ready)
	}
}

func rotate(list []*channel) {
	first := list[0]
	copy(list, list[1:])
	list[len(list)-1] = first
}

// mayFly tells whether the congestion window has room; one packet always may.
func (c *Conn) mayFly(p *packet) bool {
	return c.flight.count == 0 || c.inFlight+len(p.buf) <= c.window
}

// launch sends a packet: as it lies there if it fills a datagram, otherwise together
// with others.
func (f *flusher) launch(p *packet) {
	c := f.c
	if c.flight.count == 0 {
		c.progress = f.now
		if c.lost.count == 0 && !p.resent {
			c.waitFrom = f.now
		}
	}
	c.flight.push(p)
	c.inFlight += len(p.buf)
	p.sentAt, c.lastSend = f.now, f.now
	if 2*len(p.buf) > c.mtu || !c.full {
		c.tx++
		p.tx = c.tx
		f.send(p.buf[:len(p.buf):len(p.buf)])
		return
	}
	f.fit(len(p.buf))
	if !f.counted {
		f.counted = true
		c.tx++
	}
	p.tx = c.tx
	f.scratch = append(f.scratch, p.buf...)
}
