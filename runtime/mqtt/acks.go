package mqtt

// Match says what an acknowledgement from the client met.
type Match uint8

// What an acknowledgement meets.
const (
	// Matched: it ends its step; after it call Next, the window may have opened.
	Matched Match = iota
	// Unknown: nothing in flight has the packet id. PUBREC is answered with PUBREL
	// 0x92 (packet identifier not found), the others are ignored.
	Unknown
	// Mismatched: the exchange with this id waits for another packet: a protocol
	// error.
	Mismatched
)

// Puback ends a QoS 1 exchange. refused says that the reason code was 0x80 or
// more: the message is not sent again, to nobody.
func (s *Session) Puback(id uint16, refused bool) Match {
	sl := s.out.find(id)
	switch {
	case sl == nil:
		return Unknown
	case sl.state != awaitAck:
		return Mismatched
	}
	s.finish(id, sl, refused)
	return Matched
}

// Pubrec is the first answer to a QoS 2 message. If it is Matched and not
// refused (reason code 0x80 or more), PUBREL is to be written; the message's
// bytes are free then, and nothing but PUBCOMP ends the exchange.
func (s *Session) Pubrec(id uint16, refused bool) Match {
	sl := s.out.find(id)
	switch {
	case sl == nil:
		return Unknown
	case sl.state == awaitAck:
		return Mismatched
	case refused && sl.state == awaitRec:
		s.finish(id, sl, true)
		return Matched
	case sl.state == awaitRec:
		s.forget(&sl.entry, Taken)
		sl.entry = entry{qos: 2}
		sl.state = awaitComp
		s.store.counts.Entries++ // the exchange still is one
	}
	if !sl.sent {
		s.out.mark(id) // PUBREL is on its way
	}
	return Matched
}

// Pubcomp ends a QoS 2 exchange. refused counts nothing: the client had the
// message at PUBREC.
func (s *Session) Pubcomp(id uint16) Match {
	sl := s.out.find(id)
	switch {
	case sl == nil:
		return Unknown
	case sl.state != awaitComp:
		return Mismatched
	}
	s.store.counts.Entries--
	s.out.remove(id)
	s.present()
	return Matched
}

// Abandon ends an exchange that Next has just begun and that was not written,
// because the client takes no packet of its size: MQTT orders to act as if it
// had been delivered (MQTT-3.1.2-25).
func (s *Session) Abandon(id uint16) {
	if sl := s.out.find(id); sl != nil && sl.state != awaitComp {
		s.forget(&sl.entry, DropTooLarge)
		s.out.remove(id)
		s.present()
	}
}

func (s *Session) finish(id uint16, sl *slot, refused bool) {
	why := Taken
	if refused {
		why = DropRefused
	}
	s.forget(&sl.entry, why)
	s.out.remove(id)
	s.present()
}

// Release takes out of the session what it holds for shared subscriptions and
// another member may have: what waits, and QoS 1 messages that are not
// acknowledged. A QoS 2 message whose delivery has begun stays: MQTT forbids to
// give it to another (MQTT-4.8.2-5). give gets the messages in order; they are
// valid during the call, in which the session itself takes nothing. Call it when the
// session ends, or when its client is gone and the group shall not wait for it.
func (s *Session) Release(give func(m *Message, c Copy)) {
	s.letGo()
	s.releasing = true
	s.present()
	defer func() {
		s.releasing = false
		s.present()
	}()
	for id := s.out.head; id != 0; {
		sl := &s.out.slots[id-1]
		next := sl.next
		if sl.group != 0 && sl.state == awaitAck {
			s.hand(&sl.entry, give)
			s.out.remove(id)
		}
		id = next
	}
	s.queue.filter(s.store, func(e *entry) bool {
		if e.group == 0 {
			return true
		}
		s.unqueued(e)
		s.hand(e, give)
		return false
	})
}

func (s *Session) hand(e *entry, give func(m *Message, c Copy)) {
	m := s.store.messages[e.message]
	give(m, Copy{QoS: e.qos, Group: e.group, Expires: m.Expires})
	s.forget(e, Taken)
}
