package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Listeners come and go while the engine runs. Prepare opens one, each loop takes it up
// by Loop.Adopt, and Serve has it accept; Retire ends one in order. An index stays the
// same listener's until Release; then another one may have it.

// MaxListeners is how many listeners there may be, those included that are ending.
const MaxListeners = 1 << 14

// ErrListeners means that there are too many listeners.
var ErrListeners = errors.New("engine: too many listeners")

// Prepare opens a further listener's sockets. Nobody accepts there before Serve; Discard
// takes it back. On an error nothing has changed.
func (e *Engine) Prepare(cfg Listener) (index int, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running || e.closed || e.stopping.Load() || e.draining.Load() {
		return 0, ErrStopped
	}
	list := slices.Clone(e.all())
	index = len(list)
	for i, ln := range list {
		if ln.free && (index == len(list) || ln.cfg.Load().Name == cfg.Name) {
			index = i // one of the same name is preferred: its counters go on
		}
	}
	if index >= MaxListeners {
		return 0, fmt.Errorf("%w: at most %d, those included whose connections have not ended yet", ErrListeners, MaxListeners)
	}
	ln := newListener(index, cfg)
	ln.prepared = true
	if err := ln.listen(&cfg, e.epoll, e.cfg.Loops); err != nil {
		return 0, listenError(cfg, err)
	}
	if index == len(list) {
		list = append(list, ln)
	} else {
		list[index] = ln
	}
	e.admission.admit(index, cfg)
	e.listeners.Store(&list)
	return index, nil
}

// Discard closes a prepared listener that nobody has served. Its index is free again.
func (e *Engine) Discard(index int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ln := e.all()[index]; ln.prepared && !ln.closed {
		ln.close()
		ln.free = true
	}
}

// Release gives the index of a listener that Retire has ended to the next one.
func (e *Engine) Release(index int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ln := e.all()[index]
	ln.free = ln.closed
}

// Update changes what may change of a listener that is served: its limits, deadlines,
// outboxes of new connections, and Wrap where there was one before. Loops follow by
// Loop.Adopt.
func (e *Engine) Update(index int, cfg Listener) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	ln := e.all()[index]
	was := ln.cfg.Load()
	if (was.Wrap == nil) != (cfg.Wrap == nil) || was.isUDP() != cfg.isUDP() {
		return fmt.Errorf("%w: listener %s: what carries its bytes cannot change", ErrConfig, cfg.Name)
	}
	ln.cfg.Store(&cfg)
	e.admission.admit(index, cfg)
	return nil
}

// Limit changes the bounds of open connections of the whole engine, in all and per
// source address (0: no limit), for connections to come.
func (e *Engine) Limit(connections, perSource int) { e.admission.limit(connections, perSource) }

// Adopt takes up a listener that was prepared or updated. It belongs to the loop's
// goroutine, as Engine.Do runs functions on it.
func (l *Loop) Adopt(index int) {
	cfg := l.engine.all()[index].cfg.Load()
	for len(l.limits) <= index {
		l.limits = append(l.limits, limits{})
	}
	l.limits[index] = newLimits(*cfg)
	if words := countListeners + len(l.limits)*listenerWords; words > len(l.count) {
		l.growCounts(words)
	}
	if tick := wheelTick(l.limits); tick < l.wheel.tick {
		l.rewind(tick)
	}
	for _, c := range l.table.conns {
		if c != nil && int(c.listener) == index && c.state != stateClosed {
			l.arm(c) // its deadlines may be earlier ones
		}
	}
}

// growCounts makes room for further counters. Nobody but the loop writes what is published.
func (l *Loop) growCounts(words int) {
	l.count = append(l.count, make([]uint64, words-len(l.count))...)
	l.last = append(l.last, make([]uint64, words-len(l.last))...)
	former := *l.published.Load()
	published := newWords(words)
	for i := range former {
		published[i].Store(former[i].Load())
	}
	l.published.Store(&published)
}

// rewind gives the wheel a finer step.
func (l *Loop) rewind(tick int64) {
	var in []*Conn
	for _, head := range l.wheel.slots {
		for c := head; c != nil; c = c.next {
			in = append(in, c)
		}
	}
	dues := make([]int64, len(in))
	for i, c := range in {
		dues[i] = c.due
		l.wheel.unset(c)
	}
	l.wheel.tick, l.wheel.done = tick, l.now/tick
	for i, c := range in {
		l.wheel.set(c, dues[i])
	}
}

