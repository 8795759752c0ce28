package datagram

import "encoding/binary"

// channel is one channel of a connection, in both directions. Each direction of each
// channel counts its records by itself, so that a gap in one holds up no other.
type channel struct {
	number uint8

	// Sending.
	next                 uint32  // sequence of the next record that is sent for the first time
	last                 uint32  // and of the next that is queued
	sent, sentTail       *packet // not acknowledged, by sequence
	unsent, unsentTail   *packet
	aloft                uint32 // records of sent
	aloftBytes           int
	records, windowBytes int    // what the peer offers, beyond what it has acknowledged
	listed               bool   // in Conn.ready or Conn.line
	begun                int    // the longest message of several records, of those begun and not acknowledged
	begunEnd             uint32 // the last record of the last of them

	// Receiving.
	expect  uint32 // the next record to be handed over
	acked   uint32 // the last that is settled, with all before it
	runs    []run  // arrived too early or while paused, by sequence, from runs[head]
	head    int
	held    int    // their bytes
	partial []byte // of a message of several records
	inParts bool
	pending settling
	owing   bool // in Conn.due
}

// run is records that follow each other and wait.
type run struct {
	first, count uint32
	buf          []byte
	packet       *packet // whose memory it is
}

func (r *run) end() uint32 { return r.first + r.count }

func (ch *channel) init(c *Conn, number uint8) {
	ch.number = number
	ch.reinit(c)
}

// reinit begins where the handshake says: after the cookie, in both directions.
func (ch *channel) reinit(c *Conn) {
	ch.next, ch.last, ch.expect, ch.acked = c.cookie+1, c.cookie+1, c.cookie+1, c.cookie
	ch.records, ch.windowBytes = c.records, c.bytes
}

func (ch *channel) release(c *Conn) {
	for _, p := range [...]*packet{ch.sent, ch.unsent} {
		for p != nil {
			next := p.next
			if !p.settled {
				c.counters.Lost += uint64(p.count)
			}
			c.pool.give(p)
			p = next
		}
	}
	*ch = channel{number: ch.number, next: ch.next, last: ch.next, expect: ch.acked + 1, acked: ch.acked}
}

// Send queues a message: Kind, Channel, Payload, and ID if HasID. The payload is
// copied. It leaves with a Flush, as windows allow.
func (c *Conn) Send(m Message) error {
	if c.err != nil {
		return c.err
	}
	if c.state < open {
		return ErrNotOpen
	}
	extra := 0
	if m.HasID && c.full {
		extra = 4
	}
	if len(m.Payload) > c.cfg.MaxMessage || !c.full && HeaderSize+len(m.Payload) > c.mtu {
		return ErrTooLong
	}
	if c.queued > 0 && c.queued+len(m.Payload)+HeaderSize > c.cfg.QueueBytes || c.packets >= c.mostPackets() {
		return ErrFull
	}
	ch := c.channel(m.Channel)
	if ch == nil {
		return ErrProtocol
	}
	c.counters.Sent++
	kind := uint8(m.Kind)
	if !c.full && m.Kind == Event {
		kind = uint8(Request)
	}
	if HeaderSize+extra+len(m.Payload) <= c.room() {
		c.append(ch, kind, extra > 0, m.ID, m.Payload)
		return nil
	}
	for rest, long := m.Payload, extra+len(m.Payload); ; long = 0 {
		part := rest[:min(len(rest), c.room()-HeaderSize-extra)]
		rest = rest[len(part):]
		more := uint8(0)
		if len(rest) > 0 {
			more = flagMore
		}
		c.append(ch, kind|more, extra > 0, m.ID, part)
		if long > 0 { // it fills a packet, which is new
			ch.unsentTail.long = long
		}
		if len(rest) == 0 {
			return nil
		}
		extra = 0
	}
}

// room is how long a packet may be.
func (c *Conn) room() int { return min(c.mtu, HeaderSize+MaxPayload) }

// mostPackets bounds the memory of packets that are not full.
func (c *Conn) mostPackets() int { return 64 + 4*c.cfg.QueueBytes/c.cfg.MTU }

// append puts one record into the channel's last unsent packet, or a new one.
func (c *Conn) append(ch *channel, kind uint8, hasID bool, id uint32, payload []byte) {
	size := len(payload)
	if hasID {
		kind |= flagID
		size += 4
	}
	p := ch.unsentTail
	if p == nil || !c.full || len(p.buf)+HeaderSize+size > c.mtu {
		p = c.pool.take()
		p.channel, p.first = ch, ch.last
		if ch.unsentTail != nil {
			ch.unsentTail.next = p
		} else {
			ch.unsent = p
		}
		ch.unsentTail = p
		c.packets++
		if !ch.listed {
			ch.listed = true
			c.ready = append(c.ready, ch)
		}
	}
	p.buf = appendHeader(p.buf, ch.last, ch.number, kind, size)
	if hasID {
		p.buf = binary.BigEndian.AppendUint32(p.buf, id)
	}
	p.buf = append(p.buf, payload...)
	p.count++
	ch.last++
	c.queued += HeaderSize + size
	c.waiting += HeaderSize + size
}

// DropOldest drops the oldest records of a channel that were never sent, one packet
// of them, and tells how many bytes that was.
func (c *Conn) DropOldest(number uint8) (records, bytes int) {
	ch := c.channel(number)
	if ch == nil || ch.unsent == nil || ch.unsent.next == nil {
		return 0, 0
	}
	p := ch.unsent
	if p.unfinished() || ch.continues() {
		return 0, 0 // it would cut a message in two
	}
	ch.unsent = p.next
	ch.renumber()
	records, bytes = int(p.count), len(p.buf)
	c.waiting -= bytes
	c.forget(p)
	return records, bytes
}

// unfinished tells whether the packet's last record goes on in the next packet.
func (p *packet) unfinished() bool {
	last := uint8(0)
	for b := p.buf; len(b) >= HeaderSize; {
		h, _ := parse(b)
		last = h.kind
		b = b[HeaderSize+h.size:]
	}
	return last&flagMore != 0
}

// forget takes a packet out of the account and gives it back.
func (c *Conn) forget(p *packet) {
	c.packets--
	c.queued -= len(p.buf)
	c.pool.give(p)
}

// renumber gives what is not sent new sequences: something before it was dropped.
func (ch *channel) renumber() {
	seq := ch.next
	for p := ch.unsent; p != nil; p = p.next {
		p.first = seq
		for b := p.buf; len(b) >= HeaderSize; seq++ {
			binary.BigEndian.PutUint32(b, seq)
			b = b[HeaderSize+int(binary.BigEndian.Uint16(b[6:])):]
		}
	}
	ch.last = seq
}

// take takes the packet that is to be sent next.
func (c *Conn) take(ch *channel) *packet {
	p := ch.unsent
	c.aloft++
	c.waiting -= len(p.buf)
	ch.unsent = p.next
	if ch.unsent == nil {
		ch.unsentTail = nil
	}
	p.next = nil
	ch.next += p.count
	if ch.sentTail != nil {
		ch.sentTail.next = p
	} else {
		ch.sent = p
	}
	ch.sentTail = p
	ch.aloft += p.count
	ch.aloftBytes += len(p.buf)
	return p
}

// allowed tells whether the channel's next packet fits the peer's window. One packet
// may always be on its way: it finds out when there is room again.
func (ch *channel) allowed() bool {
	if ch.sent == nil {
		return true
	}
	return int(ch.aloft+ch.unsent.count) <= ch.records && ch.aloftBytes+len(ch.unsent.buf) <= ch.windowBytes
}
