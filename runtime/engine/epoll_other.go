//go:build !linux

package engine

import "net"

const haveEpoll = false

func (l *Loop) attach(bool) error {
	l.source = newChanSource()
	return nil
}

func openSockets(*Listener, int) ([]int, net.Addr, error) { return nil, nil, ErrNoEpoll }

func openDatagramSockets(*Listener, int) ([]int, net.Addr, error) { return nil, nil, ErrNoEpoll }

func closeSockets([]int) {}
