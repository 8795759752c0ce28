package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// acceptor is a listener as one loop sees it.
type acceptor struct {
	fd       int   // -1: not of this driver, or closed
	pausedTo int64 // 0 if it is not paused
}

// accept takes what waits at a listener, up to acceptsPerTurn.
func (p *epoll) accept(listener int) {
	for range acceptsPerTurn {
		if !p.acceptOne(listener) {
			return
		}
	}
}

// acceptOne answers whether it is worth trying again.
func (p *epoll) acceptOne(listener int) bool {
	a := &p.accepts[listener]
	if a.fd < 0 {
		return false
	}
	fd, sa, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
		p.admit(fd, sa, listener)
		return true
	case unix.EAGAIN:
		return false
	case unix.EMFILE, unix.ENFILE:
		return p.refuseByReserve(listener, err)
	case unix.ENOBUFS, unix.ENOMEM, unix.EBADF, unix.EINVAL:
		p.pauseAccept(listener, err)
		return false
	}
	return true // EINTR, ECONNABORTED and the errors of a connection that is gone
}

func (p *epoll) admit(fd int, sa unix.Sockaddr, listener int) {
	l := p.loop
	remote := addrPort(sa)
	if l.gate != nil && !l.callConnection(listener, remote.Addr()) {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
		return
	}
	if why, ok := l.engine.admission.enter(listener, remote.Addr()); !ok {
		l.countListener(listener)[listenerRefused+int(why)]++
		_ = unix.Close(fd)
		return
	}
	c := &Conn{fd: int32(fd)}
	if !l.open(c, listener, remote) {
		l.engine.admission.leave(listener, remote.Addr())
		l.countListener(listener)[listenerRefused+int(RefusedTotal)]++
		_ = unix.Close(fd)
		return
	}
	l.opened(c)
}

// refuseByReserve closes the reserved descriptor, takes one connection with it,
// and closes that: the peer learns at once that there is no room, and the listener
// does not stay ready for ever.
func (p *epoll) refuseByReserve(listener int, cause error) bool {
	if p.reserve < 0 {
		p.pauseAccept(listener, cause)
		return false
	}
	_ = unix.Close(p.reserve)
	p.reserve = -1
	fd, _, err := unix.Accept4(p.accepts[listener].fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err == nil {
		_ = unix.Close(fd)
		p.loop.countListener(listener)[listenerRefused+int(RefusedFiles)]++
		p.logAccept(listener, cause)
	}
	p.openReserve()
	if err == unix.EMFILE || err == unix.ENFILE {
		p.pauseAccept(listener, err)
	}
	return err == nil
}

func (p *epoll) openReserve() {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err == nil {
		p.reserve = fd
	}
}

// pauseAccept takes a listener out of the loop for a moment.
func (p *epoll) pauseAccept(listener int, cause error) {
	a := &p.accepts[listener]
	if err := p.control(unix.EPOLL_CTL_MOD, a.fd, 0, ConnID(listener+1)); err == nil {
		a.pausedTo = p.loop.now + acceptPause
	}
	p.logAccept(listener, cause)
}

// resumeAccepts ends pauses that are over.
func (p *epoll) resumeAccepts() {
	for i := range p.accepts {
		a := &p.accepts[i]
		if a.pausedTo == 0 || a.fd < 0 || p.loop.now < a.pausedTo {
			continue
		}
		if p.reserve < 0 {
			p.openReserve()
		}
		if err := p.control(unix.EPOLL_CTL_MOD, a.fd, unix.EPOLLIN, ConnID(i+1)); err == nil {
			a.pausedTo = 0
		}
	}
}

// logAccept says, at most every 10 s, that connections are refused.
func (p *epoll) logAccept(listener int, cause error) {
	if p.loop.wall.Sub(p.loggedAt) < 10*time.Second {
		return
	}
	p.loggedAt = p.loop.wall
	ln := p.loop.engine.all()[listener]
	p.loop.log().Warn("connections are refused: raise the limit of open files (ulimit -n) or lower limits.connections",
		"listener", ln.cfg.Load().Name, "address", ln.addr.String(), "error", cause)
}

// deaf implements source: the kernel's queues of accepted connections are emptied
// before the listeners close.
func (p *epoll) deaf() {
	for i := range p.accepts {
		p.unlisten(p.loop.engine.all()[i])
	}
}

// unlisten implements source: it takes what waits at a listener and closes it.
func (p *epoll) unlisten(ln *listener) {
	if ln.index >= len(p.accepts) {
		return
	}
	for range backlog {
		if ln.passed || !p.acceptOne(ln.index) {
			break // what waits at a socket that was passed is for who has it next
		}
	}
	if a := &p.accepts[ln.index]; a.fd >= 0 {
		a.fd = -1
		p.closeSocket(ln)
	}
}

// closeSocket implements source.
func (p *epoll) closeSocket(ln *listener) {
	if ln.fds != nil {
		closeSockets(ln.fds[p.loop.index : p.loop.index+1])
		ln.fds[p.loop.index] = -1
	}
}
