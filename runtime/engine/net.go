package engine

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the portable driver.
const (
	netReadSmall = 4 << 10   // what a connection reads into at first
	netReadLarge = 256 << 10 // and when it fills that
	netWriteSize = 256 << 10 // what a connection's writer takes at once
	netWriteStep = 32 << 10  // what it writes within one write deadline
)

// netConn is a connection served through package net: a goroutine reads it, posts
// what it read to the loop, and waits until that was taken. A second one writes
// while there is something to write. It is the transport of its connection.
type netConn struct {
	c    *Conn
	loop atomic.Pointer[Loop] // changes when the connection moves
	conn net.Conn

	// The reader's, and from its post until resume the loop's.
	buf    []byte
	at, n  int
	err    error
	resume chan struct{}

	parked  bool   // what was read waits in the loop, since c is not to be read
	writing bool   // the writer is at work on out
	out     []byte // of the loop's pool
}

// netEvent is what the goroutines of package net tell a loop.
type netEvent struct {
	kind     netKind
	conn     *netConn
	accepted net.Conn
	listener int
	at       *listener  // of accepted
	of       *packetNet // of datagram
	err      error
	moved    *moving
	from     netip.AddrPort
	datagram []byte
}

type netKind uint8

const (
	netAccepted netKind = iota
	netReady            // its handshake is done
	netRefused          // an accept failed for want of descriptors
	netRead
	netWrote
	netMoved // a connection of another loop comes here
	netDatagram
)

// netQueue holds a loop's events. It is bounded by the number of connections: each
// has at most one read and one write under way.
type netQueue struct {
	mu     sync.Mutex
	posted []netEvent
	// Of the loop alone: events being served, from todo[at].
	todo   []netEvent
	at     int
	closed bool // the loop has ended
}

func (l *Loop) postNet(ev netEvent) {
	l.net.mu.Lock()
	closed := l.net.closed
	if !closed {
		l.net.posted = append(l.net.posted, ev)
	}
	l.net.mu.Unlock()
	if !closed {
		l.wake()
		return
	}
	switch ev.kind {
	case netAccepted, netReady:
		_ = ev.accepted.Close()
	case netMoved:
		ev.moved.drop(l)
	}
}

// netEvents serves what was posted, until the turn is full.
func (l *Loop) netEvents() (more bool) {
	q := &l.net
	q.mu.Lock()
	if q.at == len(q.todo) {
		clear(q.todo)
		q.todo, q.posted, q.at = q.posted, q.todo[:0], 0
	} else {
		q.todo = append(q.todo, q.posted...)
		clear(q.posted)
		q.posted = q.posted[:0]
	}
	q.mu.Unlock()
	for ; q.at < len(q.todo); q.at++ {
		if !l.netEvent(q.todo[q.at]) {
			return true
		}
	}
	return false
}

// netEvent answers false if the turn has no room for the event.
func (l *Loop) netEvent(ev netEvent) bool {
	if ev.conn != nil {
		// It may have moved meanwhile, or be on its way: then its own event comes first.
		if at := ev.conn.loop.Load(); at != l || ev.conn.c.loop != l {
			at.postNet(ev)
			return true
		}
	}
	switch ev.kind {
	case netMoved:
		l.worked.Add(1)
		l.adopt(ev.moved)
	case netAccepted:
		<-ev.at.seat
		l.admitNet(ev.accepted, ev.at)
	case netReady:
		l.openNet(ev.accepted, ev.at)
	case netRefused:
		l.countListener(ev.listener)[listenerRefused+int(RefusedFiles)]++
	case netDatagram:
		<-ev.of.seats
		if u := l.datagrams(ev.listener); u != nil && u.driver == ev.of { // else its listener has ended
			u.received(ev.from, 0, ev.datagram)
		}
	case netWrote:
		l.netWrote(ev.conn, ev.err)
	case netRead:
		return l.netRead(ev.conn)
	}
	return true
}

func (l *Loop) admitNet(conn net.Conn, ln *listener) {
	e, listener := l.engine, ln.index
	remote := netRemote(conn)
	if ln.over.Load() {
		refuse(conn)
		return
	}
	if l.gate != nil && !l.callConnection(listener, remote.Addr()) {
		refuse(conn)
		return
	}
	why, ok := e.admission.enter(listener, remote.Addr())
	if !ok {
		l.countListener(listener)[listenerRefused+int(why)]++
		_ = conn.Close()
		return
	}
	if wrap := ln.cfg.Load().Wrap; wrap != nil {
		h := l.newHandshake(conn, ln)
		conn = wrap(h)
		if secret, ok := conn.(handshaker); ok {
			l.shake(secret, h, ln, remote)
			return
		}
		h.passed = true
	}
	l.openNet(conn, ln)
}

