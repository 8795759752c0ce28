package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/router"
)

// restore makes the sessions of the bucket: before the loops run, or on them.
func (k *keptSessions) restore(ctx context.Context, on runner) error {
	s := k.d.server
	if s.mqtt == nil && s.lasting == nil {
		return nil
	}
	keys, err := k.sessions.Keys(ctx, "")
	if err != nil {
		return err
	}
	slices.Sort(keys)
	restored, left := 0, 0
	for _, text := range keys {
		value, rev, err := k.sessions.Get(ctx, text)
		if errors.Is(err, backbone.ErrNoKey) {
			continue
		}
		if err != nil {
			return err
		}
		var r keptRecord
		listener, key, ok := cutKeptKey(text)
		index := s.listenerIndex(listener)
		parsed := r.parse(value)
		if parsed == nil && !k.moves.mine(&r.owner) {
			if r.owner.node != "" {
				k.moves.leases.owners[r.owner.node] = true
			}
			continue // it is loaded when its client comes
		}
		if parsed != nil || !ok || index < 0 || index >= len(s.setup().listeners) {
			left++
			continue
		}
		if r.frames {
			if k.moves.keepsFrames(listener) && (r.ends == 0 || r.ends > time.Now().UnixNano()) {
				s.lasting.restore(text, uint32(index), &r, &keptOwn{rev: rev})
				restored++
			} else {
				k.put(text, &keptOwn{rev: rev}, nil, nil)
			}
			continue
		}
		at, made := s.publishTo([]byte(key.ClientID)), false
		own := &keptOwn{rev: rev}
		var mended []byte
		err = on.run(s, at, func() {
			speaker, ok := s.paths[at].speakers[index].(*mqttSpeaker)
			if !ok {
				return
			}
			if made = k.begunAnew(text, rev) || speaker.clients.Find(key) != nil; made {
				return // it came meanwhile, or was made in an earlier try
			}
			session, restored := speaker.restore(key, &r, own)
			if made = restored; session != nil && k.d.beyond(&r) {
				mended = speaker.record(session)
			}
		})
		if err != nil {
			return err
		}
		if !made {
			left++
			continue
		}
		if mended != nil {
			if err := k.mend(text, own, mended); err != nil && !errors.Is(err, errMoved) {
				return fmt.Errorf("MQTT session %s: %w", key.ClientID, err)
			}
		}
		restored++
	}
	if restored+left > 0 {
		s.log.Info("sessions restored", "sessions", restored, "left", left)
	}
	return nil
}

// restore makes a session as it was, and its client away: nil if its time is over; false if there is no room
// for it.
func (s *mqttSpeaker) restore(key mqtt.Key, r *keptRecord, own *keptOwn) (*mqttSession, bool) {
	p := s.path
	if p.now == 0 {
		p.now = time.Now().UnixNano()
		defer func() { p.now = 0 }()
	}
	expiry := r.expiry
	if r.ends != 0 {
		if r.ends <= p.now {
			p.server.durable.kept.put(keptKey(s.listener.name, key), own, nil, nil)
			return nil, true
		}
		expiry = uint32(min((r.ends-p.now)/int64(time.Second)+1, int64(mqtt.Forever)-1))
	}
	session := s.newSession(key, mqtt.Start{Expiry: r.expiry})
	if session == nil {
		return nil, false
	}
	session.start = mqtt.Start{Expiry: r.expiry}
	s.inherits(session, r)
	s.away.Leave(session.state, expiry, p.now)
	for _, sub := range r.subscriptions {
		s.resubscribe(session, sub)
	}
	k := &keptState{own: own, key: keptKey(s.listener.name, key), cursors: make([]cursor, len(p.logList))}
	for i, l := range p.logList {
		k.cursors[i] = restoreCursor(l, r)
	}
	k.elsewhere = p.server.durable.elsewhere(r)
	k.left = p.now - int64(r.expiry-min(expiry, r.expiry))*int64(time.Second)
	_, delay := session.state.Will()
	k.will = p.now + int64(delay)*int64(time.Second)
	session.kept = k
	s.takeUp(session, r)
	s.dirty(session)
	return session, true
}

// resubscribe puts a subscription into force again.
func (s *mqttSpeaker) resubscribe(session *mqttSession, sub mqttSubscription) {
	group, pattern, shared, err := mqtt.CutShare(sub.filter)
	if err != nil || router.ValidatePattern(pattern) != nil || !s.budget.Take(mqtt.SubscriptionCost(sub.filter)) {
		return
	}
	shared = shared && s.setup.Shared
	if !shared {
		pattern = sub.filter
	}
	sub.by.Session, sub.shared = session.id, shared
	if s.enforce(session, group, pattern, shared, sub.by) != 0 {
		s.budget.Give(mqtt.SubscriptionCost(sub.filter))
		return
	}
	session.subscriptions = append(session.subscriptions, sub)
}
