package server

import (
	"time"

	"github.com/weftrun/weft/runtime/mqtt"
)

// unsureFor is how long a session waits before it moves for what its client has sent and
// nobody knows yet to be taken.
const unsureFor = 500 * time.Millisecond

// asked answers another node, to which the client of a session has connected: the session
// is in the bucket then, as far as this node has anything to say.
func (v *sessionMoves) asked(_ string, body []byte, answer func([]byte)) {
	var n sessionNote
	begun := n.parse(body) && v.call(func() {
		v.after(n.stamp)
		v.give(&n)
		answer(nil)
	})
	if !begun {
		answer(nil)
	}
}

// give returns when a session is in the bucket, and not here any more.
func (v *sessionMoves) give(n *sessionNote) {
	if v.keepsFrames(n.listener) {
		v.server.lasting.give(v.ctx, n.text)
		return
	}
	speaker := v.speakerOf(n.listener, n.key.ClientID)
	if speaker == nil {
		return
	}
	written := make(chan error, 1)
	until, wait := time.Now().Add(unsureFor), newPause(20*time.Millisecond)
	for again := true; again; {
		force := time.Now().After(until)
		if !v.onLoop(n.key.ClientID, func() {
			again = speaker.give(n.key, n.clean, force, func(err error) { written <- err })
		}) {
			select { // the loops have ended: what they had is about to be written
			case <-v.finished:
			case <-time.After(askWithin):
			}
			return
		}
		if again {
			wait.sleep(v.ctx)
		}
	}
	select {
	case err := <-written:
		if err == nil {
			v.out.Add(1)
		}
	case <-time.After(2 * writeWithin): // the writers have ended
	}
	v.kept.behind.settle(n.text)
}

// give closes the client's connection, has its session written and forgets it. True says
// that it is to be called again, as the end of something is not known yet.
func (s *mqttSpeaker) give(key mqtt.Key, clean, force bool, done func(error)) (again bool) {
	s.path.begin()
	if s.claims[key] != nil && !force {
		return true // it is about to be here
	}
	s.takeOver(key, mqtt.Start{Clean: clean})
	state := s.clients.Find(key)
	if state == nil {
		done(errMoved) // there is nothing of it, or it has ended
		return false
	}
	session := s.find(state.ID())
	if session.kept == nil {
		done(errMoved)
		return false
	}
	if !force && state.Unsure() > 0 {
		return true
	}
	k, kept := session.kept, s.path.server.durable.kept
	k.full, k.last, k.leaving = true, true, true
	record := s.record(session)
	var r keptRecord
	if r.parse(record) == nil {
		kept.moves.hold(&r)
	}
	kept.put(k.key, k.own, record, done)
	s.depart(session)
	return false
}

// depart forgets a session that goes on elsewhere.
func (s *mqttSpeaker) depart(session *mqttSession) {
	for i := range session.subscriptions {
		s.drop(session, &session.subscriptions[i])
	}
	session.subscriptions, session.kept = nil, nil
	s.away.Return(session.state)
	session.state.Move()
	s.clients.Remove(session.key, session.state)
	s.unmake(session)
	s.path.stays.remove(session.id)
}

// moved forgets this node's copy of a session that turned out to be another's. Writers
// call it.
func (v *sessionMoves) moved(text string, own *keptOwn) {
	listener, key, ok := cutKeptKey(text)
	if !ok {
		return
	}
	if v.keepsFrames(listener) {
		v.server.lasting.lose(text, own)
		return
	}
	speaker := v.speakerOf(listener, key.ClientID)
	if speaker == nil {
		return
	}
	v.call(func() { v.onLoop(key.ClientID, func() { speaker.lose(key, own) }) })
}

// lose forgets a session if it is the one that has own.
func (s *mqttSpeaker) lose(key mqtt.Key, own *keptOwn) {
	s.path.begin()
	state := s.clients.Find(key)
	if state == nil {
		return
	}
	session := s.find(state.ID())
	if session.kept == nil || session.kept.own != own {
		return // a later one
	}
	s.takeOver(key, mqtt.Start{})
	if s.clients.Find(key) == state {
		s.depart(session)
	}
	s.path.server.durable.kept.moves.lost.Add(1)
}

// told hears that a client has connected to another node.
func (v *sessionMoves) told(from string, body []byte) {
	var n sessionNote
	if !n.parse(body) {
		return
	}
	v.after(n.stamp)
	if speaker := v.speakerOf(n.listener, n.key.ClientID); speaker != nil {
		v.onLoop(n.key.ClientID, func() { speaker.elsewhere(&n, from) })
	}
}

// elsewhere ends what this node has of a client that has connected to another one. Of two
// connections that have not heard of each other both nodes leave the same one: that of the
// greater stamp, then of the greater name.
func (s *mqttSpeaker) elsewhere(n *sessionNote, node string) {
	p := s.path
	p.begin()
	state := s.clients.Find(n.key)
	if state == nil {
		return
	}
	session := s.find(state.ID())
	if stamp := s.stamps[session.id]; session.peer != nil && (stamp > n.stamp || stamp == n.stamp && p.server.node > node) {
		return
	}
	if session.kept != nil && !n.clean {
		s.dirty(session) // the next write finds out whose it is
		return
	}
	p.server.durable.kept.moves.elsewhere.Add(1)
	s.takeOver(n.key, mqtt.Start{Clean: true})
}
