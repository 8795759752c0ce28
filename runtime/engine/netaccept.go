package engine

import (
	"net"
	"time"
)

// acceptNet accepts on one listener until it is closed, and deals the connections
// to the loops in turn. At most acceptsPerTurn wait for their loop.
func (e *Engine) acceptNet(ln *listener) {
	index := ln.index
	var loggedAt time.Time
	for next := 0; ; next++ {
		conn, err := ln.net.Accept()
		if err != nil {
			if e.draining.Load() || e.stopping.Load() || ln.closing.Load() {
				return
			}
			e.loops[0].postNet(netEvent{kind: netRefused, listener: index})
			if now := time.Now(); now.Sub(loggedAt) >= 10*time.Second {
				loggedAt = now
				e.cfg.Logger.Warn("connections are refused: raise the limit of open files (ulimit -n) or lower limits.connections",
					"listener", ln.cfg.Load().Name, "address", ln.addr.String(), "error", err)
			}
			if !e.rest(acceptPause * time.Millisecond) {
				return
			}
			continue
		}
		if !e.deal(e.loops[next%len(e.loops)], conn, ln) {
			return
		}
	}
}

// deal hands a connection to a loop when that has a seat for it.
func (e *Engine) deal(l *Loop, conn net.Conn, ln *listener) bool {
	select {
	case ln.seat <- struct{}{}:
		l.postNet(netEvent{kind: netAccepted, accepted: conn, listener: ln.index, at: ln})
		return true
	case <-e.stop:
		_ = conn.Close()
		return false
	}
}

// rest waits; it answers false if the engine stops meanwhile.
func (e *Engine) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.stop:
		return false
	}
}

// refuseNet closes connections that were accepted and never opened: the loop ends.
func (l *Loop) refuseNet() {
	q := &l.net
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ev := range append(q.todo[q.at:], q.posted...) {
		switch ev.kind {
		case netAccepted, netReady:
			_ = ev.accepted.Close()
		case netMoved:
			ev.moved.drop(l)
		}
	}
	q.todo, q.posted, q.at, q.closed = nil, nil, 0, true
}
