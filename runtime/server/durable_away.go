package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A node can start while its external backbone is away. Publishers are served at once:
// their messages wait in this node's own log. What is in the backbone, how far this
// node is and the MQTT sessions that it keeps, is read when the backbone is there;
// until then nothing is taken out of the logs, and clients that ask for a kept session
// are told to come back: a new one would have lost their subscriptions.

// maxClean is how many clients can begin anew until then.
const maxClean = 1 << 16

// waits begins to wait for the backbone.
func (k *keptSessions) waits() {
	k.clean = map[string]bool{}
	k.waiting.Store(true)
	k.d.server.log.Warn("kept MQTT sessions and the positions in durable routes cannot be read: durable messages are taken, but not delivered, and clients with kept sessions are refused until the backbone is there")
}

// knows tells whether a session can begin as its client asks for: one that ends with
// its connection always, as far as it can be remembered that what the backbone has of
// it is over.
func (d *durables) knows(listener string, key mqtt.Key, start mqtt.Start) bool {
	if d == nil || !d.kept.waiting.Load() {
		return true
	}
	if !start.Clean || start.Expiry > 0 {
		return false
	}
	k := d.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clean == nil {
		return true // it has come meanwhile
	}
	if len(k.clean) >= maxClean {
		return false
	}
	k.clean[keptKey(listener, key)] = true
	return true
}

// begunAnew tells whether a client wanted nothing to do with its kept session, which
// ends then.
func (k *keptSessions) begunAnew(key string, rev uint64) bool {
	k.mu.Lock()
	anew := k.clean[key]
	k.mu.Unlock()
	if anew {
		k.put(key, &keptOwn{rev: rev}, nil, nil)
	}
	return anew
}

// mend writes a session's record, and waits for it.
func (k *keptSessions) mend(key string, own *keptOwn, record []byte) error {
	if !k.waiting.Load() {
		return k.store(k.d.server.ctx, key, own, record) // nobody else writes yet
	}
	done := make(chan error, 1)
	k.put(key, own, record, func(err error) { done <- err })
	return <-done
}

// putOff refuses a client until the backbone is there.
func (s *mqttSpeaker) putOff(from *peer, c *mqttConn) {
	const text = "kept sessions cannot be read while the backbone is away; try again later"
	s.path.server.crowd.Warn("session refused", "listener", s.listener.name, "remote", from.conn.Remote(), "reason", text)
	s.path.leave(from, engine.ReasonDenied, true)
	from.session = nil
	s.refuse(from, c, packet.ServerUnavailable, []byte(text), engine.ReasonDenied)
}

// arrive reads what the backbone has when it is there, and begins with what could not
// begin before.
func (d *durables) arrive(ctx context.Context) {
	s, wait := d.server, newPause(time.Second)
	for {
		err := d.catchUp(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, backbone.ErrAway) && !errors.Is(err, engine.ErrBusy) {
			s.crowd.Warn("kept MQTT sessions cannot be read", "error", err)
		}
		if !wait.sleep(ctx) {
			return
		}
	}
	d.kept.mu.Lock()
	d.kept.waiting.Store(false)
	d.kept.clean = nil
	d.kept.mu.Unlock()
	s.log.Info("the backbone is there: kept MQTT sessions have been read, durable routes are delivered")
	d.read(ctx)
}

// catchUp reads how far this node is, and its sessions.
func (d *durables) catchUp(ctx context.Context) error {
	if err := d.kept.locate(ctx); err != nil {
		return err
	}
	for i, p := range d.server.paths {
		err := onLoops{}.run(d.server, i, func() {
			for _, l := range p.logList {
				l.fed = l.route.stored.Load()
			}
		})
		if err != nil {
			return err
		}
	}
	return d.kept.restore(ctx, onLoops{})
}

// waitingFor is the reason that readiness gives while the backbone was never there.
const waitingFor = "waiting for the backbone: durable messages are taken and kept on this node"

// missing is what a start goes on without; empty: nothing.
func (s *Server) missing() string {
	if s.backbone == nil || s.backbone.State().Reached {
		return ""
	}
	return waitingFor
}

// explain takes what is missing out of the state when the backbone is there.
func (s *Server) explain(missing string) (stop func()) {
	if missing == "" {
		return func() {}
	}
	stop = s.backbone.Watch(func(state backbone.State) {
		if state.Reached {
			s.life.Explain(life.Running, "")
		}
	})
	if s.backbone.State().Reached {
		s.life.Explain(life.Running, "")
	}
	return stop
}
