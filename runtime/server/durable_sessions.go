package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// MQTT sessions that outlive their connections outlive the process as well, where
// there are durable routes: who is subscribed to what, and how far each is in the logs.
// A bucket has a value for each. It is written before a SUBACK, and otherwise in rounds
// of about a second, behind which the positions of the node follow. So what the bucket
// says of a session that keeps up, and has everything, also holds for all entries up to
// the position: it need not be written again for each of them.

// keptSessions writes sessions to their bucket.
type keptSessions struct {
	d         *durables
	sessions  *backbone.Bucket
	positions *backbone.Bucket

	behind *behind[string] // by key
	mu     sync.Mutex
	writes map[string]*keptWrite // what is to be written

	moves sessionMoves

	waiting atomic.Bool     // for the backbone: durable_away.go
	clean   map[string]bool // keys whose clients have begun anew meanwhile, under mu
}

// keptWrite is a value that is to be written: nil deletes the key.
type keptWrite struct {
	own   *keptOwn
	value []byte
	done  []func(error)
}

const (
	// keptWriters is how many values are written at the same time: they share the
	// disk's syncs.
	keptWriters = 16
	// keptWaiting is how many sessions may wait to be written.
	keptWaiting = 1 << 20
	writeWithin = 5 * time.Second
)

func newKeptSessions(ctx context.Context, d *durables) (*keptSessions, error) {
	k := &keptSessions{d: d, writes: map[string]*keptWrite{}}
	k.behind = newBehind(behindOptions[string]{Writers: keptWriters, Most: keptWaiting, Write: k.write})
	k.moves.init(k)
	var err error
	if k.positions, err = d.backbone.Bucket(ctx, backbone.BucketOptions{Name: "positions", Fresh: true}); err != nil {
		return nil, err
	}
	if k.sessions, err = d.backbone.Bucket(ctx, backbone.BucketOptions{Name: "sessions", Fresh: true}); err != nil {
		return nil, err
	}
	err = k.locate(ctx)
	if external := d.server.cfg.Backbone.External(); external && (errors.Is(err, backbone.ErrAway) || !d.backbone.State().Reached) {
		k.waits()
		return k, nil
	}
	return k, err
}