// openNet makes an admitted connection one of the loop.
func (l *Loop) openNet(conn net.Conn, ln *listener) {
	e, listener, remote := l.engine, ln.index, netRemote(conn)
	if ln.over.Load() {
		e.admission.leave(listener, remote.Addr())
		_ = conn.Close()
		return
	}
	nc := &netConn{conn: conn, resume: make(chan struct{}, 1)}
	nc.loop.Store(l)
	nc.c = &Conn{net: nc, fd: -1}
	if !l.open(nc.c, listener, remote) {
		e.admission.leave(listener, remote.Addr())
		l.countListener(listener)[listenerRefused+int(RefusedTotal)]++
		_ = conn.Close()
		return
	}
	e.helpers.Go(nc.readLoop)
	l.opened(nc.c)
}

func netRemote(conn net.Conn) netip.AddrPort {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		at := tcp.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}

// readLoop reads until the connection ends or the loop has closed it.
func (nc *netConn) readLoop() {
	nc.buf = make([]byte, netReadSmall)
	for {
		nc.at = 0
		nc.n, nc.err = nc.conn.Read(nc.buf)
		failed := nc.err != nil
		nc.loop.Load().postNet(netEvent{kind: netRead, conn: nc})
		if failed {
			return
		}
		if _, open := <-nc.resume; !open {
			return
		}
		if nc.n == len(nc.buf) && len(nc.buf) < netReadLarge {
			nc.buf = make([]byte, 4*len(nc.buf))
		}
	}
}

// netRead hands over what a reader has posted. It answers false if the turn has no
// room for it.
func (l *Loop) netRead(nc *netConn) bool {
	c := nc.c
	for c.state == stateOpen && nc.at < nc.n { // in this order: one that has moved is another loop's
		if !l.wantsInput(c) {
			nc.parked = true
			return true
		}
		room := l.room(c)
		if room == nil {
			return false
		}
		k := copy(room, nc.buf[nc.at:nc.n])
		nc.at += k
		l.received(c, k)
	}
	switch {
	case c.state == stateClosed:
	case nc.err == nil:
		nc.resume <- struct{}{}
	case !l.wantsInput(c):
		nc.parked = true
	case errors.Is(nc.err, io.EOF):
		l.hungUp(c)
	default:
		l.shut(c, ReasonReset)
	}
	return true
}

// write implements transport: the writer takes what fits, and the connection is
// full until it is done.
func (nc *netConn) write(c *Conn, runs [][]byte) (n int, full bool, err error) {
	if nc.writing {
		return 0, true, nil
	}
	total := 0
	for _, run := range runs {
		total += len(run)
	}
	nc.out = nc.loop.Load().pool.get(min(total, netWriteSize))
	for _, run := range runs {
		k := min(len(run), netWriteSize-len(nc.out))
		nc.out = append(nc.out, run[:k]...)
	}
	nc.writing = true
	deadline := nc.loop.Load().limits[c.listener].writeDeadline
	nc.loop.Load().engine.helpers.Go(func() { nc.writeOut(time.Duration(deadline) * time.Millisecond) })
	return len(nc.out), true, nil
}

// writeOut writes what the loop has handed over; each step has the whole deadline.
func (nc *netConn) writeOut(deadline time.Duration) {
	var err error
	for rest := nc.out; len(rest) > 0 && err == nil; {
		step := rest[:min(len(rest), netWriteStep)]
		rest = rest[len(step):]
		if deadline > 0 {
			_ = nc.conn.SetWriteDeadline(time.Now().Add(deadline))
		}
		_, err = nc.conn.Write(step)
	}
	nc.loop.Load().postNet(netEvent{kind: netWrote, conn: nc, err: err})
}

func (l *Loop) netWrote(nc *netConn, err error) {
	nc.writing = false
	l.pool.put(nc.out)
	nc.out = nil
	switch {
	case nc.c.state == stateClosed:
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.shut(nc.c, ReasonWriteDeadline)
	case err != nil:
		l.shut(nc.c, ReasonReset)
	default:
		l.writable(nc.c)
	}
}

// interest implements transport: what was read and waits is served again.
func (nc *netConn) interest(c *Conn) {
	if nc.parked && (nc.loop.Load().wantsInput(c) || c.state != stateOpen) {
		nc.parked = false
		nc.loop.Load().postNet(netEvent{kind: netRead, conn: nc})
	}
}

// forget implements transport: the goroutines find the new loop by themselves.
func (nc *netConn) forget(*Conn) {}

// shutWrite implements transport. TLS says goodbye, which may block.
func (nc *netConn) shutWrite(*Conn) {
	if half, ok := nc.conn.(interface{ CloseWrite() error }); ok {
		nc.loop.Load().engine.helpers.Go(func() { _ = half.CloseWrite() })
	}
}

// close implements transport.
func (nc *netConn) close(*Conn, bool) {
	close(nc.resume)
	nc.loop.Load().engine.helpers.Go(func() { _ = nc.conn.Close() })
}
