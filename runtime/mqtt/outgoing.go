package mqtt

import "github.com/weftrun/weft/abi"

// Copy says how one session gets a message.
type Copy struct {
	// QoS is that of the delivery: the smaller of the message's and the
	// subscription's.
	QoS uint8
	// Retain is the RETAIN flag as the client is to see it.
	Retain bool
	// Group is the shared subscription that the copy was picked for; 0 is none.
	Group uint32
	// Identifiers are those of all subscriptions that matched, each at most once.
	// The session copies them.
	Identifiers []uint32
	// Expires is when the message expires, in nanoseconds since 1970-01-01 UTC;
	// 0 is never.
	Expires int64
	// Firm: no other message is dropped to make room for it.
	Firm bool
}

// Outgoing is a packet for the client: a PUBLISH, or a PUBREL if Release is set.
type Outgoing struct {
	// Message is what is published; nil for a PUBREL. It is valid until the next call
	// of a method of the session, Identifiers until that of one of the store's sessions.
	Message     *Message
	Identifiers []uint32
	// ID is the packet id; 0 for QoS 0.
	ID uint16
	// Expiry is the message expiry interval to send, in seconds, if HasExpiry.
	Expiry    uint32
	Group     uint32
	QoS       uint8
	HasExpiry bool
	Retain    bool
	Dup       bool
	Release   bool
}

// Passes tells whether Offer would answer Direct to a copy of this QoS: it is
// to be written at once, before nothing and behind nothing that the session holds.
func (s *Session) Passes(qos uint8) bool { return qos == 0 && s.online && s.held0 == 0 }

// Offer gives the session a copy of the message. What it keeps it copies; the
// copy is shared with the sessions of the store that were offered the same
// message before, one after the other. After Taken call Next (a session that is
// away has nothing for Next). now is in nanoseconds since 1970-01-01 UTC.
func (s *Session) Offer(m *abi.Message, c Copy, now int64) Outcome {
	o := s.offer(m, &c, now)
	s.store.counts.Outcomes[o]++
	return o
}

func (s *Session) offer(m *abi.Message, c *Copy, now int64) Outcome {
	s.letGo()
	s.firm = c.Firm
	switch {
	case s.ended:
		return DropEnded
	case s.releasing:
		return DropMessages
	case c.Expires != 0 && c.Expires <= now:
		return DropExpired
	case c.QoS == 0 && s.Passes(0):
		return Direct
	case c.QoS == 0 && !s.online && !s.limits.KeepQoS0:
		return DropOffline
	}
	size := entrySize + len(m.Topic) + len(m.Attrs) + len(m.Payload) + idsSize(len(c.Identifiers))
	if why := s.makeRoom(size, now); why != Taken {
		return why
	}
	kept := s.store.keep(m, c.Expires)
	if kept == nil {
		s.Sweep(now)
		kept = s.store.keep(m, c.Expires)
	}
	for kept == nil && s.evict() {
		kept = s.store.keep(m, c.Expires)
	}
	if kept == nil {
		s.present()
		return DropBudget
	}
	if !s.enqueue(kept, c) {
		s.store.release(kept)
		s.present()
		return DropBudget
	}
	s.bytes += size
	s.store.counts.Entries++
	if c.QoS == 0 {
		s.held0++
	}
	if c.Expires != 0 && (s.expiry == 0 || c.Expires < s.expiry) {
		s.expiry = c.Expires
	}
	s.present()
	return Taken
}

// enqueue puts the message behind the others; false if the budget has no room for
// its identifiers or its place.
func (s *Session) enqueue(kept *Message, c *Copy) bool {
	ids, ok := s.store.sets.pack(c.Identifiers)
	for !ok && s.evict() {
		ids, ok = s.store.sets.pack(c.Identifiers)
	}
	if !ok {
		return false
	}
	e := entry{message: kept.index, ids: ids, group: c.Group, qos: c.QoS, retain: c.Retain}
	for !s.queue.push(s.store, e) {
		if !s.evict() {
			s.store.sets.drop(ids)
			return false
		}
	}
	return true
}

// makeRoom sees to it that one more message of the size fits, or says why not.
func (s *Session) makeRoom(size int, now int64) Outcome {
	for swept := false; ; {
		why := Taken
		if s.Len() >= s.overrun(s.maxMessages()) {
			why = DropMessages
		} else if s.bytes+size > s.overrun(s.maxBytes()) {
			why = DropBytes
		}
		switch {
		case why == Taken:
			return Taken
		case !swept && s.expiry != 0 && s.expiry <= now:
			s.Sweep(now)
			swept = true
		case size > s.maxBytes() || !s.evict():
			return why
		}
	}
}

