package engine

import (
	"fmt"
	"net/netip"
	"runtime/debug"
)

// The calls of the handler. A panic in one of them is counted and logged with its
// stack; it costs the connection that it was for, nothing else.

func (l *Loop) callData(c *Conn, b []byte) (consumed, need int, ok bool) {
	defer l.guard(c, "Data")
	consumed, need = l.handler.Data(c, b)
	if consumed < 0 || consumed > len(b) || need < 0 {
		panic(fmt.Sprintf("Data consumed %d of %d bytes and needs %d", consumed, len(b), need))
	}
	return consumed, need, true
}

func (l *Loop) callOpen(c *Conn) {
	defer l.guard(c, "Open")
	l.handler.Open(c)
}

func (l *Loop) callMoved(c *Conn) {
	defer l.guard(c, "Moved")
	if m, ok := l.handler.(Mover); ok {
		m.Moved(c)
	} else {
		c.Close(ReasonDenied)
	}
}

func (l *Loop) callPosted(id ConnID, unit []byte) {
	defer l.guard(nil, "Posted")
	if r, ok := l.handler.(Receiver); ok {
		r.Posted(uint64(id), unit)
	}
}

func (l *Loop) callStranger(k Doorkeeper, listener int, from netip.AddrPort, b, reply []byte) (answer []byte, admit bool) {
	defer l.guard(nil, "Stranger")
	return k.Stranger(listener, from, b, reply)
}

func (l *Loop) callWake(w Waker, c *Conn) {
	defer l.guard(c, "Wake")
	w.Wake(c)
}

func (l *Loop) callAwaits(c *Conn) (awaits bool) {
	defer l.guard(nil, "Awaits")
	return l.awaiter.Awaits(c)
}

func (l *Loop) callIdle(c *Conn) {
	defer l.guard(c, "Idle")
	l.handler.Idle(c)
}

// callLeave lets the handler say its last words, once.
func (l *Loop) callLeave(c *Conn, reason Reason) {
	if h, ok := l.handler.(Leaver); ok && !c.left {
		c.left = true
		defer l.guard(c, "Leave")
		h.Leave(c, reason)
	}
}

func (l *Loop) callClosed(c *Conn) {
	defer l.guard(c, "Closed")
	l.handler.Closed(c, c.reason)
}

func (l *Loop) callTick() {
	defer l.guard(nil, "Tick")
	l.handler.Tick(l.wall)
}

func (l *Loop) callTurn() {
	defer func() {
		if p := recover(); p != nil {
			l.panicked(nil, "Turn", p)
			if r, ok := l.handler.(TurnRecoverer); ok {
				l.protect(nil, "TurnFailed", func() { r.TurnFailed(p) })
			}
		}
	}()
	l.handler.Turn()
}

func (l *Loop) protect(c *Conn, call string, fn func()) {
	defer l.guard(c, call)
	fn()
}

// guard is deferred directly, so that recover works in it.
func (l *Loop) guard(c *Conn, call string) {
	if p := recover(); p != nil {
		l.panicked(c, call, p)
	}
}

func (l *Loop) panicked(c *Conn, call string, p any) {
	l.count[countPanics]++
	attrs := []any{"call", call, "loop", l.index, "panic", fmt.Sprint(p), "stack", string(debug.Stack())}
	if c != nil {
		attrs = append(attrs, "connection", c.id.String(), "remote", c.remote.String(), "listener", l.engine.all()[c.listener].cfg.Load().Name)
	}
	l.log().Error("the handler panicked", attrs...)
	if c != nil {
		l.shut(c, ReasonPanic)
	}
}
