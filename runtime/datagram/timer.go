package datagram

import (
	"math"
	"time"
)

// The congestion window grows by slow start up to ssthresh and from there by some
// datagrams a round trip; a loss takes it to 7/10, once a round trip, a timeout to the
// least. CUBIC and BBR are made for long fat paths and shared queues; this is for
// local networks, where the round trip is short and linear growth is quick, and where
// loss is as often the radio's as a queue's: the least window keeps it moving.
const (
	initialWindow = 32 // datagrams
	leastWindow   = 8
	growth        = 8 // a round trip
)

// measure takes a sample of the round-trip time (RFC 6298, section 2).
func (c *Conn) measure(sample time.Duration) {
	if sample <= 0 {
		sample = time.Microsecond
	}
	c.counters.RTTCount++
	c.counters.RTTSum += uint64(sample)
	if c.srtt == 0 {
		c.srtt, c.rttvar = sample, sample/2
	} else {
		c.rttvar += ((c.srtt - sample).Abs() - c.rttvar) / 4
		c.srtt += (sample - c.srtt) / 8
	}
	c.rto = min(max(c.srtt+max(4*c.rttvar, time.Millisecond), c.cfg.MinRTO), c.cfg.MaxRTO)
}

// grow is called for bytes that have arrived.
func (c *Conn) grow(bytes int) {
	if 2*(c.inFlight+bytes) < c.window {
		return // it was not what held us up
	}
	if c.window < c.ssthresh {
		c.window += bytes
	} else {
		c.window += max(growth*c.mtu*bytes/c.window, 1)
	}
	c.window = min(c.window, c.cfg.WindowBytes)
}

// reorder is how many later datagrams make one lost.
const reorder = 3

// detect gives up packets because later ones have arrived: at once on a network that
// keeps its order, otherwise when they are late by more than a quarter of a round trip
// (as RFC 8985 does).
func (c *Conn) detect(now int64) {
	c.lossAt = 0
	for p := c.flight.head; p != nil && p.tx+reorder <= c.top; p = c.flight.head {
		if due := p.sentAt + int64(c.srtt+c.srtt/4+time.Millisecond); c.disorder && now < due {
			c.lossAt = due
			return
		}
		c.lose(p)
	}
}

// lose gives a packet in flight up: it is sent again.
func (c *Conn) lose(p *packet) {
	if p.tx > c.recovery { // one event a round trip
		c.recovery = c.tx
		c.window = max(c.window*7/10, leastWindow*c.mtu)
		c.ssthresh = c.window
	}
	c.leave(p)
	p.gave = true
	c.lost.push(p)
}

// timeout is when what is in flight counts as lost.
func (c *Conn) timeout() int64 {
	return c.progress + int64(min(c.rto<<c.backoff, c.cfg.MaxRTO))
}

// probeTime is when, before that, the last packet is sent again: if the tail of a
// burst was lost, its acknowledgement shows what else was.
func (c *Conn) probeTime() int64 {
	if c.probed || c.srtt == 0 || c.backoff > 0 {
		return math.MaxInt64
	}
	return max(c.progress, c.lastSend) + int64(2*c.srtt+2*time.Millisecond)
}

// Deadline is when Expire is to be called; false if nothing is awaited.
func (c *Conn) Deadline() (at int64, ok bool) {
	at = math.MaxInt64
	switch {
	case c.state == leaving:
		return c.byeTime(), true
	case c.err != nil:
		return 0, false
	case c.state < open:
		at = min(c.greeted+c.greetingAgain(), c.progress+int64(c.cfg.GiveUp))
		return at, true
	case c.flight.count+c.lost.count > 0:
		at = min(c.timeout(), c.probeTime(), c.gone())
		if c.lossAt > 0 {
			at = min(at, c.lossAt)
		}
	case c.aloft > 0:
		at = min(c.askTime(), c.gone())
	}
	if k := c.cfg.Keepalive; k > 0 {
		beaten := c.lastIn
		if c.beat != 0 {
			beaten = c.beatAt
		}
		at = min(at, beaten+int64(k))
	}
	return at, at != math.MaxInt64
}

// gone is when the peer has been silent for too long.
func (c *Conn) gone() int64 { return max(c.lastIn, c.waitFrom) + int64(c.cfg.GiveUp) }

// askTime is when a peer that has everything and has acknowledged too little is asked
// whether it does now: its word may have been lost.
func (c *Conn) askTime() int64 { return c.progress + 2*int64(min(c.rto<<c.backoff, c.cfg.MaxRTO)) }

// greetingAgain is after how long a step of the handshake is repeated.
func (c *Conn) greetingAgain() int64 {
	return int64(min(c.cfg.FirstRTO<<min(c.tries, 6), c.cfg.MaxRTO))
}

// Expire does what is due; Flush sends what comes of it. An error is the end of the
// connection.
func (c *Conn) Expire(now int64) error {
	if c.err != nil {
		if c.state == leaving && now >= c.byeTime() {
			if c.bye = c.byes < mostByes; !c.bye {
				c.state = dead
			}
		}
		return c.err
	}
	if c.state < open {
		if now >= c.progress+int64(c.cfg.GiveUp) {
			c.fail(ErrSilent)
		} else if now >= c.greeted+c.greetingAgain() {
			c.welcome = true
			c.tries++
		}
		return c.err
	}
	switch waits := c.flight.count+c.lost.count > 0; {
	case (c.aloft > 0 && now >= c.gone()) || c.beat != 0 && now >= max(c.lastIn, c.beatFrom)+int64(c.cfg.GiveUp):
		c.fail(ErrSilent)
		return c.err
	case c.aloft > 0 && !waits && now >= c.askTime():
		c.progress = now
		c.backoff = min(c.backoff+1, 10)
		c.sendBeat = true
	case waits:
		if c.lossAt > 0 && now >= c.lossAt {
			c.detect(now)
		}
		switch {
		case now >= c.timeout():
			c.expired(now)
		case now >= c.probeTime():
			c.probed = true
			c.counters.Probes++
			if p := c.flight.tail; p != nil {
				c.leave(p)
				p.resent = true
				c.lost.push(p)
			}
		}
	}
	if k := int64(c.cfg.Keepalive); k > 0 && now >= c.lastIn+k && (c.beat == 0 || now >= c.beatAt+k) {
		c.sendBeat = true
	}
	return nil
}

// expired is a retransmission timeout (RFC 6298, section 5): everything in flight is
// lost, and patience doubles until something arrives.
func (c *Conn) expired(now int64) {
	c.counters.Timeouts++
	c.progress = now
	c.backoff = min(c.backoff+1, 10)
	if c.flight.count > 0 {
		c.ssthresh = max(c.inFlight/2, leastWindow*c.mtu)
	}
	c.window = leastWindow * c.mtu
	c.recovery = c.tx
	for p := c.flight.head; p != nil; p = c.flight.head {
		c.leave(p)
		c.lost.push(p)
	}
}
