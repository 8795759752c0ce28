package server

import (
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// speaker is a protocol that keeps state for each of its sessions, as MQTT does. There
// is one for each such listener and loop; all methods run on the loop's goroutine. A
// protocol without such state is a frame format, and needs none.
type speaker interface {
	// opened tells of a connection whose bytes are the protocol's: what is below it
	// (TLS, WebSocket) is done. Its session begins when the speaker calls path.join.
	opened(from *peer)
	// data cuts what b holds, as engine.Handler.Data, and hands each message to
	// path.enter.
	data(from *peer, b []byte) (consumed, need int)
	// deliver takes a message to a session of this loop, through these subscriptions
	// of it, or because it is addressed to it where there are none. It answers taken,
	// or why it was not. The message's bytes belong to the turn.
	deliver(m *abi.Message, to uint64, by []router.Subscriber) delivery.Reason
	// ended tells what became of a message that came with a Receipt: taken, or why it
	// was not, on the loop that it came to. It is called once for each; a panic in the
	// middle may make it twice, the second time with delivery.Internal.
	ended(m *abi.Message, why delivery.Reason)
	// idle is engine.Handler.Idle.
	idle(from *peer)
	// closed tells that the connection has ended. If it had a session, the speaker
	// calls path.leave.
	closed(from *peer, reason engine.Reason)
	// tick is called about every 100 ms.
	tick(now time.Time)
	// pending: a drain waits while it answers true.
	pending() bool
}

// turner is a speaker that sends when a turn ends, before the engine writes.
type turner interface {
	turn()
	// failed tells that a panic has cost messages: nobody will say what became of them.
	failed()
}

// awaiter is a speaker whose peers acknowledge what they are sent.
type awaiter interface {
	// awaits tells, in a drain, whether the peer will still say that it has something.
	awaits(from *peer) bool
}

// makeSpeakers makes who speaks for the listeners whose protocol is not of frames.
func (p *path) makeSpeakers() {
	p.speakers = make([]speaker, len(p.lanes))
	if p.loop.Index() == 0 && p.server.mqtt != nil {
		p.sys = p.newMQTTSys()
	}
	for i := range p.lanes {
		if l := p.lanes[i].listener; l.speak != nil {
			p.speakers[i] = l.speak(p, l)
			if t, ok := p.speakers[i].(turner); ok {
				p.turners = append(p.turners, t)
			}
		}
	}
}

// blank is an empty message for a speaker to fill in and enter, until it asks for the
// next: one of its own would be made anew each time.
func (p *path) blank() *abi.Message {
	p.entering = abi.Message{}
	return &p.entering
}

// enter completes a message that a speaker has decoded and puts it into the
// listener's lane. The speaker sets what its protocol says: Seq, Receipt, Flags, Type,
// Priority, QoS, Topic, Attrs, Payload; they belong to the turn.
func (p *path) enter(from *peer, m *abi.Message) {
	l := from.listener
	lane := p.lanes[l.index]
	m.Session, m.Listener, m.Time = from.session.ID(), l.index, p.now
	m.Context = from.session.Context()
	p.ledger.In++
	lane.counts.in(m)
	if !p.identify(from, m) {
		p.drop(m, delivery.TooLarge)
		return
	}
	if len(m.Topic) == 0 {
		if m.Topic = l.fixedTopic; m.Topic == nil && !p.makeTopic(l, m) {
			return
		}
	}
	received := m.Payload
	if !p.translate(m) {
		return
	}
	lane.batch.Messages = append(lane.batch.Messages, *m)
	if l.acknowledge != nil {
		lane.payloads = append(lane.payloads, received)
	}
	p.runFull(lane)
}

// write puts a unit into the outbox of a connection of this loop. The unit is valid
// until the turn ends.
func (p *path) write(to *peer, unit []byte, priority uint8) engine.Sent {
	if w := to.web; w != nil {
		if !w.open || w.closed {
			return engine.Closed
		}
		unit = p.wrap(to.listener.web, unit)
	}
	return to.conn.Send(unit, priority)
}

// drop ends a message undelivered.
func (p *path) drop(m *abi.Message, why delivery.Reason) {
	if f := p.tail.of(m); f != nil {
		f.end("dropped", why)
	}
	p.ledger.Drop(why)
	p.tell(m, why)
}

// tell tells who waits for it what became of a message.
func (p *path) tell(m *abi.Message, why delivery.Reason) {
	if m.Receipt == 0 || m.Flags&abi.FlagEmitted != 0 {
		return
	}
	if int(m.Listener) >= len(p.speakers) {
		p.tellCall(m.Receipt, why)
	} else if s := p.speakers[m.Listener]; s != nil {
		if len(p.oweds) > 0 {
			p.sayOwed(m, why)
		}
		s.ended(m, why)
	} else {
		p.acknowledged(m.Receipt, why)
	}
}

// spoken takes the message to a session that has a speaker, on whichever loop it lives.
func (p *path) spoken(m *abi.Message, id uint64, by []router.Subscriber) delivery.Reason {
	at := loopOf(id)
	if at != p.loop.Index() {
		return p.post(m, at, id, by)
	}
	s := p.speakerOf(id)
	if s == nil {
		return delivery.Closed
	}
	return s.deliver(m, id, by)
}

// speakerOf finds who speaks for a session of this loop; nil if it is gone.
func (p *path) speakerOf(id uint64) speaker {
	if isStay(id) {
		if s := p.stays.get(id); s != nil {
			return p.speakers[s.listener]
		}
		return nil
	}
	if c := p.loop.Conn(engine.ConnID(id)); c != nil {
		return p.speakers[c.Listener()]
	}
	return nil
}
