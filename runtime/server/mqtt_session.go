package server

import (
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// newSession makes a session for a client; nil if there is no room for one. What one
// takes that does not outlive its connection, the bound of connections covers; one that
// does is in the budget.
func (s *mqttSpeaker) newSession(key mqtt.Key, start mqtt.Start) *mqttSession {
	session := &mqttSession{key: key}
	if start.Expiry > 0 {
		if !s.budget.Take(mqtt.SessionCost(key)) {
			return nil
		}
		session.counted = true
	}
	if s.setup.sessions.Add(1) > int64(s.setup.Session.Sessions) {
		s.unmake(session)
		return nil
	}
	st := s.path.stays.add(s.path.loop.Index(), s.listener.index)
	if st == nil {
		s.unmake(session)
		return nil
	}
	session.id, session.state = st.id, mqtt.NewSession(s.store, st.id, &s.setup.limits)
	_ = s.clients.Put(key, session.state) // it has no bound of its own
	st.said = session
	return session
}

// unmake takes a session out of the bounds.
func (s *mqttSpeaker) unmake(session *mqttSession) {
	s.setup.sessions.Add(-1)
	delete(s.stamps, session.id)
	s.dropContext(session)
	if session.counted {
		s.budget.Give(mqtt.SessionCost(session.key))
	}
}

// takeOver ends the connection that the client still has, and its session if it asks
// for a clean one (MQTT-3.1.4-3, -4).
func (s *mqttSpeaker) takeOver(key mqtt.Key, start mqtt.Start) {
	state := s.clients.Find(key)
	if state == nil {
		return
	}
	session := s.find(state.ID())
	if old := session.peer; old != nil {
		if lane := s.path.lanes[s.listener.index]; len(lane.batch.Messages) > 0 {
			s.path.runNow(lane) // its last messages may be among them
		}
		s.path.server.crowd.Info("session taken over", "listener", s.listener.name, "client", key.ClientID, "remote", old.conn.Remote())
		s.counts.takeovers++
		s.dismiss(old, old.said.(*mqttConn), packet.SessionTakenOver, "another connection with this client id has begun", engine.ReasonReplaced)
		s.detach(session)
		s.gone(session)
	}
	if start.Clean {
		s.away.End(state, s.path.now)
	}
	s.due()
}

// detach takes the session from its connection.
func (s *mqttSpeaker) detach(session *mqttSession) {
	from := session.peer
	c := from.said.(*mqttConn)
	c.was = session
	s.keepContext(session)
	session.peer, c.session = nil, nil
	s.path.stays.get(session.id).peer = nil
}

// closed implements speaker.
func (s *mqttSpeaker) closed(from *peer, reason engine.Reason) {
	from.said.(*mqttConn).phase = mqttClosing
	s.ending = s.ending || reason == engine.ReasonDrained || reason == engine.ReasonStopped
	s.tooEarly(from.said.(*mqttConn))
	defer s.parted(from) // even if its last messages meet a panic
	if from.session != nil {
		s.leaving = from
		s.path.leave(from, reason, true)
	}
}

// parted takes a client's session from its connection, which is gone.
func (s *mqttSpeaker) parted(from *peer) {
	s.leaving = nil
	if from.session != nil {
		s.path.server.sessions.Close(from.session) // whatever plugins still did
	}
	session := from.said.(*mqttConn).session
	if session == nil {
		return
	}
	s.detach(session)
	s.path.begin()
	s.gone(session)
	s.due()
}

// gone begins the absence of a session's client.
func (s *mqttSpeaker) gone(session *mqttSession) {
	s.away.Leave(session.state, session.start.Expiry, s.path.now)
	if session.kept != nil {
		session.kept.left = s.path.now
		_, delay := session.state.Will()
		session.kept.will = s.path.now + int64(delay)*int64(time.Second)
		s.dirty(session)
	}
}

// due publishes the wills whose time has come, and ends sessions.
func (s *mqttSpeaker) due() {
	for {
		s.path.runFull(s.path.lanes[s.listener.index]) // of wills; before the next is taken: a panic must not cost it
		d, ok := s.away.Due(s.path.now)
		if !ok {
			return
		}
		session := s.find(d.Session.ID())
		if d.Will != nil {
			s.testament(session, d.Will)
			s.dirty(session)
		}
		if d.Ended {
			s.end(session)
		}
	}
}

// testament sends a client's will through the listener's chain. It is nobody's
// session's: the client has gone.
func (s *mqttSpeaker) testament(session *mqttSession, will *mqtt.Message) {
	p := s.path
	var m abi.Message
	will.Fill(&m)
	m.Session, m.Time, m.Context = 0, p.now, nil
	if session.context != nil {
		m.Context = s.keep(session.context.context)
	}
	m.Topic, m.Payload, m.Attrs = s.keep(m.Topic), s.keep(m.Payload), s.keep(m.Attrs)
	m.Listener = s.listener.index
	s.counts.wills++
	p.ledger.In++
	lane := p.lanes[s.listener.index]
	lane.counts.in(&m)
	lane.batch.Messages = append(lane.batch.Messages, m)
	p.loop.Again() // should this be the end of a turn
}

// end forgets a session. What others of its shared subscriptions may have goes to them.
func (s *mqttSpeaker) end(session *mqttSession) {
	p := s.path
	keys := s.groupKeys(session)
	for i := range session.subscriptions {
		s.drop(session, &session.subscriptions[i])
	}
	session.subscriptions = nil
	s.unkeep(session)
	session.state.Release(func(stored *mqtt.Message, c mqtt.Copy) { s.passOn(stored, &c, keys[c.Group]) })
	s.strand(session)
	session.state.End()
	s.clients.Remove(session.key, session.state)
	s.unmake(session)
	p.stays.remove(session.id)
}

// groupKeys is by what other nodes know the session's shared subscriptions, by their
// numbers here; nil without others.
func (s *mqttSpeaker) groupKeys(session *mqttSession) (keys map[uint32]uint64) {
	if s.path.far == nil {
		return nil
	}
	for i := range session.subscriptions {
		if !session.subscriptions[i].shared {
			continue
		}
		group, pattern, _, _ := mqtt.CutShare(session.subscriptions[i].filter)
		if g := s.groups.Group(s.groups.Number(group, pattern)); g != nil {
			if keys == nil {
				keys = map[uint32]uint64{}
			}
			keys[g.ID] = keyOf(g)
		}
	}
	return keys
}

// passOn gives a message of a shared subscription to another member: one of this node,
// or else of another one that knows it by the key.
func (s *mqttSpeaker) passOn(stored *mqtt.Message, c *mqtt.Copy, key uint64) {
	p := s.path
	var m abi.Message
	stored.Fill(&m)
	m.Topic, m.Payload, m.Attrs = s.keep(m.Topic), s.keep(m.Payload), s.keep(m.Attrs)
	m.Flags |= abi.FlagRedelivered
	m.Frame = nil
	p.encoded.reset(abi.ChangesKnown)
	if s.ending { // the members here end, too
		if !p.passFar(&m, key) {
			p.ledger.DropCopy(delivery.Draining)
		}
		return
	}
	if !p.took(p.toGroup(&m, groupSession(c.Group))) {
		p.passFar(&m, key)
	}
}

// sweptEach is how many sessions that are away each tick looks at for expired
// messages.
const sweptEach = 64

// tick implements speaker.
func (s *mqttSpeaker) tick(now time.Time) {
	p := s.path
	p.begin()
	s.due()
	s.away.Sweep(p.now, sweptEach)
	if p.loop.Index() == 0 {
		s.retained.Expire(now.UnixNano())
	}
	s.catchUp()
	if len(s.stuck) > 0 {
		s.unstick()
	}
	s.relieve(p.now)
	s.counts.publish(s)
}

// catchUp goes on with the sessions that have more to send than their connections took,
// as far as these have been written meanwhile.
func (s *mqttSpeaker) catchUp() {
	behind := s.behind
	s.behind = s.caught[:0]
	for i, session := range behind {
		session.lagging = false
		behind[i] = nil
		s.catch(session)
	}
	s.caught = behind[:0]
}

// catchRounds is how often in a turn a session's outbox is filled and written: a client
// that reads fast must not have the loop for itself.
const catchRounds = 4

// catch sends what the session has until its connection takes no more: then the loop
// hears when it does.
func (s *mqttSpeaker) catch(session *mqttSession) {
	for range catchRounds {
		if session.peer == nil {
			return
		}
		session.peer.conn.Flush()
		if session.peer.conn.Queued() > s.listener.outbox/2 {
			s.lag(session)
			return
		}
		if s.pump(session); !session.lagging {
			return
		}
		session.lagging = false
		s.behind = s.behind[:len(s.behind)-1] // it is the last one
	}
	s.lag(session)
	s.path.loop.Again()
}

// left says why a connection ends that the engine or another part of weft closes, to
// a client that a server may tell.
func (s *mqttSpeaker) left(from *peer, reason engine.Reason) {
	c, ok := from.said.(*mqttConn)
	if !ok || c.phase != mqttOpen {
		return
	}
	code := packet.UnspecifiedError
	switch reason {
	case engine.ReasonSilence:
		code = packet.KeepAliveTimeout
	case engine.ReasonDrained, engine.ReasonStopped:
		code = packet.ServerShuttingDown
	case engine.ReasonUnitTooLong:
		code = packet.PacketTooLarge
	case engine.ReasonReplaced:
		code = packet.SessionTakenOver
	case engine.ReasonOperator:
		code = packet.AdministrativeAction
	case engine.ReasonDenied, engine.ReasonVerdict:
		code = packet.NotAuthorized
	case engine.ReasonReadDeadline:
		code = packet.MaximumConnectTime
	}
	s.bye(from, c, code, "")
}

// pending implements speaker: see awaits for clients that are there. What waits for one
// that is away is not for the end of a drain.
func (s *mqttSpeaker) pending() bool { return false }

// drainPatience is how long a drain waits for a client that acknowledges nothing, in
// nanoseconds.
const drainPatience = int64(2 * time.Second)

// awaits implements awaiter: what waits for the client's acknowledgements, in flight or
// behind the window, is still delivered, as long as they come and the drain has time.
// What a session that is kept holds is the next start's.
func (s *mqttSpeaker) awaits(from *peer) bool {
	c, ok := from.said.(*mqttConn) // none before the end of WebSocket's handshake
	if !ok || c.session == nil || c.session.kept != nil || c.session.state.Len() == 0 {
		return false
	}
	now := s.path.loop.Now().UnixNano() // the turn's work is over
	if s.deafAt == 0 {
		s.deafAt = time.Now().UnixNano() // the turn may have begun before the drain
	}
	if now >= s.path.server.awaitUntil.Load() {
		return false
	}
	return from.conn.Queued() > 0 || now-max(s.deafAt, c.session.moved) < drainPatience
}

// strand counts what a session holds that ends with the process, if it ends now.
func (s *mqttSpeaker) strand(session *mqttSession) {
	if (s.ending || s.path.loop.Deaf()) && session.kept == nil {
		s.path.ledger.CopiesDropped[delivery.Draining] += uint64(session.state.Undelivered())
	}
}

// dismissed is told that a plugin ends the session.
func (s *mqttSpeaker) dismissed(from *peer, reason []byte) {
	s.dismiss(from, from.said.(*mqttConn), packet.NotAuthorized, string(reason), engine.ReasonVerdict)
}