// locate reads how far this node is in the logs.
func (k *keptSessions) locate(ctx context.Context) error {
	d := k.d
	for _, r := range d.list {
		info, err := r.log.Info(ctx)
		if err != nil {
			return fmt.Errorf("routes.%s.durable: %w", r.name, err)
		}
		r.last = info.Last
		value, _, err := k.positions.Get(ctx, d.positionKey(r))
		if errors.Is(err, backbone.ErrNoKey) {
			// A node that is new here, or has another name: what others have dealt with is
			// not for those who happen to be connected to this one.
			r.anew, r.unsaved = true, true
			r.stored.Store(r.last)
			r.counts.followed.Store(r.last)
			if r.last == 0 {
				if err := k.savePosition(ctx, r, 0); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("routes.%s.durable: how far this node is: %w", r.name, err)
		}
		was := parsePosition(value)
		seq := was.seq
		r.missing(ctx, d.server, &info, &was)
		r.back = true
		r.stored.Store(min(seq, r.last))
		if seq > r.last { // else another crash would take what comes now for what was dealt with
			if err := k.savePosition(ctx, r, r.last); err != nil {
				return err
			}
		}
		r.counts.followed.Store(r.stored.Load())
	}
	return nil
}

func (d *durables) positionKey(r *durableRoute) string { return r.name + "/" + d.server.node }

// errUnwritten: more sessions wait to be written than may.
var errUnwritten = errors.New("too many sessions wait to be written")

// put has a value written, if the key still is the session's that has own; nil deletes
// it. Of several values for one key only the newest may be written; done, which may be
// nil, is called for each. It does not wait for the disk, and its lock is held for moments
// only: any goroutine calls it.
func (k *keptSessions) put(key string, own *keptOwn, value []byte, done func(error)) {
	k.mu.Lock()
	w := k.writes[key]
	if w == nil {
		w = &keptWrite{}
		k.writes[key] = w
	}
	w.own, w.value = own, value
	if done != nil {
		w.done = append(w.done, done)
	}
	taken := k.behind.changed(key)
	if !taken {
		delete(k.writes, key)
	}
	k.mu.Unlock()
	if !taken {
		w.end(errUnwritten)
	}
}

func (w *keptWrite) end(err error) {
	for _, done := range w.done {
		done(err)
	}
}

// write writes what there is of a key.
func (k *keptSessions) write(ctx context.Context, key string) outcome {
	k.mu.Lock()
	w := k.writes[key]
	delete(k.writes, key)
	k.mu.Unlock()
	if w == nil {
		return nothing
	}
	err := k.store(ctx, key, w.own, w.value)
	w.end(err)
	if err != nil && !errors.Is(err, errMoved) {
		return notWritten
	}
	return written
}

// keepSession begins to write a session that outlives its connection, or ends it where
// it does not any more.
func (s *mqttSpeaker) keepSession(session *mqttSession) {
	p := s.path
	switch {
	case p.server.durable == nil:
	case session.start.Expiry == 0:
		s.unkeep(session)
	case session.kept == nil:
		k := &keptState{own: s.taking.owns(), key: keptKey(s.listener.name, session.key), cursors: make([]cursor, len(p.logList))}
		for i, l := range p.logList {
			k.cursors[i].next = l.fed + 1
		}
		session.kept = k
		s.dirty(session)
	default:
		session.kept.full = false // what is in the record is with the client from now on
		s.dirty(session)
	}
}

// unkeep forgets what the bucket has of a session.
func (s *mqttSpeaker) unkeep(session *mqttSession) {
	if k := session.kept; k != nil {
		session.kept = nil
		s.path.server.durable.kept.put(k.key, k.own, nil, nil)
	}
}

// maxSubacks is how many SUBACKs of a session wait at most: then it is not read from.
const maxSubacks = 16

// subackLater has the SUBACK sent when the bucket has the subscriptions; false if they
// are in none.
func (s *mqttSpeaker) subackLater(from *peer, c *mqttConn, unit []byte) bool {
	session := c.session
	k := session.kept
	if k == nil {
		return false
	}
	if k.waiting++; k.waiting >= maxSubacks && !k.held {
		k.held = true
		if from.logs++; from.logs == 1 {
			s.path.quieten(from)
		}
	}
	unit = slices.Clone(unit)
	server, at := s.path.server, s.path.loop.Index()
	server.durable.kept.put(k.key, k.own, s.record(session), func(err error) {
		answer := func() { s.subacked(from, c, k, unit, err) }
		wait := newPause(50 * time.Millisecond)
		for errors.Is(server.engine.Do(at, answer), engine.ErrBusy) {
			wait.sleep(server.ctx)
		}
	})
	return true
}

// subacked sends a SUBACK that waited. Without the bucket the client would not get what
// it asks for: it is told to come back.
func (s *mqttSpeaker) subacked(from *peer, c *mqttConn, k *keptState, unit []byte, err error) {
	s.path.begin()
	k.waiting--
	if k.held && k.waiting < maxSubacks/2 {
		k.held = false
		if from.logs--; from.logs == 0 {
			s.path.quieten(from)
		}
	}
	if c.phase != mqttOpen || c.session == nil {
		return
	}
	if errors.Is(err, errMoved) {
		return // its connection is about to be closed
	}
	if err != nil {
		s.unsaved(from, c)
		return
	}
	s.send(from, packet.TypeSuback, s.keep(unit))
}

// unsaved ends the connection of a client whose subscriptions could not be written.
func (s *mqttSpeaker) unsaved(from *peer, c *mqttConn) {
	s.dismiss(from, c, packet.ServerUnavailable, "the subscriptions could not be written to the backbone; try again later", engine.ReasonDenied)
}
