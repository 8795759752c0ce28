package datagram

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// data takes the record h at the front of b. size is what it has used of b: more
// than the record where several are kept together.
func (c *Conn) data(h header, payload, b []byte) (size int, err error) {
	size = HeaderSize + h.size
	ch := c.channel(h.channel)
	if ch == nil || !c.full && h.kind&^kindMask != 0 {
		return 0, ErrProtocol
	}
	c.owe(ch)
	if h.seq == ch.expect && !c.paused {
		if int(h.seq-ch.acked) > c.cfg.Window {
			c.counters.Beyond++
			return size, nil
		}
		if err = c.hand(ch, h, payload); err == nil && ch.head < len(ch.runs) {
			err = c.handOn(ch)
		}
		return size, err
	}
	if before(h.seq, ch.expect) {
		c.counters.Duplicates++
		return size, nil
	}
	count := uint32(1)
	for rest := b[size:]; ; count++ {
		next, ok := parse(rest)
		if k := Kind(next.kind & kindMask); !ok || next.channel != h.channel || next.seq != h.seq+count || k == Ack || k == Heartbeat || k > Event {
			break
		}
		rest = rest[HeaderSize+next.size:]
		size = len(b) - len(rest)
	}
	c.early(ch, h.seq, count, b[:size])
	return size, c.handOn(ch)
}

// hand gives the next record of a channel to the sink, when it completes a message.
func (c *Conn) hand(ch *channel, h header, payload []byte) error {
	ch.expect = h.seq + 1
	if h.kind&flagMore != 0 || ch.inParts {
		return c.handPart(ch, h, payload)
	}
	m := Message{Channel: ch.number, Kind: Kind(h.kind & kindMask), Seq: h.seq, Payload: payload}
	if h.kind&flagID != 0 {
		if len(payload) < 4 {
			return ErrProtocol
		}
		m.HasID, m.ID, m.Payload = true, binary.BigEndian.Uint32(payload), payload[4:]
	}
	return c.give(ch, m)
}

func (c *Conn) give(ch *channel, m Message) error {
	if len(m.Payload) > c.cfg.MaxMessage {
		return ErrTooLong
	}
	c.counters.Received++
	if c.cfg.Settle {
		m.Receipt = receipt(ch.number, m.Seq)
		ch.pending.wait(m.Seq)
	} else {
		ch.acked = m.Seq
	}
	c.sink.Message(m)
	return nil
}

// handPart collects a message of several records. Its first parts count as settled:
// the message does not before its last record is.
func (c *Conn) handPart(ch *channel, h header, payload []byte) error {
	if !ch.inParts {
		ch.partial = append(ch.partial[:0], h.kind)
		ch.inParts = true
	} else if h.kind&kindMask != ch.partial[0]&kindMask || h.kind&flagID != 0 {
		return ErrProtocol
	}
	c.parts += len(payload)
	if len(ch.partial)+len(payload) > c.cfg.MaxMessage+5 {
		return ErrTooLong
	}
	if most := c.cfg.WindowBytes + c.cfg.MaxMessage; c.parts > most {
		return fmt.Errorf("%w: %d bytes of unfinished messages, at most %d are taken (PROTOCOL.md, Long messages)", ErrProtocol, c.parts, most)
	}
	ch.partial = append(ch.partial, payload...)
	if h.kind&flagMore != 0 {
		if ch.pending.pass(h.seq) {
			ch.acked = h.seq
		}
		return nil
	}
	whole := h
	whole.kind = ch.partial[0] &^ flagMore
	ch.inParts = false
	c.parts -= len(ch.partial) - 1
	err := c.hand(ch, whole, ch.partial[1:])
	ch.partial = nil // lent to the sink
	return err
}

// early keeps records that cannot be handed over yet, if they are within the window.
func (c *Conn) early(ch *channel, first, count uint32, b []byte) {
	if int(first+count-1-ch.acked) > c.cfg.Window {
		c.counters.Beyond += uint64(count)
		return
	}
	at := len(ch.runs)
	for at > ch.head && before(first, ch.runs[at-1].first) {
		at--
	}
	if at > ch.head && before(first, ch.runs[at-1].end()) || at < len(ch.runs) && before(ch.runs[at].first, first+count) {
		if count == 1 {
			c.counters.Duplicates++
			return
		}
		for ; count > 0; count-- { // some of it is here already
			size := HeaderSize + int(binary.BigEndian.Uint16(b[6:]))
			c.early(ch, first, 1, b[:size])
			first, b = first+1, b[size:]
		}
		return
	}
	if c.held+len(b) > c.cfg.WindowBytes || c.runs >= c.cfg.Window {
		c.counters.Beyond += uint64(count)
		return
	}
	c.counters.OutOfOrder += uint64(count)
	c.held += len(b)
	ch.held += len(b)
	c.runs++
	kept := run{first: first, count: count}
	if 4*len(b) < c.pool.size || len(b) > c.pool.size { // no large buffer for little
		kept.buf = append(make([]byte, 0, len(b)), b...)
	} else {
		kept.packet = c.pool.take()
		kept.buf = append(kept.packet.buf, b...)
	}
	ch.runs = slices.Insert(ch.runs, at, kept)
}

