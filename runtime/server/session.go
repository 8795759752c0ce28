package server

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
	"github.com/weftrun/weft/runtime/websocket"
)

// queuePrefix marks a subscription that is a place in a queue group.
const queuePrefix = "queue:"

// peer is what a connection is to the path: the engine keeps it with each.
type peer struct {
	session  *session.Session // nil until it begins
	conn     *engine.Conn
	listener *listener
	waiting  *[]*router.Template // subscriptions whose placeholders are not known yet; nil: none
	faults   uint8               // in a row: what came was no frame
	refused  bool                // it is being closed; nothing more is read from it
	web      *webState           // nil without WebSocket
	secure   *credentials        // nil without TLS
	said     any                 // its speaker's
}

// Open takes note of a connection.
func (p *path) Open(c *engine.Conn) {
	l := p.setup.listeners[c.Listener()]
	from := &peer{conn: c, listener: l, waiting: &l.subscribe}
	c.Value = from
	from.secured(c, l)
	if l.web != nil {
		from.web = &webState{}
		return
	}
	p.connected(from)
}

// Moved implements engine.Mover.
func (p *path) Moved(c *engine.Conn) { c.Value.(*peer).conn = c }

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
	from.session, from.waiting = s, &from.listener.subscribe
	if from.secure != nil && from.secure.identity != "" {
		if err := s.SetContext(abi.Attributes(nil).AppendString(attrIdentity, from.secure.identity)); err != nil {
			p.server.crowd.Warn("a certificate's name is too long for an identity", "listener", from.listener.name, "remote", from.conn.Remote(), "error", err)
		}
	}
	lane := &p.lanes[from.listener.index]
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
	lane := &p.lanes[from.listener.index]
	if (lane.chain.Len() > 0 || from.listener.speak != nil) && len(lane.batch.Messages) > 0 {
		p.runNow(lane) // its last messages may be among them; a speaker is told of them only while it is there
	}
	p.dropHeld(from, heldReason(reason))
	if ends {
		p.server.sessions.Close(s)
	}
	unanswered := p.server.requests.Drop(s.ID(), nil)
	p.server.lost.Add(uint64(len(unanswered)))
	p.server.bus.abandoned(unanswered)
	if lane.chain.Len() == 0 {
		return
	}
	done := false
	defer p.mend(&done, p.underWay())
	p.events.Messages = append(p.events.Messages, abi.Message{
		Session: s.ID(), Listener: from.listener.index, Time: time.Now().UnixNano(), Context: s.Context(),
		Attrs: abi.Attributes(nil).AppendString("reason", reason.String()),
	})
	lane.chain.CloseSessions(&p.events)
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
	if p.holding() || p.waiting.missed.Swap(false) {
		p.resume() // should the loop have had no room for it
	}
	p.tickPlugins(now)
	for _, s := range p.speakers {
		if s != nil {
			s.tick(now)
		}
	}
	if p.sys != nil {
		p.sys.tick(p, now)
	}
	if p.loop.Index() == 0 {
		p.expired = p.server.requests.Expire(now.UnixNano(), p.expired[:0])
		p.server.timeouts.Add(uint64(len(p.expired)))
	}
	p.publish()
}

// tickPlugins lets the plugins that want it know that time has passed.
func (p *path) tickPlugins(now time.Time) {
	done := false
	defer p.mend(&done, p.underWay())
	for i := range p.lanes {
		l := &p.lanes[i]
		l.chain.Tick(&p.events, now, l.listener.index)
		p.settleEmitted(l)
	}
	for i := range p.stages {
		if s := &p.stages[i]; s.chain != nil {
			s.chain.Tick(&p.events, now, uint32(len(p.setup.listeners)))
			p.routeEmitted(s)
		}
	}
	done = true
}

// remember keeps what plugins said about sessions: contexts and subscriptions.
func (p *path) remember(b *plugins.Batch) {
	for i := range b.Contexts {
		from := p.peer(b.Contexts[i].Session)
		if from == nil {
			continue
		}
		if err := from.session.SetContext(b.Contexts[i].Context); err != nil {
			p.server.crowd.Warn("a plugin's context was refused", "error", err)
			continue
		}
		p.introduce(from, &abi.Message{})
	}
	for i := range b.Subscriptions {
		s := &b.Subscriptions[i]
		if from := p.peer(s.Session); from != nil {
			p.subscribe(from, string(s.Pattern), s.Remove)
		}
	}
}

