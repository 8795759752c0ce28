package engine

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const haveEpoll = true

// maxEvents is how many events one wait takes.
const maxEvents = 512

// epoll is a loop's source of events and the transport of its sockets.
type epoll struct {
	loop     *Loop
	fd       int
	eventfd  int
	one      [8]byte // what is written to the eventfd
	found    []unix.EpollEvent
	n, at    int // found[at:n] are still to be served
	iovecs   []unix.Iovec
	accepts  []acceptor
	reserve  int // a descriptor kept for the day when there is no other
	loggedAt time.Time
	mmsg     *mmsg // nil where no listener is of datagrams
}

// What a connection may want to hear of, in Conn.interest.
const (
	wantsNothing = 1 << iota // registered at all
	wantsIn
	wantsOut
)

// attach gives the loop its source of events.
func (l *Loop) attach(useEpoll bool) error {
	if !useEpoll {
		l.source = newChanSource()
		return nil
	}
	p := &epoll{
		loop: l, fd: -1, eventfd: -1, reserve: -1, one: [8]byte{1},
		found: make([]unix.EpollEvent, maxEvents), iovecs: make([]unix.Iovec, maxRuns),
	}
	l.source, l.sockets = p, p
	var err error
	if p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if p.eventfd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := p.control(unix.EPOLL_CTL_ADD, p.eventfd, unix.EPOLLIN, 0); err != nil {
		return err
	}
	p.openReserve()
	for _, ln := range l.engine.all() {
		if err := p.listen(ln); err != nil {
			return err
		}
	}
	return nil
}

// listen implements source: it begins to serve the loop's own socket, if there is one.
func (p *epoll) listen(ln *listener) error {
	for len(p.accepts) <= ln.index {
		p.accepts = append(p.accepts, acceptor{fd: -1})
	}
	p.accepts[ln.index] = acceptor{fd: -1}
	if ln.fds == nil {
		return nil
	}
	fd := ln.fds[p.loop.index]
	if ln.cfg.Load().isUDP() {
		return p.attachUDP(ln.index, fd)
	}
	p.accepts[ln.index].fd = fd
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, ConnID(ln.index+1))
}

// control registers a descriptor. The id comes back with its events: that of a
// connection, or one with generation 0: slot 0 the eventfd, i+1 the listener i.
func (p *epoll) control(op, fd int, events uint32, id ConnID) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, &ev))
}

func (p *epoll) wait(timeout time.Duration) error {
	p.resumeAccepts()
	if p.at < p.n {
		return nil
	}
	p.at, p.n = 0, 0
	n, err := unix.EpollWait(p.fd, p.found, int((timeout+time.Millisecond-1)/time.Millisecond))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	p.n = n
	return nil
}

func (p *epoll) wake() error {
	_, err := unix.Write(p.eventfd, p.one[:])
	if err == unix.EAGAIN { // the counter is full: it is awake
		return nil
	}
	return os.NewSyscallError("write to eventfd", err)
}

// events serves what wait found, in order. If the turn is full the rest waits for
// the next, before anything new: so every connection has its share.
func (p *epoll) events() (more bool) {
	l := p.loop
	if p.mmsg != nil {
		p.mmsg.used = 0
	}
	for ; p.at < p.n; p.at++ {
		ev := &p.found[p.at]
		id := ConnID(uint32(ev.Fd)) | ConnID(uint32(ev.Pad))<<32
		if id.generation() == 0 {
			if !p.serveOwn(id, ev.Events) {
				return true
			}
			continue
		}
		c := l.table.get(id)
		if c == nil || c.state == stateClosed {
			continue
		}
		if ev.Events&unix.EPOLLOUT != 0 && c.blocked {
			l.writable(c)
		}
		if ev.Events&^unix.EPOLLOUT == 0 {
			continue
		}
		if l.wantsInput(c) {
			if !p.read(c) {
				return true
			}
		} else if ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			l.shut(c, ReasonReset)
		} else {
			p.interest(c) // it is awaited no more
		}
	}
	return false
}

// serveOwn serves what is no connection. It answers false if the turn has no room
// left.
func (p *epoll) serveOwn(id ConnID, events uint32) bool {
	if id.slot() > 0 {
		listener := int(id.slot()) - 1
		if u := p.loop.datagrams(listener); u != nil {
			return u.driver.(*udpFD).serve(events)
		}
		p.accept(listener)
		return true
	}
	var count [8]byte
	_, _ = unix.Read(p.eventfd, count[:]) // EAGAIN: read already
	return true
}

// read reads c once. It answers false if the turn has no room left.
func (p *epoll) read(c *Conn) bool {
	l := p.loop
	buf := l.room(c)
	if buf == nil {
		return false
	}
	n, err := unix.Read(int(c.fd), buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.shut(c, ReasonReset)
	case n == 0:
		l.hungUp(c)
	case c.state == stateOpen:
		l.received(c, n)
	}
	return true
}

// write implements transport with one writev.
func (p *epoll) write(c *Conn, runs [][]byte) (n int, full bool, err error) {
	total := 0
	for i, run := range runs {
		p.iovecs[i].Base = unsafe.SliceData(run)
		p.iovecs[i].SetLen(len(run))
		total += len(run)
	}
	for {
		written, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.iovecs))), uintptr(len(runs)))
		switch errno {
		case 0:
			clear(p.iovecs[:len(runs)])
			return int(written), int(written) < total, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			clear(p.iovecs[:len(runs)])
			return 0, true, nil
		default:
			clear(p.iovecs[:len(runs)])
			return 0, false, errno
		}
	}
}

func (p *epoll) interest(c *Conn) {
	want, events := uint8(wantsNothing), uint32(0)
	if p.loop.wantsInput(c) {
		want |= wantsIn
		events |= unix.EPOLLIN
	}
	if c.blocked {
		want |= wantsOut
		events |= unix.EPOLLOUT
	}
	if want == c.interest {
		return
	}
	op := unix.EPOLL_CTL_MOD
	if c.interest == 0 {
		op = unix.EPOLL_CTL_ADD
	}
	if err := p.control(op, int(c.fd), events, c.id); err != nil {
		p.loop.log().Error("a connection cannot be watched", "connection", c.id.String(), "error", err)
		c.blocked = false
		p.loop.shut(c, ReasonReset)
		return
	}
	c.interest = want
}

// forget implements transport. The descriptor is another loop's from now on.
func (p *epoll) forget(c *Conn) {
	if c.interest != 0 {
		if err := p.control(unix.EPOLL_CTL_DEL, int(c.fd), 0, c.id); err != nil {
			p.loop.log().Error("a connection cannot be released", "connection", c.id.String(), "error", err)
		}
	}
	c.interest, c.fd = 0, -1
}

func (p *epoll) shutWrite(c *Conn) {
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR) // a socket that is broken says so when read
}

// close implements transport. Closing a socket with unread input sends a reset,
// which may overtake the last bytes written: a calm close reads it first.
func (p *epoll) close(c *Conn, calm bool) {
	for i := 0; calm && i < 16; i++ {
		n, err := unix.Read(int(c.fd), p.loop.arena.buf[p.loop.arena.used:])
		calm = n > 0 && err == nil
	}
	_ = unix.Close(int(c.fd))
	c.fd = -1
}

// release closes the source; the listening sockets are the engine's.
func (p *epoll) release() {
	closeSockets([]int{p.fd, p.eventfd, p.reserve})
	p.fd, p.eventfd, p.reserve = -1, -1, -1
}
