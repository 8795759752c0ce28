package engine

import (
	"errors"
	"net"
	"net/netip"
)

// Doorkeeper is implemented by a Handler that serves listeners of Network "udp".
type Doorkeeper interface {
	// Stranger is asked about a datagram from an address that has no connection.
	// Nothing is kept about it. admit makes it a connection: Open follows, and then
	// Data with the same datagram. Otherwise answer is sent back, unless it is empty;
	// it may be appended to reply, which is empty. Who answers with more than it was
	// asked lends itself to attacks on others.
	Stranger(listener int, from netip.AddrPort, b, reply []byte) (answer []byte, admit bool)
}

// udpSocket is one listener's socket as a loop sees it.
type udpSocket struct {
	loop     *Loop
	listener int
	driver   udpDriver
	conns    map[netip.AddrPort]*Conn
	last     *Conn // who sent the last datagram: often who sends the next

	out     []outgoing // borrowed until the turn ends
	backlog []outgoing // copies of what the socket did not take
	waiting int        // bytes of backlog
	reply   []byte
}

// udpDriver sends datagrams.
type udpDriver interface {
	// send sends what it can and tells how many of them are done with. Fewer than
	// all means that the socket is full; udpSocket.writable is called when it takes
	// more.
	send(list []outgoing) (done int)
	// failed tells how many were lost since it was asked last, and why the last was.
	failed() (lost uint64, err error)
}

// outgoing is one datagram to be sent.
type outgoing struct {
	to   netip.AddrPort
	conn *Conn // nil for an answer to a stranger
	b    []byte
}

// maxBacklog bounds what waits in one loop for one full socket, in bytes.
const maxBacklog = 1 << 20

// datagrams is the loop's socket of a listener of datagrams; nil of any other.
func (l *Loop) datagrams(listener int) *udpSocket {
	if listener >= len(l.udp) {
		return nil
	}
	return l.udp[listener]
}

// newUDP makes a loop's part of a listener.
func (l *Loop) newUDP(listener int, driver udpDriver) *udpSocket {
	for len(l.udp) <= listener {
		l.udp = append(l.udp, nil)
	}
	u := &udpSocket{loop: l, listener: listener, driver: driver, conns: map[netip.AddrPort]*Conn{}}
	l.udp[listener] = u
	return u
}

// received takes one datagram, which is valid until the turn ends; link is the index of
// the interface that it came by, if that is known.
func (u *udpSocket) received(from netip.AddrPort, link int, b []byte) {
	l := u.loop
	l.batch++
	if l.gate != nil && !l.callDatagram(u.listener, from.Addr(), link, b) {
		return
	}
	l.countListener(u.listener)[listenerBytesIn] += uint64(len(b))
	c := u.last
	if c == nil || c.remote != from || c.state == stateClosed {
		if c = u.conns[from]; c == nil {
			if c = u.stranger(from, b); c == nil {
				return
			}
		}
		u.last = c
	}
	if c.state != stateOpen {
		return
	}
	c.in += uint64(len(b))
	c.lastIn, c.idles = l.now, 0
	l.callData(c, b)
}

// stranger asks the handler about an address without a connection. It returns the
// one that was made of it, if any.
func (u *udpSocket) stranger(from netip.AddrPort, b []byte) *Conn {
	l := u.loop
	keeper, ok := l.handler.(Doorkeeper)
	if !ok || l.engine.draining.Load() {
		return nil
	}
	answer, admit := l.callStranger(keeper, u.listener, from, b, u.reply[:0])
	if !admit {
		if len(answer) > 0 {
			u.reply = answer[:0]
			u.send(outgoing{to: from, b: append(l.pool.get(len(answer)), answer...)})
		}
		return nil
	}
	if why, ok := l.engine.admission.enter(u.listener, from.Addr()); !ok {
		l.countListener(u.listener)[listenerRefused+int(why)]++
		return nil
	}
	c := &Conn{fd: -1, udp: u}
	if !l.open(c, u.listener, from) {
		l.engine.admission.leave(u.listener, from.Addr())
		l.countListener(u.listener)[listenerRefused+int(RefusedTotal)]++
		return nil
	}
	u.conns[from] = c
	l.opened(c)
	return c
}

// send queues a datagram until the turn ends.
func (u *udpSocket) send(o outgoing) { u.out = append(u.out, o) }

// flush sends what the turn has queued. What the socket does not take is copied and
// waits, within a bound: the protocol above sends again what is lost.
func (u *udpSocket) flush() {
	if len(u.backlog) > 0 || len(u.out) == 0 {
		u.keep(u.out)
	} else {
		u.keep(u.out[u.emit(u.out):])
	}
	for i := range u.out {
		if o := &u.out[i]; o.conn == nil {
			u.loop.pool.put(o.b)
		}
		u.out[i] = outgoing{}
	}
	u.out = u.out[:0]
}