func (p *path) subscribe(from *peer, pattern string, remove bool) {
	var err error
	queue, isQueue := strings.CutPrefix(pattern, queuePrefix)
	switch {
	case isQueue && remove:
		p.server.sessions.Leave(from.session, queue)
	case isQueue:
		err = p.server.sessions.Join(from.session, queue)
	case remove:
		p.server.sessions.Unsubscribe(from.session, pattern)
	default:
		_, err = p.server.sessions.Subscribe(from.session, pattern)
	}
	if err != nil {
		p.server.crowd.Warn("subscription refused", "session", from.session.ID(), "listener", from.listener.name, "pattern", pattern, "error", err)
	}
}

// introduce gives the session its name and its listener's subscriptions as soon
// as what they are made of is known: from the context, or from the attributes of
// its first frame.
func (p *path) introduce(from *peer, first *abi.Message) {
	p.values.set(from.listener.name, first)
	p.values.attributes.First = from.session.Context()
	if len(first.Attrs) == 0 {
		p.values.attributes.Second = from.known()
	}
	if t := from.listener.node; t != nil {
		if name, err := t.Append(p.name[:0], &p.values); err == nil {
			p.name = name
			p.claim(from, name, p.policy(from, t))
		}
	}
	if from.waiting == nil || len(*from.waiting) == 0 || from.refused {
		return
	}
	var still []*router.Template
	for _, t := range *from.waiting {
		text := t.String()
		if !t.Fixed() {
			pattern, err := t.Append(p.name[:0], &p.values)
			if errors.Is(err, router.ErrMissing) {
				still = append(still, t)
				continue
			}
			if err != nil {
				p.server.crowd.Warn("subscription refused", "listener", from.listener.name, "template", text, "error", err)
				continue
			}
			text = string(pattern)
		}
		p.subscribe(from, text, false)
	}
	from.waiting = nil
	if len(still) > 0 {
		kept := still
		from.waiting = &kept
	}
}

// policy says who keeps a name that two sessions want. A name made of nothing but
// what plugins know about the session is its own: a device that comes back takes it
// from its former connection. One that frames say themselves stays where it is.
func (p *path) policy(from *peer, t *router.Template) session.Policy {
	for _, name := range t.Names() {
		_, said := from.session.Context().Get(name)
		if _, ok := from.known().Get(name); !ok && !said {
			return session.Refuse
		}
	}
	return session.TakeOver
}

// claim gives the session its name. Under session.Refuse who holds it already
// keeps it and the newcomer is closed, under session.TakeOver the former holder.
func (p *path) claim(from *peer, name []byte, policy session.Policy) bool {
	if bytes.Equal(name, []byte(from.session.Name())) {
		return true
	}
	former, err := p.server.sessions.Claim(from.session, name, policy)
	if err != nil {
		p.refuse(from, err)
		return false
	}
	if former != 0 {
		p.replace(former)
	}
	return true
}

// replace closes a connection, of whichever loop, whose name another has taken.
func (p *path) replace(former uint64) {
	at := loopOf(former)
	if at == p.loop.Index() {
		p.replaced(former)
		return
	}
	owner := p.server.paths[at]
	if err := p.server.engine.Do(at, func() { owner.replaced(former) }); err != nil {
		p.server.log.Warn("a replaced connection was not closed", "session", former, "error", err)
	}
}

func (p *path) replaced(former uint64) {
	if from := p.peer(former); from != nil {
		from.refused = true
		p.server.crowd.Info("session replaced by a newer one", "listener", from.listener.name, "remote", from.conn.Remote())
		from.conn.CloseAfterFlush(engine.ReasonReplaced)
	}
}

// errEverybody is why a node may not have the number that stands for all.
var errEverybody = errors.New("the node number " + everybody + " stands for everybody: give the node one of its own")

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
	if s, ok := p.speakers[from.listener.index].(interface{ dismissed(*peer, []byte) }); ok {
		s.dismissed(from, reason)
	}
	p.server.crowd.Info("session closed by a plugin", "listener", from.listener.name, "remote", from.conn.Remote(), "reason", string(reason))
	p.farewell(from, websocket.Policy, string(reason))
	from.conn.CloseAfterFlush(engine.ReasonVerdict)
}

// placeholders answers a template from a message: what is known about its session,
// then its attributes, which a client may have a say in, and a few names of
// weft's own.
type placeholders struct {
	attributes router.AttributeValues
	listener   string
	payload    []byte
	buffer     []byte
}

func (v *placeholders) set(listener string, m *abi.Message) {
	v.attributes = router.AttributeValues{First: m.Context, Second: m.Attrs}
	v.listener, v.payload = listener, m.Payload
}

// Value implements router.Values.
func (v *placeholders) Value(name string) ([]byte, bool) {
	switch name {
	case "listener":
		v.buffer = append(v.buffer[:0], v.listener...)
		return v.buffer, true
	case "payload":
		return v.payload, true
	}
	return v.attributes.Value(name)
}
