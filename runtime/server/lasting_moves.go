package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
)

// claimLasting has a client wait, unread, until its session is this node's. What it sent
// in this turn has gone its way.
func (p *path) claimLasting(from *peer, key string) {
	k := from.lasts()
	if k.claiming {
		return // that is followed by another one
	}
	k.claiming = true
	if from.logs++; from.logs == 1 {
		p.quieten(from)
	}
	moves, id, at := &p.server.durable.kept.moves, from.session.ID(), p.loop.Index()
	ttl := p.setup.listeners[from.listener.index].ttl // the loop's: a reload changes both
	claim := func() {
		got, state, err := moves.claimLasting(key, ttl)
		wait := newPause(50 * time.Millisecond)
		for {
			sent := p.server.engine.Do(at, func() { p.claimedLasting(from, id, key, got, state, err) })
			if !errors.Is(sent, engine.ErrBusy) || !wait.sleep(moves.ctx) {
				return
			}
		}
	}
	if !moves.call(claim) {
		k.claiming = false
		from.logs--
	}
}

// claimLasting claims the session of a client of frames. It waits.
func (v *sessionMoves) claimLasting(key string, ttl time.Duration) (own *keptOwn, state *lastingState, err error) {
	select {
	case v.limit <- struct{}{}:
		defer func() { <-v.limit }()
	case <-v.ctx.Done():
		return nil, nil, v.ctx.Err()
	}
	got, err := v.claim(v.ctx, key, startOfLasting(ttl), true)
	if err != nil {
		return nil, nil, err
	}
	if r := got.record; r != nil && r.frames {
		state = r.lasting()
	}
	return got.own, state, nil
}

// lasting is what a record has of a client of frames.
func (r *keptRecord) lasting() *lastingState {
	s := &lastingState{context: r.context, given: r.given}
	for i := range r.subscriptions {
		s.patterns = append(s.patterns, r.subscriptions[i].filter)
	}
	return s
}

// claimedLasting goes on with a client whose session is here. Without the backbone it goes
// on without one, and asks again.
func (p *path) claimedLasting(from *peer, id uint64, key string, own *keptOwn, state *lastingState, err error) {
	p.begin()
	k, t := from.lasts(), p.server.lasting
	k.claiming = false
	here := p.peer(id) == from && from.session != nil && !from.refused
	if from.logs--; from.logs == 0 && here {
		p.quieten(from)
	}
	same := here && k.session == nil && key == lastingKey(from.listener.name, k.identity, k.name)
	switch {
	case err != nil:
		t.unclaimed.Add(1)
		p.server.crowd.Warn("a client goes on without what is known of it: whose its session is could not be found out", "listener", from.listener.name, "error", err)
		if here {
			p.unclaimed = append(p.unclaimed, from)
		}
		return
	case same:
		p.beginLasting(from, key, own, state)
		return
	}
	if state == nil {
		p.server.durable.kept.put(key, own, nil, nil)
	} else if s, begun := t.begin(key, from.listener.index, id, own); begun { // its client has gone meanwhile
		t.leave(s, id, *state, t.lastingUntil(from.listener.index))
	}
	if here && k.session == nil {
		p.findLasting(from) // it has another name by now
	}
}

// reclaimAfter is how long clients wait whose session could not be claimed.
const reclaimAfter = 5 * time.Second

// reclaim asks again for the sessions that could not be claimed.
func (p *path) reclaim(now time.Time) {
	if len(p.unclaimed) == 0 || now.Sub(p.reclaimed) < reclaimAfter {
		return
	}
	p.reclaimed = now
	list := p.unclaimed
	p.unclaimed = nil
	for _, from := range list {
		if k := from.lasts(); from.session != nil && !from.refused && k.session == nil && !k.claiming && p.peer(from.session.ID()) == from {
			p.findLasting(from)
		}
	}
}

// restore takes up the record of a client of frames, if it is not here.
func (t *lasting) restore(key string, listener uint32, r *keptRecord, own *keptOwn) {
	ends := r.ends
	if ends == 0 {
		ends = t.lastingUntil(listener)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key] != nil {
		return
	}
	s := &lastingSession{key: key, listener: listener, own: own, place: -1}
	t.byKey[key] = s
	state := r.lasting()
	t.wait(s, *state, ends)
	if r.ends == 0 && t.byKey[key] == s {
		t.write(s, *state, ends)
	}
}

// give writes a session for another node and forgets it, with its connection. It waits.
func (t *lasting) give(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	moves := &t.server.durable.kept.moves
	for wait := newPause(20 * time.Millisecond); ; wait.sleep(ctx) {
		t.mu.Lock()
		s := t.byKey[key]
		if s == nil {
			t.mu.Unlock()
			return
		}
		id, done := s.session, (chan error)(nil)
		if id == 0 {
			done = t.gave(s, s.state, s.ends)
		}
		t.mu.Unlock()
		if id != 0 {
			p := t.server.paths[loopOf(id)]
			if !moves.on(p, func() { done = p.giveLasting(s, id) }) {
				select { // the loops have ended: what they had is about to be written
				case <-moves.finished:
				case <-time.After(askWithin):
				}
				return
			}
		}
		if done != nil {
			moves.gone(key, done)
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// gone waits until a session that was given away is in the bucket.
func (v *sessionMoves) gone(key string, done chan error) {
	select {
	case err := <-done:
		if err == nil {
			v.out.Add(1)
		}
	case <-time.After(2 * writeWithin): // the writers have ended
	}
	v.kept.behind.settle(key)
}

// gave has a session written as nobody's and forgets it. The lock is held.
func (t *lasting) gave(s *lastingSession, state lastingState, ends int64) chan error {
	done := make(chan error, 1)
	t.server.durable.kept.put(s.key, s.own, t.record(s, state, keptOwner{}, ends), func(err error) { done <- err })
	t.drop(s)
	return done
}

// giveLasting closes the connection of a session that goes on elsewhere; nil if it is not
// its connection any more.
func (p *path) giveLasting(s *lastingSession, id uint64) (done chan error) {
	p.begin()
	t, from := p.server.lasting, p.peer(id)
	if from == nil || from.lasts() == nil || from.lasts().session != s {
		return nil
	}
	lane := p.lanes[from.listener.index]
	if len(lane.batch.Messages) > 0 {
		p.runNow(lane) // its last messages may be among them
	}
	if from.lasts().session != s {
		return nil
	}
	t.mu.Lock()
	done = t.gave(s, from.state(), t.lastingUntil(s.listener))
	t.mu.Unlock()
	from.lasts().session = nil
	p.replaced(id)
	return done
}

// lose forgets a session that turned out to be another node's, with its connection.
func (t *lasting) lose(key string, own *keptOwn) {
	t.mu.Lock()
	s := t.byKey[key]
	if s == nil || s.own != own {
		t.mu.Unlock()
		return // a later one
	}
	id := s.session
	t.drop(s)
	t.mu.Unlock()
	t.server.durable.kept.moves.lost.Add(1)
	if id == 0 {
		return
	}
	at := loopOf(id)
	p := t.server.paths[at]
	err := t.server.engine.Do(at, func() {
		p.begin()
		if from := p.peer(id); from != nil && from.lasts() != nil && from.lasts().session == s {
			from.lasts().session = nil
			p.replaced(id)
		}
	})
	if err != nil {
		t.server.crowd.Warn("the connection of a session that is another node's was not closed", "error", err)
	}
}

// startOfLasting is how a client of frames begins, in MQTT's words.
func startOfLasting(ttl time.Duration) mqtt.Start {
	return mqtt.Start{Expiry: max(expirySeconds(ttl), 1)}
}