// Serve begins to accept at a prepared listener that every loop has adopted.
func (e *Engine) Serve(ctx context.Context, index int) error {
	ln := e.all()[index]
	err := e.each(ctx, func(l *Loop) error {
		if ln.packetNet != nil {
			l.newUDP(index, ln.packetNet)
		}
		return l.source.listen(ln)
	})
	if err != nil {
		return fmt.Errorf("engine: listener %s: %w", ln.cfg.Load().Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ln.prepared = false
	if e.stopping.Load() || e.draining.Load() {
		return ErrStopped
	}
	e.help(ln)
	return nil
}

// help runs what a listener needs beside the loops. Hold mu.
func (e *Engine) help(ln *listener) {
	if ln.net != nil {
		e.helpers.Go(func() { e.acceptNet(ln) })
	}
	if ln.packetNet != nil {
		e.helpers.Go(func() { e.readPackets(ln.packetNet) })
		e.helpers.Go(ln.packetNet.writeAll)
	}
}

// lookEvery is how often Retire looks whether connections have ended.
const lookEvery = 20 * time.Millisecond

// Retire ends a listener and waits for it: nothing new is accepted, but what the kernel
// has accepted already is; when quiet answers true, Leavers say their last words on each
// connection, and it is closed with ReasonDrained as soon as what it is owed is written.
// If ctx ends before, connections are closed with what they still owe. The index stays its
// own until Release. ErrStopped: the engine ends, and all listeners with it.
func (e *Engine) Retire(ctx context.Context, index int, quiet func() bool) error {
	ln := e.all()[index]
	ln.closing.Store(true)
	if ln.net != nil {
		_ = ln.net.Close()
	}
	ln.handshakes.end()
	if err := e.each(context.WithoutCancel(ctx), func(l *Loop) error { l.source.unlisten(ln); return nil }); err != nil {
		return err
	}
	for !quiet() && ctx.Err() == nil {
		if !e.rest(lookEvery) {
			return ErrStopped
		}
	}
	ln.over.Store(true)
	for e.admission.open(index) > 0 {
		hurry := ctx.Err() != nil
		if err := e.each(context.WithoutCancel(ctx), func(l *Loop) error { l.partFrom(index, hurry); return nil }); err != nil {
			return err
		}
		if !e.rest(lookEvery) {
			return ErrStopped
		}
	}
	if err := e.each(context.WithoutCancel(ctx), func(l *Loop) error { l.dropSocket(ln); return nil }); err != nil {
		return err
	}
	if ln.packetNet != nil {
		ln.packetNet.ended()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ln.close()
	return nil
}

// partFrom ends the loop's connections of a listener.
func (l *Loop) partFrom(index int, hurry bool) {
	for _, c := range l.table.conns {
		switch {
		case c == nil || int(c.listener) != index || c.state == stateClosed:
		case hurry:
			l.shut(c, ReasonDrained)
		case c.state == stateOpen:
			c.CloseAfterFlush(ReasonDrained)
		}
	}
}

// dropSocket forgets a listener's socket of datagrams.
func (l *Loop) dropSocket(ln *listener) {
	index := ln.index
	u := l.datagrams(index)
	if u == nil {
		return
	}
	if len(u.out) > 0 {
		u.flush()
	}
	l.countListener(index)[listenerDropped+int(DropClosed)] += uint64(len(u.backlog))
	l.udp[index] = nil
	l.source.closeSocket(ln)
}

// each runs a step on every loop, one after another, and waits for it.
func (e *Engine) each(ctx context.Context, step func(l *Loop) error) error {
	for i, l := range e.loops {
		done := make(chan error, 1)
		run := func() {
			err := fmt.Errorf("engine: loop %d: a step panicked", i)
			defer func() { done <- err }()
			err = step(l)
		}
		for {
			err := e.Do(i, run)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrBusy) {
				return err
			}
			if ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			if !e.rest(time.Millisecond) {
				return ErrStopped
			}
		}
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// close closes the listener's own sockets. Hold mu, or be alone.
func (ln *listener) close() {
	if ln.closed {
		return
	}
	ln.closed = true
	if ln.net != nil {
		_ = ln.net.Close()
	}
	if ln.packets != nil {
		_ = ln.packets.Close()
	}
	closeSockets(ln.fds)
}

// Addr is where a listener listens.
func (e *Engine) Addr(index int) net.Addr { return e.all()[index].addr }

// Move is a listener's new sockets, which nobody serves yet.
type Move struct{ from, to *listener }

// PrepareMove opens sockets at another address for a listener. CarryOut has it go there,
// Discard takes it back. On an error nothing has changed.
func (e *Engine) PrepareMove(index int, cfg Listener) (*Move, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	from := e.all()[index]
	if was := from.cfg.Load(); was.isUDP() != cfg.isUDP() {
		return nil, fmt.Errorf("%w: listener %s: what carries its bytes cannot change", ErrConfig, cfg.Name)
	}
	m := &Move{from, newListener(index, cfg)}
	if err := m.to.listen(&cfg, e.epoll, e.cfg.Loops); err != nil {
		return nil, listenError(cfg, err)
	}
	return m, nil
}

// Index is the listener's.
func (m *Move) Index() int { return m.to.index }

// Addr is where the listener will listen.
func (m *Move) Addr() net.Addr { return m.to.addr }

// Discard closes what was opened.
func (m *Move) Discard() { m.to.close() }

// CarryOut accepts at the new address and no more at the old one, whose connections end
// in order: those who are connected there come again. What the kernel has accepted there
// already is let in before.
func (e *Engine) CarryOut(ctx context.Context, m *Move) error {
	e.mu.Lock()
	if e.stopping.Load() || e.draining.Load() {
		e.mu.Unlock()
		m.to.close()
		return ErrStopped
	}
	list := slices.Clone(e.all())
	list[m.from.index] = m.to
	e.listeners.Store(&list)
	e.admission.admit(m.to.index, *m.to.cfg.Load())
	m.from.closing.Store(true)
	if m.from.net != nil {
		_ = m.from.net.Close()
	}
	m.from.handshakes.end()
	e.mu.Unlock()
	err := e.each(ctx, func(l *Loop) error {
		l.source.unlisten(m.from)
		l.partFrom(m.from.index, m.to.cfg.Load().isUDP())
		l.dropSocket(m.from)
		if m.to.packetNet != nil {
			l.newUDP(m.to.index, m.to.packetNet)
		}
		return l.source.listen(m.to)
	})
	if m.from.packetNet != nil {
		m.from.packetNet.ended()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m.from.over.Store(true)
	m.from.close()
	if err == nil {
		e.help(m.to)
	}
	return err
}