// emit sends and counts.
func (u *udpSocket) emit(list []outgoing) int {
	n := u.driver.send(list)
	words := u.loop.countListener(u.listener)
	for i := range list[:n] {
		o := &list[i]
		words[listenerBytesOut] += uint64(len(o.b))
		if o.conn != nil {
			o.conn.out += uint64(len(o.b))
		}
	}
	if lost, err := u.driver.failed(); lost > 0 {
		words[listenerDropped+int(DropUnsent)] += lost
		u.loop.log().Debug("a datagram was not sent", "listener", u.loop.engine.all()[u.listener].cfg.Load().Name, "error", err)
	}
	return n
}

// keep copies what must wait.
func (u *udpSocket) keep(list []outgoing) {
	l := u.loop
	for _, o := range list {
		if u.waiting+len(o.b) > maxBacklog {
			l.countListener(u.listener)[listenerDropped+int(DropHardLimit)]++
			continue
		}
		u.waiting += len(o.b)
		o.b = append(l.pool.get(len(o.b)), o.b...)
		u.backlog = append(u.backlog, o)
	}
}

// writable sends what waits, when the socket takes more.
func (u *udpSocket) writable() {
	n := u.emit(u.backlog)
	for i := range u.backlog[:n] {
		u.waiting -= len(u.backlog[i].b)
		u.loop.pool.put(u.backlog[i].b)
		u.backlog[i] = outgoing{}
	}
	u.backlog = u.backlog[:copy(u.backlog, u.backlog[n:])]
}

// close forgets a connection.
func (u *udpSocket) close(c *Conn) {
	if u.conns[c.remote] == c {
		delete(u.conns, c.remote)
	}
	if u.last == c {
		u.last = nil
	}
}

// flushUDP sends every socket's datagrams.
func (l *Loop) flushUDP() {
	for _, u := range l.udp {
		if u != nil && len(u.out) > 0 {
			u.flush()
		}
	}
}

// dropUDP forgets what waits when the loop ends.
func (l *Loop) dropUDP() {
	for _, u := range l.udp {
		if u != nil && len(u.backlog) > 0 {
			l.countListener(u.listener)[listenerDropped+int(DropClosed)] += uint64(len(u.backlog))
			u.backlog = nil
		}
	}
}

// udpTransport is the transport of connections over UDP: there is nothing to it, they
// share a socket.
type udpTransport struct{}

func (udpTransport) write(*Conn, [][]byte) (int, bool, error) { return 0, false, errNoStream }
func (udpTransport) interest(*Conn)                           {}
func (udpTransport) shutWrite(*Conn)                          {}
func (udpTransport) forget(*Conn)                             {}
func (udpTransport) close(c *Conn, _ bool)                    { c.udp.close(c) }

var errNoStream = errors.New("engine: a datagram has no stream")

// SendDatagram sends one datagram from a UDP listener to any address, when the turn
// ends; b is borrowed until then. For connections there is Conn.Send; this is for
// what goes past them, as a farewell in Handler.Closed.
func (l *Loop) SendDatagram(listener int, to netip.AddrPort, b []byte) {
	if u := l.datagrams(listener); u != nil && len(b) > 0 {
		u.send(outgoing{to: to, b: append(l.pool.get(len(b)), b...)})
	}
}

// Datagrams tells whether the connection's units are datagrams.
func (c *Conn) Datagrams() bool { return c.udp != nil }

// Owe tells the engine how many bytes the handler itself keeps for c, as a protocol
// that sends again does: they count as if they were in its outbox, for Pressed and
// for those whom Loop.Hold holds back.
func (c *Conn) Owe(bytes int) {
	if c.state == stateClosed || c.owed == bytes {
		return
	}
	c.owed = bytes
	c.loop.soil(c)
}

// Owed is what Owe said last.
func (c *Conn) Owed() int { return c.owed }

// Outbox is the limit of what may be owed to c, and what happens beyond it.
func (c *Conn) Outbox() (limit int, whenFull Policy) {
	lim := &c.loop.limits[c.listener]
	return lim.outbox, lim.policy
}

// Deaf tells that the engine is being drained and that no new input is to be taken:
// what a handler answers to its peers it still reads.
func (l *Loop) Deaf() bool { return l.isDeaf }

// isUDP tells whether the listener's Network is UDP.
func (l *Listener) isUDP() bool { return l.Network == "udp" }

// listenPacket opens the one socket of the portable driver.
func listenPacket(address string) (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", at)
	if err == nil {
		_ = conn.SetReadBuffer(udpBuffer) // less if the system allows no more
		_ = conn.SetWriteBuffer(udpBuffer)
	}
	return conn, err
}

// udpBuffer is what a socket may hold: a burst from many peers.
const udpBuffer = 4 << 20
