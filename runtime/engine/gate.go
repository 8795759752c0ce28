package engine

import (
	"net"
	"net/netip"
	"time"
)

// Gatekeeper may be implemented by a Handler: it is asked first, before anything else is
// spent on what comes. It counts what it does not let in; the engine does not.
type Gatekeeper interface {
	// Connection tells whether a connection over TCP is let in. One that is not is
	// reset: nothing of it stays in this system, and the peer knows at once.
	Connection(listener int, source netip.Addr, now time.Time) bool
	// Datagram tells whether a datagram is let in, be it of a connection or not. link is
	// the index of the network interface that it came by, 0 if that is not known; see
	// Listener.Links. b is borrowed.
	Datagram(listener int, source netip.Addr, link int, b []byte, now time.Time) bool
}

// callConnection asks the gatekeeper. One that panics lets nobody in.
func (l *Loop) callConnection(listener int, source netip.Addr) (ok bool) {
	defer l.guard(nil, "Connection")
	return l.gate.Connection(listener, source, l.wall)
}

func (l *Loop) callDatagram(listener int, source netip.Addr, link int, b []byte) (ok bool) {
	defer l.guard(nil, "Datagram")
	return l.gate.Datagram(listener, source, link, b, l.wall)
}

// refuse resets a connection that the gatekeeper does not let in.
func refuse(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
