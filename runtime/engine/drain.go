package engine

import (
	"context"
	"errors"
)

// drainReads is how many turns of reading a drain still makes, so that a peer that
// never stops sending does not keep the engine.
const drainReads = 64

// Drain ends the engine without losing what it has accepted. It stops listening
// (the epoll driver first lets in those whom the kernel had accepted), ends the
// handshakes that are under way, and reads what had arrived, within a bound; then
// reads no more, waits until everything owed is written, the loops have nothing under
// way to each other, no handler that is a Pender has anything pending, and none that is
// an Awaiter waits for a peer, which is still read from; then
// handlers that are Leavers say their last words and every connection is closed with
// ReasonDrained. If ctx ends first, connections are closed with what they still owe,
// and ctx's error is returned. Run returns before Drain does.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.RLock()
	if e.closed {
		e.mu.RUnlock()
		return nil
	}
	if !e.running {
		e.mu.RUnlock()
		return e.Close()
	}
	e.draining.Store(true)
	for _, ln := range e.all() {
		if ln.net != nil {
			_ = ln.net.Close()
		}
		ln.handshakes.end()
	}
	e.wakeAll()
	e.mu.RUnlock()

	err := e.awaitQuiet(ctx)
	if err == nil && e.hasLeavers() {
		e.parting.Store(true)
		e.wakeAll()
		err = e.awaitQuiet(ctx)
	}
	e.halt()
	<-e.done
	return err
}

// awaitQuiet waits until all loops are quiet and none has worked between two looks
// at all of them.
func (e *Engine) awaitQuiet(ctx context.Context) error {
	var before uint64
	quietBefore := false
	for {
		quiet, worked := true, uint64(0)
		for _, l := range e.loops {
			quiet = (!e.parting.Load() || l.parted.Load()) && l.quiet.Load() && quiet
			worked += l.worked.Load()
		}
		if quiet && quietBefore && worked == before {
			return nil
		}
		if quiet && (!quietBefore || worked != before) {
			quietBefore, before = true, worked
			continue
		}
		quietBefore = false
		select {
		case <-e.progress:
		case <-e.done:
			return nil
		case <-ctx.Done():
			return errors.Join(errors.New("engine: the drain was cut short"), ctx.Err())
		}
	}
}

// drainTurn is the part of a turn that only a drain has.
func (l *Loop) drainTurn() {
	if l.reads < 0 {
		l.reads = drainReads
		l.source.deaf()
		l.again = true
		return
	}
	if !l.isDeaf {
		l.reads--
		if l.count[countReads] != l.readsSeen && l.reads > 0 {
			l.readsSeen = l.count[countReads]
			l.again = true
			return
		}
		l.isDeaf = true
		for _, c := range l.table.conns {
			if c != nil {
				l.updateInterest(c)
			}
		}
	}
	if l.engine.parting.Load() && !l.parted.Load() {
		l.part()
		return
	}
	quiet := l.idle()
	if !quiet {
		l.worked.Add(1)
	}
	if quiet && !l.quiet.Swap(true) {
		select {
		case l.engine.progress <- struct{}{}:
		default:
		}
	} else if !quiet {
		l.quiet.Store(false)
	}
}

// hasLeavers tells whether a handler has last words.
func (e *Engine) hasLeavers() bool {
	for _, l := range e.loops {
		if _, ok := l.handler.(Leaver); ok {
			return true
		}
	}
	return false
}

// part lets the handler say its last words on every connection: nobody has anything
// to send any more.
func (l *Loop) part() {
	for _, c := range l.table.conns {
		if c != nil && c.state == stateOpen {
			l.callLeave(c, ReasonDrained)
		}
	}
	l.quiet.Store(false)
	l.parted.Store(true)
	l.again = true
}

// idle tells whether the loop owes nothing to anybody.
func (l *Loop) idle() bool {
	if l.again || len(l.funcs) > 0 {
		return false
	}
	for i := range l.routes {
		if l.routes[i].away > 0 {
			return false
		}
	}
	if p, ok := l.handler.(Pender); ok && p.Pending() {
		return false
	}
	for _, c := range l.table.conns {
		if c != nil && (c.box != nil || c.blocked || l.awaits(c)) {
			return false
		}
	}
	return true
}

// finish ends the loop: every connection is closed and the handler told.
func (l *Loop) finish() {
	l.clock()
	l.unpack()
	l.runFuncs()
	l.callTurn()
	l.post()
	l.flush()
	reason := ReasonStopped
	if l.engine.draining.Load() {
		reason = ReasonDrained
	}
	l.refuseNet()
	for _, c := range l.table.conns {
		if c != nil {
			l.shut(c, reason)
		}
	}
	l.tellClosed()
	l.callTurn()
	l.flushUDP()
	l.dropUDP()
	for i := range l.dirty {
		l.dirty[i].dirty = false
	}
	l.dirty = l.dirty[:0]
	l.giveBack()
	l.publish()
}
