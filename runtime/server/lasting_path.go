package server

import (
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/engine"
)

// lastingPeer is what a connection has of that: nil before plugins subscribe it to
// something or it has a name, and on listeners that keep nothing.
type lastingPeer struct {
	session  *lastingSession // nil without a name
	identity string          // with which it was made, as its name
	name     string
	given    abi.Attributes // its context then
	patterns []string       // that plugins subscribed it to
	waits    bool           // for the end of the turn
	dirty    bool
	claiming bool
}

// lasting is the part of a connection, made with its first use; nil where its listener
// keeps nothing.
func (from *peer) lasting() *lastingPeer {
	if from.listener.ttl == 0 {
		return nil
	}
	rest := from.besides()
	if rest.lasts == nil {
		rest.lasts = &lastingPeer{}
	}
	return rest.lasts
}

// subscribedBy notes what a plugin has subscribed a client to, or not any more.
func (p *path) subscribedBy(from *peer, pattern string, remove bool) {
	k := from.lasting()
	if k == nil {
		return
	}
	at := slices.Index(k.patterns, pattern)
	switch {
	case remove && at >= 0:
		k.patterns = slices.Delete(k.patterns, at, at+1)
	case !remove && at < 0:
		k.patterns = append(k.patterns, strings.Clone(pattern))
	default:
		return
	}
	p.soil(from)
}

// soil has the client's session written with the next tick.
func (p *path) soil(from *peer) {
	if k := from.lasts(); k != nil && k.session != nil && !k.dirty && p.server.durable != nil {
		k.dirty = true
		p.soiled = append(p.soiled, from)
	}
}

// lasts gives a client the session that its name and its identity have, as soon as both
// are known, and another one when they change. What is remembered on this node it has at
// once; anything else is looked for when the turn ends.
func (p *path) lasts(from *peer) {
	if from.listener.ttl == 0 || from.refused || from.session == nil || from.session.Name() == "" || p.server.lasting == nil {
		return
	}
	k := from.lasting()
	identity, _ := from.session.Context().Get(attrIdentity)
	if k.name == from.session.Name() && k.identity == string(identity) {
		p.soil(from)
		return
	}
	if k.session != nil { // it is somebody else now
		p.server.lasting.end(k.session)
		k.session = nil
	}
	k.name, k.identity, k.given = from.session.Name(), string(identity), from.session.Context()
	s, state, found := p.server.lasting.take(lastingKey(from.listener.name, k.identity, k.name), from.session.ID())
	if found {
		k.session = s
		p.resumes(from, &state)
		return
	}
	if !k.waits {
		k.waits = true
		p.unsettled = append(p.unsettled, from)
	}
}

// resumes gives a client what was remembered of it.
func (p *path) resumes(from *peer, state *lastingState) {
	own := from.session.Context()
	if err := from.session.SetContext(inherited(state.context, state.given, own)); err != nil {
		p.server.crowd.Warn("a session's former context was left", "listener", from.listener.name, "name", from.session.Name(), "error", err)
	}
	for _, pattern := range state.patterns {
		p.subscribe(from, pattern, false)
		p.subscribedBy(from, pattern, false)
	}
	p.soil(from)
	if len(state.context) > 0 {
		p.introduce(from, &abi.Message{}) // templates may know more now
	}
}

// settleLasting finds the sessions of clients that have got a name in this turn.
func (p *path) settleLasting() {
	for i := 0; i < len(p.unsettled); i++ {
		from := p.unsettled[i]
		p.unsettled[i] = nil
		if k := from.lasts(); k.waits {
			k.waits = false
			if from.session != nil && !from.refused && k.session == nil {
				p.findLasting(from)
			}
		}
	}
	p.unsettled = p.unsettled[:0]
}

// findLasting begins a session, or claims it where it may be another node's.
func (p *path) findLasting(from *peer) {
	t, k := p.server.lasting, from.lasts()
	key := lastingKey(from.listener.name, k.identity, k.name)
	if s, state, found := t.take(key, from.session.ID()); found { // it came meanwhile
		k.session = s
		p.resumes(from, &state)
		return
	}
	if p.server.cluster != nil && p.server.durable != nil {
		p.claimLasting(from, key)
		return
	}
	p.beginLasting(from, key, &keptOwn{}, nil)
}

// beginLasting begins a session with what was found of it; nil is nothing.
func (p *path) beginLasting(from *peer, key string, own *keptOwn, state *lastingState) {
	t, k := p.server.lasting, from.lasts()
	s, begun := t.begin(key, from.listener.index, from.session.ID(), own)
	if !begun { // another connection was faster
		s, there, _ := t.take(key, from.session.ID())
		k.session = s
		p.resumes(from, &there)
		return
	}
	if k.session = s; state != nil {
		p.resumes(from, state)
	}
	p.soil(from)
}

// state is what of a client outlives its connection.
func (from *peer) state() lastingState {
	k := from.lasts()
	return lastingState{context: slices.Clone(from.session.Context()), given: namesOf(k.given), patterns: slices.Clone(k.patterns)}
}

// parts leaves what outlives a connection behind. A client whose session a plugin ends has
// none any more.
func (p *path) parts(from *peer, reason engine.Reason) {
	k := from.lasts()
	if k == nil || k.session == nil {
		return
	}
	t, s := p.server.lasting, k.session
	k.session = nil
	if reason == engine.ReasonDenied || reason == engine.ReasonVerdict {
		t.end(s)
		return
	}
	state := from.state()
	if heir := t.leave(s, from.session.ID(), state, t.lastingUntil(s.listener)); heir != 0 {
		p.bequeath(heir, s, state)
	}
}

// bequeath gives the connection that has a session by now what its former one had.
func (p *path) bequeath(heir uint64, s *lastingSession, state lastingState) {
	at := loopOf(heir)
	owner := p.server.paths[at]
	err := p.server.engine.Do(at, func() {
		owner.begin()
		if to := owner.peer(heir); to != nil && to.lasts() != nil && to.lasts().session == s && !to.refused {
			owner.resumes(to, &state)
		}
	})
	if err != nil {
		p.server.crowd.Warn("what was known of a session's former connection was left", "listener", p.setup.listeners[s.listener].name, "error", err)
	}
}

// savedLasting is how often sessions of clients that are there are written.
const savedLasting = time.Second

// saveLasting has the sessions written that have changed.
func (p *path) saveLasting(now time.Time) {
	if len(p.soiled) == 0 || now.Sub(p.savedAt) < savedLasting {
		return
	}
	p.savedAt = now
	for i, from := range p.soiled {
		p.soiled[i] = nil
		k := from.lasts()
		if k.dirty = false; k.session != nil {
			p.server.lasting.save(k.session, from.state())
		}
	}
	p.soiled = p.soiled[:0]
}