// evict gives up the message that has waited longest, if the policy says so and
// one waits.
func (s *Session) evict() bool {
	if s.limits.Policy != DropOldestFirst || s.firm || s.queue.n == 0 {
		return false
	}
	e := s.queue.pop(s.store)
	s.unqueued(&e)
	s.forget(&e, DropOldest)
	return true
}

// Sweep drops what waits and has expired. Next does so by itself with what
// comes to its turn, and Offer when the session is full: sweep sessions that are
// away now and then, to have the memory back sooner.
func (s *Session) Sweep(now int64) {
	if s.expiry == 0 || s.expiry > now {
		return
	}
	s.letGo()
	s.expiry = 0
	s.queue.filter(s.store, func(e *entry) bool {
		m := s.store.messages[e.message]
		if !m.expired(now) {
			if m.Expires != 0 && (s.expiry == 0 || m.Expires < s.expiry) {
				s.expiry = m.Expires
			}
			return true
		}
		s.unqueued(e)
		s.forget(e, DropExpired)
		return false
	})
	s.present()
}

// Next returns the next packet for the client, in order: first what is due again
// since Attach, then what waits, as far as the window goes. The caller writes it
// before it calls Next again; it does not call Next while the connection takes
// nothing. A QoS 0 message is gone from the session with this.
func (s *Session) Next(now int64) (o Outgoing, ok bool) {
	s.letGo()
	if !s.online {
		return o, false
	}
	o, ok = s.nextAgain(now)
	s.present()
	return o, ok
}

// nextWaiting takes the next message of the queue, past those that have expired.
func (s *Session) nextWaiting(now int64) (o Outgoing, ok bool) {
	for s.queue.n > 0 {
		if s.queue.front().qos > 0 && s.out.used >= s.window {
			return o, false
		}
		e := s.queue.pop(s.store)
		s.unqueued(&e)
		m := s.store.messages[e.message]
		if m.expired(now) {
			s.forget(&e, DropExpired)
			continue
		}
		o = s.packet(&e, m, now)
		if e.qos == 0 {
			m.refs++
			s.given = m
			s.forget(&e, Taken)
			return o, true
		}
		o.ID = s.out.add(s.store, e, int(orDefault(s.limits.Window, DefaultWindow)))
		s.out.mark(o.ID)
		return o, true
	}
	return o, false
}

// nextAgain is Next for what was sent on an earlier connection. Expiry ends
// nothing here: its delivery has begun (MQTT 5.0, section 4.4).
func (s *Session) nextAgain(now int64) (o Outgoing, ok bool) {
	for s.out.again != 0 {
		id := s.out.again
		sl := &s.out.slots[id-1]
		switch {
		case sl.sent: // its PUBREC came of its own accord
			s.out.again = sl.next
			continue
		case sl.state == awaitComp:
			o.Release, o.QoS, o.ID = true, 2, id
		case s.out.used >= s.window:
			return o, false
		default:
			o = s.packet(&sl.entry, s.store.messages[sl.message], now)
			o.ID, o.Dup = id, true
			s.store.counts.Redelivered++
		}
		s.out.again = sl.next
		s.out.mark(id)
		return o, true
	}
	return s.nextWaiting(now)
}

func (s *Session) packet(e *entry, m *Message, now int64) Outgoing {
	o := Outgoing{Message: m, QoS: e.qos, Retain: e.retain, Group: e.group}
	s.store.unpacked = s.store.sets.unpack(e.ids, s.store.unpacked[:0])
	o.Identifiers = s.store.unpacked
	o.Expiry, o.HasExpiry = m.Remaining(now)
	return o
}

// letGo releases the QoS 0 message that Next handed out last.
func (s *Session) letGo() {
	if s.given != nil {
		s.store.release(s.given)
		s.given = nil
	}
}

// unqueued notes that the entry is not in the queue any more.
func (s *Session) unqueued(e *entry) {
	if e.qos == 0 {
		s.held0--
	}
	if s.queue.n == 0 {
		s.expiry = 0
	}
}

// forget ends the session's hold on the entry's message; why counts it, unless it
// is Taken.
func (s *Session) forget(e *entry, why Outcome) {
	m := s.store.messages[e.message]
	s.bytes -= entrySize + len(m.Topic) + len(m.Attrs) + len(m.Payload) + s.store.sets.size(e.ids)
	s.store.counts.Entries--
	s.store.sets.drop(e.ids)
	s.store.release(m)
	if why != Taken {
		s.store.counts.Outcomes[why]++
	}
}
