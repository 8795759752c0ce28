package engine

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// passedSockets makes of sockets that are open already one for each loop. A single one is
// shared: the loops wait on descriptors of one queue, and whoever is first accepts.
// Datagrams are not shared: all of one sender's belong to one loop.
func passedSockets(cfg *Listener, loops int, s sockets) (fds []int, addr net.Addr, err error) {
	defer func() {
		if err != nil {
			closeSockets(fds)
			fds = nil
		}
	}()
	if n := len(cfg.Sockets); n != loops && (n != 1 || cfg.isUDP()) {
		return nil, nil, fmt.Errorf("%w: %d sockets were passed for %d loops: expected %s", ErrConfig, n, loops, passable(cfg, loops))
	}
	for i := range loops {
		fd, err := duplicate(cfg.Sockets[i%len(cfg.Sockets)])
		if err != nil {
			return fds, nil, err
		}
		fds = append(fds, fd)
		at, err := s.adopt(fd)
		if err != nil {
			return fds, nil, err
		}
		if addr != nil && addr.String() != at.String() {
			return fds, nil, fmt.Errorf("%w: the sockets passed listen on %s and on %s: expected one address", ErrConfig, addr, at)
		}
		addr = at
	}
	if cfg.isUDP() {
		addr = (*net.UDPAddr)(addr.(*net.TCPAddr))
	}
	if cfg.Steer && loops > 1 {
		if len(cfg.Sockets) == 1 {
			return fds, nil, fmt.Errorf("%w: one socket was passed, and sources are to be steered to loops: expected %d that share the port (ReusePort=yes)", ErrConfig, loops)
		}
		err = steer(fds[0], loops)
	}
	return fds, addr, err
}

func passable(cfg *Listener, loops int) string {
	if cfg.isUDP() || loops == 1 {
		return fmt.Sprintf("%d of %s", loops, cfg.Network)
	}
	return fmt.Sprintf("1, or %d that share the port (ReusePort=yes)", loops)
}

// duplicate is another descriptor of the same socket, which does not block.
func duplicate(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(own uintptr) {
		if fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			failed = unix.SetNonblock(fd, true)
		}
	})
	if err == nil {
		err = os.NewSyscallError("fcntl", failed)
	}
	return fd, err
}

// adopt checks that a socket that was passed is of this kind, sets the options that do
// not have to be there before it is bound, and tells its address.
func (s sockets) adopt(fd int) (*net.TCPAddr, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	at := addrPort(bound)
	if kind != s.kind || !at.IsValid() {
		return nil, fmt.Errorf("%w: a socket was passed that is not of this listener's kind: expected %s", ErrConfig, map[int]string{
			unix.SOCK_STREAM: "TCP (ListenStream=ADDRESS:PORT)", unix.SOCK_DGRAM: "UDP (ListenDatagram=ADDRESS:PORT)"}[s.kind])
	}
	if s.kind == unix.SOCK_STREAM {
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return nil, fmt.Errorf("%w: the socket that was passed does not listen (Accept=no, and no connection)", ErrConfig)
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit both
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	} else {
		datagramBuffers(fd)
	}
	return net.TCPAddrFromAddrPort(at), nil
}
