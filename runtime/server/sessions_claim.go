package server

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// claimTries is how often a session is claimed that others claim as well.
const claimTries = 8

// claimed is a session that is this node's now.
type claimed struct {
	own    *keptOwn
	record *keptRecord // nil if there was none
}

// claimant is a client whose CONNACK waits for its session to be claimed. Without a
// connection nobody waits any more, and what was asked for comes all the same.
type claimant struct {
	from     *peer
	c        *mqttConn
	unit     []byte // its CONNECT
	client   string
	start    mqtt.Start
	assigned bool
	clean    bool // a later connection has ended the session that is being claimed
}

// claim takes a session from whoever has it. It waits.
func (v *sessionMoves) claim(ctx context.Context, key string, start mqtt.Start, frames bool) (claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	v.kept.behind.settle(key)
	asked, silent := uint64(0), false // the revision for which its owner was asked
	for range claimTries {
		value, rev, err := v.kept.sessions.Get(ctx, key)
		if err != nil && !errors.Is(err, backbone.ErrNoKey) {
			return claimed{}, err
		}
		var r keptRecord
		there := err == nil
		known := there && r.parse(value) == nil
		if node := r.owner.node; known && node != v.self.node && asked != rev && !silent && v.asks(node) {
			asked = rev
			silent = !v.ask(ctx, node, key, start.Clean)
			continue
		}
		if there && known && r.frames != frames {
			known = false // the listener spoke something else before
		}
		if !there && start.Expiry == 0 {
			return claimed{own: &keptOwn{}}, nil // none, and none will be
		}
		from := r.owner.node
		if !known || start.Clean || r.ends != 0 && r.ends <= time.Now().UnixNano() {
			r, known = keptRecord{expiry: start.Expiry, frames: frames}, false
		} else if err := v.exact(ctx, &r); err != nil {
			return claimed{}, err
		}
		r.owner = v.self
		if there {
			rev, err = v.kept.sessions.Update(ctx, key, r.append(nil), rev, 0)
		} else {
			rev, err = v.kept.sessions.Create(ctx, key, r.append(nil), 0)
		}
		if errors.Is(err, backbone.ErrConflict) {
			continue
		}
		if err != nil {
			return claimed{}, err
		}
		got := claimed{own: &keptOwn{rev: rev}}
		if known {
			r.claimed = true
			got.record = &r
			if from != v.self.node {
				v.in.Add(1)
			}
		}
		return got, nil
	}
	return claimed{}, backbone.ErrConflict
}

// exact makes the cursors of a record say by themselves how far the session is: those of
// one that keeps up follow what its node has written of itself, before that has lost it.
func (v *sessionMoves) exact(ctx context.Context, r *keptRecord) error {
	for i := range r.cursors {
		c := &r.cursors[i]
		if c.live && r.owner.node != v.self.node {
			seq, err := v.positionOf(ctx, c.route, r.owner.node)
			if err != nil {
				return err
			}
			if seq > c.seq {
				c.seq, c.part = seq, 0
			}
		}
		c.live = false
		for _, route := range v.kept.d.list {
			if route.name != c.route || c.most() <= route.counts.followed.Load() {
				continue
			}
			info, err := route.log.Info(ctx)
			if err != nil {
				return err
			}
			if c.most() > info.Last { // see durables.beyond
				c.seq, c.part = min(c.seq, info.Last), 0
			}
		}
	}
	return nil
}

// alive tells whether a node is heard of.
func (v *sessionMoves) alive(node string) bool {
	_, ok := (*v.server.cluster.byName.Load())[node]
	return ok
}

// asks tells whether a node is to be asked for a session: also one that is not heard of, as
// who was cut off has not heard yet of those that are there. Where nobody has the name the
// servers say so at once. They do not for a machine that has just gone: not each of its
// sessions waits for that.
func (v *sessionMoves) asks(node string) bool {
	if v.alive(node) {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Now().Before(v.mute[node]) {
		return false
	}
	delete(v.mute, node)
	return true
}

// ask has the node that has a session write it and let it go. Whatever it answers, or if
// it does not, the bucket says what there is.
func (v *sessionMoves) ask(ctx context.Context, node, key string, clean bool) (answered bool) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	n := sessionNote{clean: clean, stamp: v.clock.Load(), text: key}
	_, err := v.server.cluster.link.Ask(ctx, node, n.append(nil))
	if err != nil {
		v.server.crowd.Info("a node did not hand a session over: what was last written of it goes on here", "node", node, "error", err)
	}
	if errors.Is(err, context.DeadlineExceeded) && time.Since(begun) >= askWithin && v.kept.d.backbone.State().Connected {
		v.mu.Lock()
		v.mute[node] = time.Now().Add(muteFor)
		v.mu.Unlock()
	}
	return err == nil
}

