package datagram

import (
	"encoding/binary"
	"time"
)

// Layout of an acknowledgement's payload: the window in bytes (4) and in records (2),
// then ranges of records that have arrived beyond the acknowledged ones: the distance
// of the first from the one that is awaited (2), and how many (2).
const (
	ackFixed  = 6
	ackRange  = 4
	maxRanges = 48
	maxAck    = HeaderSize + ackFixed + maxRanges*ackRange
)

// appendAck writes what has arrived on a channel.
func (c *Conn) appendAck(dst []byte, ch *channel) []byte {
	if !c.full {
		return appendHeader(dst, ch.acked, ch.number, uint8(Ack), 0)
	}
	start := len(dst)
	dst = appendHeader(dst, ch.acked, ch.number, uint8(Ack), 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(max(c.cfg.WindowBytes-c.held+ch.held, 0)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.cfg.Window))
	base, ranges := ch.acked+1, 0
	put := func(first, end uint32) {
		dst = binary.BigEndian.AppendUint16(dst, uint16(first-base))
		dst = binary.BigEndian.AppendUint16(dst, uint16(end-first))
		ranges++
	}
	first, end := base, ch.expect // handed over and not settled
	for i := ch.head; i < len(ch.runs); i++ {
		r := &ch.runs[i]
		if r.first == end {
			end = r.end()
			continue
		}
		if first != end && ranges < maxRanges {
			put(first, end)
		}
		first, end = r.first, r.end()
	}
	if first != end && ranges < maxRanges {
		put(first, end)
	}
	binary.BigEndian.PutUint16(dst[start+6:], uint16(len(dst)-start-HeaderSize))
	return dst
}

// ackTurn is what the acknowledgements of one datagram have brought.
type ackTurn struct {
	bytes  int
	sentAt int64 // of the newest packet, if it was sent once only
	tx     uint64
	any    bool
}

// acknowledged takes an acknowledgement.
func (c *Conn) acknowledged(now int64, h header, payload []byte) {
	ch := &c.first
	if h.channel != 0 {
		if ch = c.more[h.channel]; ch == nil {
			c.counters.Malformed++
			return
		}
	}
	una := ch.next - ch.aloft
	if !before(h.seq, ch.next) {
		c.counters.Malformed++ // never sent
		return
	}
	old := before(h.seq, una-1)
	for p := ch.sent; p != nil && !before(h.seq, p.end()-1); p = ch.sent {
		ch.sent = p.next
		if ch.sent == nil {
			ch.sentTail = nil
		}
		ch.aloft -= p.count
		ch.aloftBytes -= len(p.buf)
		c.arrived(now, p)
		c.aloft--
		c.forget(p)
	}
	c.ended(ch, h.seq)
	if len(payload) < ackFixed {
		return
	}
	if !old {
		ch.windowBytes = int(min(binary.BigEndian.Uint32(payload), 1<<30))
		ch.records = int(binary.BigEndian.Uint16(payload[4:]))
	}
	c.selected(now, ch, h.seq+1, payload[ackFixed:])
}

// selected takes the ranges: what they hold has arrived and is not sent again. Ranges
// ascend, so that the packets are walked once.
func (c *Conn) selected(now int64, ch *channel, base uint32, b []byte) {
	p := ch.sent
	for ; len(b) >= ackRange && p != nil; b = b[ackRange:] {
		first := base + uint32(binary.BigEndian.Uint16(b))
		end := first + uint32(binary.BigEndian.Uint16(b[2:]))
		for p != nil && before(p.first, first) {
			p = p.next
		}
		for ; p != nil && !before(end, p.end()); p = p.next {
			if !p.settled {
				c.arrived(now, p)
				p.settled = true
			}
		}
	}
}

// arrived takes a packet out of flight.
func (c *Conn) arrived(now int64, p *packet) {
	if p.settled {
		return
	}
	t := &c.turn
	t.any = true
	t.bytes += len(p.buf)
	switch {
	case p.gave && (p.list == &c.lost || now-p.sentAt < int64(c.srtt/2)):
		c.counters.Spurious++ // it was late and not lost
		c.disorder = true
	case !p.resent && p.tx+reorder <= c.top:
		c.disorder = true
	}
	c.leave(p)
	if p.tx >= t.tx {
		t.tx = p.tx
		t.sentAt = 0
		if !p.resent {
			t.sentAt = p.sentAt
		}
	}
	c.top = max(c.top, p.tx)
}

// leave takes a packet off its list.
func (c *Conn) leave(p *packet) {
	if p.list == &c.flight {
		c.inFlight -= len(p.buf)
	}
	if p.list != nil {
		p.list.remove(p)
	}
}

// endAcks draws the conclusions: round trip, congestion window, losses.
func (c *Conn) endAcks(now int64) {
	t := c.turn
	if !t.any {
		return
	}
	c.turn = ackTurn{}
	if t.sentAt > 0 {
		c.measure(time.Duration(now - t.sentAt))
	}
	c.backoff, c.probed, c.progress = 0, false, now
	c.grow(t.bytes)
	c.detect(now)
}