// handOn hands over what waits and has become due.
func (c *Conn) handOn(ch *channel) error {
	for ; ch.head < len(ch.runs) && ch.runs[ch.head].first == ch.expect && !c.paused; ch.head++ {
		r := &ch.runs[ch.head]
		for b := r.buf; len(b) > 0 && !c.paused; {
			h, _ := parse(b)
			size := HeaderSize + h.size
			if err := c.hand(ch, h, b[HeaderSize:size:size]); err != nil {
				return err
			}
			if c.err != nil {
				return c.err
			}
			b = b[size:]
			r.first, r.count = r.first+1, r.count-1
			if c.paused && len(b) > 0 { // the rest waits
				c.held -= len(r.buf) - len(b)
				ch.held -= len(r.buf) - len(b)
				r.buf = b
			}
		}
		if r.count > 0 {
			break
		}
		c.held -= len(r.buf)
		ch.held -= len(r.buf)
		c.runs--
		if r.packet != nil {
			c.spent = append(c.spent, r.packet)
		}
		*r = run{}
	}
	switch {
	case ch.head == len(ch.runs):
		ch.runs, ch.head = ch.runs[:0], 0
	case ch.head >= 256 && ch.head > len(ch.runs)/2:
		ch.runs, ch.head = slices.Delete(ch.runs, 0, ch.head), 0
	}
	return nil
}

// owe notes that the channel's state is to be told to the peer.
func (c *Conn) owe(ch *channel) {
	if !ch.owing {
		ch.owing = true
		c.due = append(c.due, ch)
	}
}

// oweAll notes that of every channel that was used.
func (c *Conn) oweAll() {
	if c.first.acked != c.cookie {
		c.owe(&c.first)
	}
	for _, ch := range c.more {
		if ch.acked != c.cookie {
			c.owe(ch)
		}
	}
}

// Pause stops handing over messages: what arrives waits within the window, and the
// peer is told how much of it is left.
func (c *Conn) Pause() { c.paused = true }

// Paused tells whether Pause was called last, not Resume.
func (c *Conn) Paused() bool { return c.paused }

// Resume goes on after Pause, with what has waited.
func (c *Conn) Resume() error {
	if !c.paused || c.err != nil {
		return c.err
	}
	c.paused = false
	resume := func(ch *channel) error {
		c.owe(ch) // the window is open
		return c.handOn(ch)
	}
	err := resume(&c.first)
	for _, ch := range c.more {
		if err == nil {
			err = resume(ch)
		}
	}
	if err != nil {
		c.fail(err)
	}
	return err
}

// A receipt holds the channel and the low bits of the sequence: what is not settled
// lies within a window of at most MaxWindow.
const (
	receiptSeq = 1<<23 - 1
	receiptBit = 1 << 23 // so that none is 0
)

func receipt(channel uint8, seq uint32) uint32 {
	return uint32(channel)<<24 | receiptBit | seq&receiptSeq
}

// Settle says that the message with this receipt was accepted, for good; with
// Config.Settle only then it is acknowledged. In any order; twice does nothing.
func (c *Conn) Settle(receipt uint32) {
	ch := &c.first
	if number := uint8(receipt >> 24); number != 0 {
		if ch = c.more[number]; ch == nil {
			return
		}
	}
	seq := ch.acked + (receipt-ch.acked)&receiptSeq
	if last, ok := ch.pending.settle(seq); ok {
		ch.acked = last
		c.owe(ch)
	}
}

// SettleAll settles whatever is not settled: nobody will say any more what became of
// it.
func (c *Conn) SettleAll() {
	settle := func(ch *channel) {
		if s := &ch.pending; s.head < len(s.seqs) {
			ch.acked = s.seqs[len(s.seqs)-1]
			s.seqs, s.done, s.head = s.seqs[:0], s.done[:0], 0
			c.owe(ch)
		}
	}
	settle(&c.first)
	for _, ch := range c.more {
		settle(ch)
	}
}

// settling is the messages of a channel that were handed over and not settled.
type settling struct {
	seqs []uint32
	done []bool
	head int
}

// wait adds a message.
func (s *settling) wait(seq uint32) {
	if s.head > 0 && s.head == len(s.seqs) {
		s.seqs, s.done, s.head = s.seqs[:0], s.done[:0], 0
	} else if s.head >= 1024 && s.head > len(s.seqs)/2 {
		n := copy(s.seqs, s.seqs[s.head:])
		copy(s.done, s.done[s.head:])
		s.seqs, s.done, s.head = s.seqs[:n], s.done[:n], 0
	}
	s.seqs, s.done = append(s.seqs, seq), append(s.done, false)
}

// pass adds a record that needs no settling; true if nothing is before it.
func (s *settling) pass(seq uint32) bool {
	if s.head == len(s.seqs) {
		return true
	}
	s.wait(seq)
	s.done[len(s.done)-1] = true
	return false
}

// settle marks one. ok: everything up to last is settled now.
func (s *settling) settle(seq uint32) (last uint32, ok bool) {
	open := s.seqs[s.head:]
	at := 0
	if len(open) == 0 || open[0] != seq {
		if at, ok = slices.BinarySearchFunc(open, seq, func(a, b uint32) int { return int(int32(a - b)) }); !ok {
			return 0, false
		}
	}
	s.done[s.head+at] = true
	if at > 0 {
		return 0, false
	}
	for s.head < len(s.seqs) && s.done[s.head] {
		last = s.seqs[s.head]
		s.head++
	}
	return last, true
}
