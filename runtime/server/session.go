package server

import (
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
	"github.com/weftrun/weft/runtime/websocket"
)

// peer is what a connection is to the path: the engine keeps it with each.
type peer struct {
	session  *session.Session // nil until it begins
	conn     *engine.Conn
	listener *listener
	waiting  *[]*router.Template // subscriptions whose placeholders are not known yet; nil: none
	faults   uint8               // in a row: what came was no frame
	refused  bool                // it is being closed; nothing more is read from it
	logs     uint8               // for so many logs it is not read from
	web      *webState           // nil without WebSocket
	secure   *credentials        // nil without TLS
	said     any                 // its speaker's
	rest     *peerRest           // what few have; nil before it is needed
}

// peerRest is what few connections have.
type peerRest struct {
	acks  ackLine        // of answers that wait for a log
	lasts *lastingPeer   // what outlives it
	given abi.Attributes // MQTT's: the session's context when it was introduced
}

// besides is the rest, made with its first use.
func (from *peer) besides() *peerRest {
	if from.rest == nil {
		from.rest = &peerRest{}
	}
	return from.rest
}

// lasts is what outlives the connection; nil for nothing.
func (from *peer) lasts() *lastingPeer {
	if from.rest == nil {
		return nil
	}
	return from.rest.lasts
}

// Open takes note of a connection.
func (p *path) Open(c *engine.Conn) {
	if p.shutOut(c) { // it may have been blocked during its handshake
		return
	}
	l := p.setup.listeners[c.Listener()]
	from := &peer{conn: c, listener: l, waiting: l.subscribe}
	c.Value = from
	from.secured(c, l)
	if l.web != nil {
		from.web = &webState{}
		return
	}
	p.connected(from)
}

// Moved implements engine.Mover.
func (p *path) Moved(c *engine.Conn) {
	c.Value.(*peer).conn = c
	p.shutOut(c) // it may have been on its way while others were closed
}

// connected begins with a connection as soon as its bytes are those of the
// listener's protocol. One of frames is a session at once.
func (p *path) connected(from *peer) {
	if s := p.speakers[from.listener.index]; s != nil {
		s.opened(from)
		return
	}
	c := from.conn
	s := session.New(uint64(c.ID()), from.listener.index, time.Now().UnixNano(), c.Remote())
	admitted, reason := p.join(from, s, nil)
	if !admitted {
		p.server.crowd.Info("session refused", "listener", from.listener.name, "remote", c.Remote(), "reason", string(reason))
		p.farewell(from, websocket.Policy, string(reason))
		c.CloseAfterFlush(engine.ReasonDenied)
	}
}

// join makes the session the connection's and asks the chain whether it may be here.
// Plugins see the attributes beside those that every connection has. If it may not,
// the reason is what a plugin says about it and belongs to the turn; the caller
// closes the connection.
func (p *path) join(from *peer, s *session.Session, attrs abi.Attributes) (admitted bool, reason []byte) {
	from.session, from.waiting = s, from.listener.subscribe
	if from.secure != nil && from.secure.identity != "" {
		if err := s.SetContext(abi.Attributes(nil).AppendString(attrIdentity, from.secure.identity)); err != nil {
			p.server.crowd.Warn("a certificate's name is too long for an identity", "listener", from.listener.name, "remote", from.conn.Remote(), "error", err)
		}
	}
	lane := p.lanes[from.listener.index]
	if lane.chain.Len() > 0 {
		if reason = p.opened(lane, from, attrs); from.refused {
			return false, reason
		}
	}
	p.introduce(from, &abi.Message{})
	return !from.refused, reason
}

