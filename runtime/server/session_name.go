package server

import (
	"bytes"
	"errors"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// queuePrefix marks a subscription that is a place in a queue group.
const queuePrefix = "queue:"

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
		if c, ok := from.said.(*mqttConn); ok && c.session != nil {
			p.speakers[from.listener.index].(*mqttSpeaker).dirty(c.session)
		}
	}
	for i := range b.Subscriptions {
		s := &b.Subscriptions[i]
		if from := p.peer(s.Session); from != nil {
			p.subscribe(from, string(s.Pattern), s.Remove)
			p.subscribedBy(from, string(s.Pattern), s.Remove)
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
	p.subscribeWaiting(from)
	p.lasts(from)
}

// subscribeWaiting makes the listener's subscriptions for the session, as far as what they
// are made of is known.
func (p *path) subscribeWaiting(from *peer) {
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
