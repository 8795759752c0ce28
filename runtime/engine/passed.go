package engine

import (
	"fmt"
	"net"
)

// passedNet is the one socket that was passed, served through package net.
func (l *Listener) passedNet() (net.Listener, error) {
	if len(l.Sockets) != 1 {
		return nil, fmt.Errorf("%w: %d sockets were passed: expected 1, since this listener is not served by each loop for itself", ErrConfig, len(l.Sockets))
	}
	return net.FileListener(l.Sockets[0])
}

// passedPackets is the same of datagrams.
func (l *Listener) passedPackets() (*net.UDPConn, error) {
	if len(l.Sockets) != 1 {
		return nil, fmt.Errorf("%w: %d sockets were passed: expected 1, since this listener is not served by each loop for itself", ErrConfig, len(l.Sockets))
	}
	conn, err := net.FilePacketConn(l.Sockets[0])
	if err != nil {
		return nil, err
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		return udp, nil
	}
	_ = conn.Close()
	return nil, fmt.Errorf("%w: a socket was passed that is not of this listener's kind: expected UDP (ListenDatagram=ADDRESS:PORT)", ErrConfig)
}