// opened runs the chain's open hooks, and answers what a plugin says about a session
// that it refuses.
func (p *path) opened(l *lane, from *peer, more abi.Attributes) (reason []byte) {
	attrs := abi.Attributes(nil).
		AppendString("peer", from.conn.Remote().String()).
		AppendString("protocol", from.listener.protocol)
	if from.secure != nil {
		attrs = append(attrs, from.secure.attrs...)
	}
	if from.web != nil {
		attrs = append(attrs, from.web.over(more)...)
	}
	attrs = append(attrs, withoutOwn(more)...)
	done := false
	defer p.mend(&done, p.underWay())
	p.events.Messages = append(p.events.Messages, abi.Message{
		Session: from.session.ID(), Listener: from.listener.index, Time: time.Now().UnixNano(), Attrs: attrs,
	})
	l.chain.Open(&p.events)
	p.waiting.note(&p.waiting.lanes, l.chain)
	p.remember(&p.events)
	for i := range p.events.Messages {
		m, o := &p.events.Messages[i], &p.events.Outcomes[i]
		if o.Emitted {
			p.ledger.Emitted++
			p.settle(l, m, o)
			continue
		}
		switch o.Verdict {
		case abi.VerdictReply:
			p.greet(m, o.Out)
		case abi.VerdictDrop, abi.VerdictClose, abi.VerdictRoute:
			from.refused = true
			if o.Cause == plugins.CausePlugin {
				p.offends(from, offenceAuth)
			}
			p.keepSession(l.chain, m, o)
			start := len(p.scratch)
			p.scratch = append(p.scratch, o.Out...)
			reason = p.scratch[start:len(p.scratch):len(p.scratch)]
		}
	}
	p.flush()
	p.events.Reset()
	done = true
	return reason
}

// greet sends what a plugin says to a session that begins.
func (p *path) greet(m *abi.Message, text []byte) {
	m.Type, m.Payload = abi.TypeResponse, text
	p.encoded.reset(abi.ChangesKnown)
	p.send(m, m.Session)
}

// Closed ends the session of a connection of frames, and tells who speaks for any
// other.
func (p *path) Closed(c *engine.Conn, reason engine.Reason) {
	from, ok := c.Value.(*peer)
	if !ok {
		return
	}
	if from.web != nil && !from.web.open {
		return
	}
	if s := p.speakers[from.listener.index]; s != nil {
		s.closed(from, reason)
		return
	}
	if from.session != nil {
		defer p.server.sessions.Close(from.session) // whatever plugins still do
		p.leave(from, reason, true)
	}
}

// leave takes the session from its connection: its last messages go their way, and
// the chain and those who wait for its answers are told. A session that ends loses
// what it held.
func (p *path) leave(from *peer, reason engine.Reason, ends bool) {
	s := from.session
	lane := p.lanes[from.listener.index]
	if (lane.chain.Len() > 0 || from.listener.speak != nil) && len(lane.batch.Messages) > 0 {
		p.runNow(lane) // its last messages may be among them; a speaker is told of them only while it is there
	}
	p.parts(from, reason)
	p.dropHeld(from, heldReason(reason))
	if ends {
		p.server.sessions.Close(s)
	}
	unanswered := p.server.requests.Drop(s.ID(), nil)
	p.server.lost.Add(uint64(len(unanswered)))
	p.server.bus.abandoned(unanswered)
	p.lostFar(unanswered)
	if lane.chain.Len() == 0 {
		return
	}
	done := false
	defer p.mend(&done, p.underWay())
	p.events.Messages = append(p.events.Messages, abi.Message{
		Session: s.ID(), Listener: from.listener.index, Time: time.Now().UnixNano(), Context: s.Context(),
		Attrs: abi.Attributes(nil).AppendString("reason", reason.String()),
	})
	p.parting = from
	lane.chain.CloseSessions(&p.events)
	p.parting = nil
	p.settleEmitted(lane)
	done = true
}

// heldReason is why messages that are held end with their session.
func heldReason(reason engine.Reason) delivery.Reason {
	if reason == engine.ReasonDrained || reason == engine.ReasonStopped {
		return delivery.Draining
	}
	return delivery.SessionEnded
}

// settleEmitted settles what plugins made in a hook that is about no message.
func (p *path) settleEmitted(l *lane) {
	p.waiting.note(&p.waiting.lanes, l.chain)
	for i := range p.events.Messages {
		if o := &p.events.Outcomes[i]; o.Emitted {
			p.ledger.Emitted++
			p.settle(l, &p.events.Messages[i], o)
		}
	}
	p.flush()
	p.events.Reset()
}

