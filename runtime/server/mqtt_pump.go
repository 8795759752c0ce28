package server

import (
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// pump writes what the session has for its client, as far as the client's window and
// the connection's outbox go.
func (s *mqttSpeaker) pump(session *mqttSession) {
	c := session.conn()
	if c == nil || c.phase != mqttOpen {
		return
	}
	p := s.path
	p.begin()
	for {
		if session.peer.conn.Queued() > s.listener.outbox/2 {
			s.lag(session)
			return
		}
		o, ok := session.state.Next(p.now)
		if !ok {
			if !session.replaying() || p.loop.Deaf() || !s.replayed(session) { // who subscribes again gets retained messages again
				return
			}
			continue
		}
		s.write(session, c, &o)
	}
}

// replayed offers the session the next retained messages; false if nothing came of it
// for now.
func (s *mqttSpeaker) replayed(session *mqttSession) bool {
	p := s.path
	for session.replaying() && session.replay.Ready(session.state) {
		if s.looked >= maxLooked {
			s.look(session)
			return false
		}
		page, copied := session.replay.Next(s.retained, session.state, p.now)
		s.looked += 1 + (mqtt.PageLen-len(page))/8
		if len(page) == 0 && session.state.InFlight() > 0 {
			return false
		}
		offered, on := s.offerStored(session, page, copied)
		if offered {
			return true
		}
		if !on {
			return false
		}
	}
	return false
}

// offerStored offers the session a page of retained messages, as far as its connection
// and the budget go: what is left of it waits for the next tick, and on is false.
// offered tells whether the session has something to send now.
func (s *mqttSpeaker) offerStored(session *mqttSession, page []*mqtt.Message, copied mqtt.Copy) (offered, on bool) {
	for _, stored := range page {
		if !s.fitsNow(session, stored) {
			session.replay.Rewind(stored)
			s.lag(session)
			return offered, false
		}
		var m abi.Message
		stored.Fill(&m)
		one := copied
		one.QoS, one.Expires = min(copied.QoS, m.QoS), stored.Expires
		switch session.state.Offer(&m, one, s.path.now) {
		case mqtt.Direct:
			s.directStored(session, &m, stored, &one)
		case mqtt.Taken:
			offered = true
		case mqtt.DropBudget:
			session.replay.Back(session.state, stored)
			s.lag(session) // it can wait
			return offered, false
		}
	}
	return offered, true
}

// fitsNow tells whether a retained message may be written: behind little that the
// client has not read, and within the outbox, or alone.
func (s *mqttSpeaker) fitsNow(session *mqttSession, stored *mqtt.Message) bool {
	conn := session.peer.conn
	size, outbox := len(stored.Topic)+len(stored.Attrs)+len(stored.Payload)+publishHead, s.listener.outbox
	fits := func(queued int) bool { return queued == 0 || queued <= outbox/2 && queued+size <= outbox }
	if fits(conn.Queued()) {
		return true
	}
	conn.Flush() // what this turn has sent may be all that waits
	return fits(conn.Queued())
}

// publishHead is about what a PUBLISH has beside its topic, properties and payload.
const publishHead = 64

// maxLooked bounds the search for retained messages in one turn: a page that is full
// counts 1, one for which a thousand topics were looked at in vain 5. One SUBSCRIBE may
// ask for a thousand searches through all topics.
const maxLooked = 20

// look lets the search for the session's retained messages go on when the turn ends.
func (s *mqttSpeaker) look(session *mqttSession) {
	if !session.looking {
		session.looking = true
		s.looking = append(s.looking, session)
	}
}

// turn implements turner: sessions whose retained messages are looked for go on in
// turn.
func (s *mqttSpeaker) turn() {
	if len(s.behind) > 0 {
		s.catchUp()
	}
	s.looked = 0
	for n := len(s.looking); n > 0 && s.looked < maxLooked; n-- {
		session := s.looking[0]
		s.looking = slices.Delete(s.looking, 0, 1)
		session.looking = false
		s.pump(session)
	}
	if len(s.looking) > 0 {
		s.path.loop.Again()
	}
}

// failed implements turner: each message that was lost is told to ended.
func (s *mqttSpeaker) failed() {}

// directStored writes a retained message of QoS 0.
func (s *mqttSpeaker) directStored(session *mqttSession, m *abi.Message, stored *mqtt.Message, copied *mqtt.Copy) {
	c := session.conn()
	expiry, expires := stored.Remaining(s.path.now)
	s.sending = packet.Publish{Retain: true, Topic: m.Topic, Payload: m.Payload}
	s.describe(c, m.Attrs, expiry, expires, copied.Identifiers)
	unit, why := s.encode(c)
	if why != taken {
		s.path.ledger.DropCopy(why)
		return
	}
	s.counts.sent[packet.TypePublish]++
	if s.put(session.peer, c, unit, 0) == engine.Pressed {
		s.path.loop.Hold(session.peer.conn.ID(), session.peer.conn.ID())
	}
}

// put writes a PUBLISH of the session's. One of QoS 0 that the outbox does not keep is
// lost and counted; any other is still in flight.
func (s *mqttSpeaker) put(to *peer, c *mqttConn, unit []byte, qos uint8) engine.Sent {
	priority := uint8(0)
	if qos > 0 {
		priority = s.setup.firm
	}
	sent := s.path.write(to, unit, priority)
	if sent == engine.Dropped {
		if c.out != nil {
			c.out.Forget(s.alias) // perhaps the client never hears what it stands for
		}
		if qos == 0 {
			s.path.ledger.DropCopy(delivery.OutboxFull)
		}
	}
	return sent
}

// write writes one packet of the session's.
func (s *mqttSpeaker) write(session *mqttSession, c *mqttConn, o *mqtt.Outgoing) {
	if o.Release {
		s.sendAck(session.peer, c, packet.TypePubrel, o.ID, packet.Success)
		return
	}
	s.sending = packet.Publish{Dup: o.Dup, Retain: o.Retain, QoS: o.QoS, ID: o.ID, Topic: o.Message.Topic, Payload: o.Message.Payload}
	s.describe(c, o.Message.Attrs, o.Expiry, o.HasExpiry, o.Identifiers)
	unit, why := s.encode(c)
	if why != taken {
		if o.ID != 0 {
			session.state.Abandon(o.ID)
		}
		s.path.ledger.DropCopy(why)
		return
	}
	s.counts.sent[packet.TypePublish]++
	if o.QoS > 0 {
		session.moved = s.path.now
	}
	s.put(session.peer, c, unit, o.QoS)
}

// lag notes that the session has more to send than its connection takes now.
func (s *mqttSpeaker) lag(session *mqttSession) {
	if !session.lagging {
		session.lagging = true
		s.behind = append(s.behind, session)
	}
}

// press holds back who publishes faster than the session's client takes: because its
// connection is full, or because more than half of what may wait for it waits.
func (s *mqttSpeaker) press(m *abi.Message, session *mqttSession) {
	to := session.peer
	if to == nil || !s.listener.pauses || to.session.ID() == m.Session {
		return
	}
	if !session.pressed && s.crowded(session, 2) {
		session.pressed, session.moved = true, s.path.now
		to.conn.SetBusy(true)
		s.pressed = append(s.pressed, session)
	}
	if session.pressed || session.lagging {
		s.path.hold(m, to.conn.ID())
	}
}

// crowded tells whether more than so many parts of what may wait for the session
// waits.
func (s *mqttSpeaker) crowded(session *mqttSession, parts int) bool {
	l := &s.setup.limits
	return session.state.Waiting() > l.Messages/parts || session.state.Bytes() > l.Bytes/parts
}

// maxPress is how long publishers wait for a client that acknowledges nothing. Two
// clients may wait for each other's acknowledgements, which nobody reads then.
const maxPress = int64(time.Second)

// relieve lets publishers go on where the client has caught up, or does not move.
func (s *mqttSpeaker) relieve(now int64) {
	kept := s.pressed[:0]
	for _, session := range s.pressed {
		if session.peer != nil && s.crowded(session, 4) && now-session.moved < maxPress {
			kept = append(kept, session)
			continue
		}
		s.release(session)
	}
	clear(s.pressed[len(kept):])
	s.pressed = kept
}

func (s *mqttSpeaker) release(session *mqttSession) {
	session.pressed = false
	if session.peer != nil {
		session.peer.conn.SetBusy(false)
	}
}