// discard deletes the record of a session that its client has ended by a clean start,
// where no other node does.
func (v *sessionMoves) discard(key string) {
	v.call(func() {
		select {
		case v.limit <- struct{}{}:
			defer func() { <-v.limit }()
		case <-v.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(v.ctx, claimWithin)
		defer cancel()
		v.kept.behind.settle(key)
		value, rev, err := v.kept.sessions.Get(ctx, key)
		var r keptRecord
		if err == nil && (r.parse(value) != nil || !v.alive(r.owner.node)) {
			_ = v.kept.sessions.Delete(ctx, key, rev) // whoever has claimed it meanwhile keeps it
		}
	})
}

// mustClaim tells whether a client's session may be another node's.
func (s *mqttSpeaker) mustClaim(key mqtt.Key, start mqtt.Start) bool {
	server := s.path.server
	if server.cluster == nil || server.durable == nil || start.Clean && start.Expiry == 0 {
		return false
	}
	if state := s.clients.Find(key); state != nil && s.find(state.ID()).kept != nil {
		return false
	}
	return true
}

// claim has a client wait until its session is this node's.
func (s *mqttSpeaker) claim(from *peer, c *mqttConn, unit []byte, key mqtt.Key, w claimant) {
	w.from, w.c, w.unit = from, c, bytes.Clone(unit)
	c.phase = mqttClaiming
	if from.logs++; from.logs == 1 {
		s.path.quieten(from)
	}
	if before := s.outrun(key, w.start); before != nil {
		w.clean = before.clean
		*before = w
		return
	}
	if s.claims == nil {
		s.claims = map[mqtt.Key]*claimant{}
	}
	s.claims[key] = &w
	moves := &s.path.server.durable.kept.moves
	text, start := keptKey(s.listener.name, key), w.start
	if !moves.call(func() { moves.claimFor(s, key, text, start) }) {
		delete(s.claims, key)
		s.unclaim(&w, packet.ServerUnavailable, "weft is shutting down")
	}
}

// claimFor claims a session and hands it to its loop.
func (v *sessionMoves) claimFor(s *mqttSpeaker, key mqtt.Key, text string, start mqtt.Start) {
	var got claimed
	err := error(nil)
	select {
	case v.limit <- struct{}{}:
		got, err = v.claim(v.ctx, text, start, false)
		<-v.limit
	case <-v.ctx.Done():
		err = v.ctx.Err()
	}
	v.onLoop(key.ClientID, func() { s.claimed(key, text, got, err) })
}

// outrun ends the claim that waits for a client's session, if there is one: another
// connection of the client has begun.
func (s *mqttSpeaker) outrun(key mqtt.Key, start mqtt.Start) *claimant {
	before := s.claims[key]
	if before == nil {
		return nil
	}
	if before.from != nil {
		s.unclaim(before, packet.ServerBusy, "another connection with this client id has begun")
	}
	*before = claimant{clean: before.clean || start.Clean}
	return before
}

// unclaim refuses a client that has waited.
func (s *mqttSpeaker) unclaim(w *claimant, code packet.Code, text string) {
	s.goOn(w.from)
	if w.c.phase != mqttClaiming {
		return
	}
	s.path.leave(w.from, engine.ReasonDenied, true)
	w.from.session = nil
	s.refuse(w.from, w.c, code, []byte(text), engine.ReasonDenied)
}

func (s *mqttSpeaker) goOn(from *peer) {
	if from.logs--; from.logs == 0 {
		s.path.quieten(from)
	}
}

// claimed goes on with a client whose session is here.
func (s *mqttSpeaker) claimed(key mqtt.Key, text string, got claimed, err error) {
	p := s.path
	p.begin()
	w := s.claims[key]
	delete(s.claims, key)
	kept := p.server.durable.kept
	if err != nil {
		kept.moves.refused.Add(1)
		p.server.crowd.Warn("session refused", "listener", s.listener.name, "client", key.ClientID, "error", err)
		if w.from != nil {
			s.unclaim(w, packet.ServerUnavailable, "whose the session is could not be found out; try again later")
		}
		return
	}
	if w.clean {
		got.record = nil
	}
	from, c := w.from, w.c
	if from != nil && c.phase != mqttClaiming { // its client has gone
		s.goOn(from)
		from = nil
	}
	if from == nil {
		switch state := s.clients.Find(key); {
		case state != nil && s.find(state.ID()).kept != nil: // it is here: its next write meets this node's own
		case state == nil && got.record != nil:
			s.restore(key, got.record, got.own)
		default:
			kept.put(text, got.own, nil, nil)
		}
		return
	}
	m := &s.connect
	if err := m.Decode(w.unit); err != nil {
		s.unclaim(w, packet.UnspecifiedError, "")
		return
	}
	if w.clean && w.start.Expiry == 0 {
		kept.put(text, got.own, nil, nil) // what was ended does not come back; begun writes nothing
	}
	c.phase = mqttSilent
	s.begun(from, c, m, key, w.start, w.assigned, &got)
	s.goOn(from)
	if c.early && c.phase == mqttOpen {
		s.later(from, c, nil)
	}
}

// maxEarly is how much a client may send before it has its CONNACK.
const maxEarly = 256 << 10

// later keeps what a client sends before its CONNACK, and deals with it then.
func (s *mqttSpeaker) later(from *peer, c *mqttConn, b []byte) {
	all := append(s.early[c], b...)
	if c.phase == mqttClaiming {
		if len(all) > max(maxEarly, s.setup.longest) {
			s.tooEarly(c)
			c.phase = mqttClosing
			from.conn.CloseAfterFlush(engine.ReasonProtocol)
			return
		}
		s.keepEarly(c, all)
		return
	}
	s.tooEarly(c)
	if n, _ := s.data(from, all); n < len(all) {
		s.keepEarly(c, slices.Clone(all[n:]))
	}
}

func (s *mqttSpeaker) keepEarly(c *mqttConn, b []byte) {
	if s.early == nil {
		s.early = map[*mqttConn][]byte{}
	}
	s.early[c], c.early = b, true
}

// tooEarly forgets what has come before CONNACK.
func (s *mqttSpeaker) tooEarly(c *mqttConn) {
	if c.early {
		delete(s.early, c)
		c.early = false
	}
}