// routeEmitted routes what the plugins of a route's chain made in a tick.
func (p *path) routeEmitted(s *stage) {
	p.waiting.note(&p.waiting.stages, s.chain)
	for i := range p.events.Messages {
		m, o := &p.events.Messages[i], &p.events.Outcomes[i]
		p.ledger.Emitted++
		p.encoded.reset(abi.ChangesKnown)
		if p.decided(s.chain, m, o) {
			p.route(m)
		}
	}
	p.flush()
	p.events.Reset()
}

// Idle sends a heartbeat to a connection that has been silent.
func (p *path) Idle(c *engine.Conn) {
	from := c.Value.(*peer)
	if from.web != nil {
		if p.pinged(from); !from.web.open {
			return
		}
	}
	if s := p.speakers[from.listener.index]; s != nil {
		s.idle(from)
		return
	}
	if from.web != nil {
		return
	}
	if beat, ok := from.listener.format.Heartbeat(); ok {
		p.write(from, beat, abi.MaxPriority)
	}
}

// Tick lets the plugins that want it know that time has passed, and ends the
// requests that nobody has answered.
func (p *path) Tick(now time.Time) {
	p.flows.show()
	p.flights.tick(p)
	if p.holding() || p.waiting.missed.Swap(false) {
		p.resume() // should the loop have had no room for it
	}
	if p.logsMissed.Swap(false) {
		p.hearLogs()
	}
	p.tickPlugins(now)
	if p.server.lasting != nil {
		p.saveLasting(now)
		p.reclaim(now)
	}
	for _, s := range p.speakers {
		if s != nil {
			s.tick(now)
		}
	}
	if p.sys != nil {
		p.sys.tick(p, now)
	}
	if p.loop.Index() == 0 {
		p.server.lasting.expire(now.UnixNano())
		p.expired = p.server.requests.Expire(now.UnixNano(), p.expired[:0])
		p.server.timeouts.Add(uint64(p.unconfirmed(p.expired)))
	}
	p.publish()
}

// tickPlugins lets the plugins that want it know that time has passed.
func (p *path) tickPlugins(now time.Time) {
	done := false
	defer p.mend(&done, p.underWay())
	for i := range p.lanes {
		l := p.lanes[i]
		l.chain.Tick(&p.events, now, l.listener.index)
		p.settleEmitted(l)
	}
	for i := range p.stages {
		if s := p.stages[i]; s.chain != nil {
			s.chain.Tick(&p.events, now, apiListener)
			p.routeEmitted(s)
		}
	}
	done = true
}

func (p *path) refuse(from *peer, err error) {
	from.refused, p.refusals = true, true
	p.server.crowd.Warn("session refused", "listener", from.listener.name, "remote", from.conn.Remote(), "error", err)
	p.farewell(from, websocket.Policy, err.Error())
	from.conn.CloseAfterFlush(engine.ReasonDenied)
}

// peer finds the connection of a session of this loop; nil if it is gone.
func (p *path) peer(id uint64) *peer {
	if isStay(id) {
		if s := p.stays.get(id); s != nil {
			return s.peer
		}
		return nil
	}
	c := p.loop.Conn(engine.ConnID(id))
	if c == nil {
		return nil
	}
	from, _ := c.Value.(*peer)
	return from
}

// isRefused tells whether the session is being closed because it may not be here.
func (p *path) isRefused(id uint64) bool {
	from := p.peer(id)
	return from != nil && from.refused
}

// closeSession ends a session because a plugin said so.
func (p *path) closeSession(id uint64, reason []byte) {
	from := p.peer(id)
	if from == nil {
		return
	}
	from.refused, p.refusals = true, true
	if _, known := from.session.Context().Get(attrIdentity); !known {
		p.offends(from, offenceAuth)
	}
	if s, ok := p.speakers[from.listener.index].(interface{ dismissed(*peer, []byte) }); ok {
		s.dismissed(from, reason)
	}
	p.server.crowd.Info("session closed by a plugin", "listener", from.listener.name, "remote", from.conn.Remote(), "reason", string(reason))
	p.farewell(from, websocket.Policy, string(reason))
	from.conn.CloseAfterFlush(engine.ReasonVerdict)
}
