package engine

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of the epoll driver's datagrams. A slot takes what the kernel has put
// together from one sender (UDP_GRO).
const (
	udpSlots    = 32
	udpSlot     = 64 << 10
	udpMessages = 64 // that one sendmmsg takes
	udpSegments = 64 // that one of them is cut into (UDP_SEGMENT)
	udpTotal    = 65000
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// control is room for one control message of an int.
type control [8]uint64

// mmsg is the memory of one loop's datagram calls.
type mmsg struct {
	arena    []byte // udpSlots of udpSlot bytes, touched as needed
	used     int    // of them, in this turn
	headers  [udpMessages]mmsghdr
	names    [udpMessages]unix.RawSockaddrInet6
	controls [udpMessages]control
	inputs   [udpMessages]unix.Iovec
	iovecs   []unix.Iovec
	counts   [udpMessages]int // datagrams of each message
}

// udpFD is a socket of the epoll driver.
type udpFD struct {
	epoll  *epoll
	socket *udpSocket
	fd     int
	v6     bool
	gso    bool
	full   bool // waits for EPOLLOUT
	lost   uint64
	err    error
}

func prepareDatagrams(fd, family int, at *net.TCPAddr, share bool) error {
	if share {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if family == unix.AF_INET6 && len(at.IP) == 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	datagramBuffers(fd)
	sa, err := sockaddr(at, family)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// datagramBuffers gives a socket the buffers that datagrams want, as far as it may have
// them.
func datagramBuffers(fd int) {
	// Beyond what everybody may have only with CAP_NET_ADMIN; less will do.
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], udpBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], udpBuffer)
		}
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) // an old kernel has none: one by one then
}

// attachUDP takes a listener's socket into the loop.
func (p *epoll) attachUDP(listener, fd int) error {
	if p.mmsg == nil {
		p.mmsg = &mmsg{arena: make([]byte, udpSlots*udpSlot), iovecs: make([]unix.Iovec, 0, udpMessages*udpSegments)}
	}
	u := &udpFD{epoll: p, fd: fd}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	_, u.v6 = sa.(*unix.SockaddrInet6)
	_, err = unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	u.gso = err == nil
	if p.loop.engine.all()[listener].cfg.Load().Links {
		u.tellLinks()
	}
	u.socket = p.loop.newUDP(listener, u)
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, ConnID(listener+1))
}

// serve is called for events of the socket. It answers false if the turn has no room
// left.
func (u *udpFD) serve(events uint32) bool {
	if events&unix.EPOLLOUT != 0 && u.full {
		u.full = false
		u.watch(unix.EPOLLIN)
		u.socket.writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return true
	}
	return u.receive()
}

// receive reads once, as many datagrams as the turn has room for.
func (u *udpFD) receive() bool {
	m := u.epoll.mmsg
	first := m.used
	room := udpSlots - first
	if room == 0 {
		return false
	}
	for i := range room {
		at := first + i
		m.inputs[i].Base = &m.arena[at*udpSlot]
		m.inputs[i].SetLen(udpSlot)
		h := &m.headers[i].hdr
		*h = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&m.names[i])), Namelen: unix.SizeofSockaddrInet6, Iov: &m.inputs[i],
			Control: (*byte)(unsafe.Pointer(&m.controls[i])),
		}
		h.SetIovlen(1)
		h.SetControllen(int(unsafe.Sizeof(control{})))
	}
	got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&m.headers)), uintptr(room), unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(m)
	if errno != 0 {
		return true // EAGAIN, EINTR, or an error about something that was sent
	}
	m.used += int(got)
	for i := range int(got) {
		h := &m.headers[i]
		at := (first + i) * udpSlot
		b := m.arena[at : at+int(h.n) : at+int(h.n)]
		from := u.from(&m.names[i])
		size, link := told(&m.controls[i], uint64(h.hdr.Controllen)) //nolint:unconvert // it has 32 bits on 32-bit systems
		if h.hdr.Flags&unix.MSG_TRUNC != 0 || len(b) == 0 {
			u.epoll.loop.countListener(u.socket.listener)[listenerBytesIn] += uint64(len(b))
			continue
		}
		if size <= 0 || size >= len(b) {
			u.socket.received(from, link, b)
			continue
		}
		for len(b) > 0 {
			n := min(size, len(b))
			u.socket.received(from, link, b[:n:n])
			b = b[n:]
		}
	}
	return true
}

// told reads the control messages: the length of the datagrams that the kernel has put
// together, 0 for a single one, and the index of the interface, 0 if it does not say.
func told(c *control, length uint64) (segment, link int) {
	const header = uint64(unsafe.Sizeof(unix.Cmsghdr{}))
	length = min(length, uint64(unsafe.Sizeof(*c)))
	for at := uint64(0); at+header+4 <= length; {
		h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(c), at))
		data := unsafe.Add(unsafe.Pointer(h), header)
		size := uint64(h.Len) //nolint:unconvert // it has 32 bits on 32-bit systems
		switch {
		case size < header || at+size > length:
			return segment, link
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO:
			segment = int(*(*int32)(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
			link = int(*(*int32)(data)) // ipi_ifindex comes first
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && size >= header+unix.SizeofInet6Pktinfo:
			link = int(*(*uint32)(unsafe.Add(data, 16))) // behind the address
		}
		at += uint64(unix.CmsgSpace(int(size - header)))
	}
	return segment, link
}

// tellLinks has the kernel say by which interface datagrams come. If it cannot, it does
// not.
func (u *udpFD) tellLinks() {
	if u.v6 {
		_ = unix.SetsockoptInt(u.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	} else {
		_ = unix.SetsockoptInt(u.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
}

// from is the sender's address; IPv4 in its 4-byte form.
func (u *udpFD) from(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && addr.Is6() {
		addr = addr.WithZone(strconv.Itoa(int(name.Scope_id)))
	}
	return netip.AddrPortFrom(addr, port)
}

// to writes an address where sendmmsg finds it, and tells its length.
func (u *udpFD) to(name *unix.RawSockaddrInet6, at netip.AddrPort) uint32 {
	addr := at.Addr()
	if !u.v6 {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*v4 = unix.RawSockaddrInet4{Family: unix.AF_INET}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&v4.Port))[:], at.Port())
		if addr.Is4() {
			v4.Addr = addr.As4()
		}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], at.Port())
	if zone := addr.Zone(); zone != "" {
		id, _ := strconv.ParseUint(zone, 10, 32)
		name.Scope_id = uint32(id)
	}
	return unix.SizeofSockaddrInet6
}

// send implements udpDriver: datagrams of one length to one receiver go as one
// message that the kernel cuts, and messages go together.
func (u *udpFD) send(list []outgoing) (done int) {
	for done < len(list) && !u.full {
		messages := u.fill(list[done:])
		n, errno := u.sendmmsg(messages)
		for i := range n {
			done += u.epoll.mmsg.counts[i]
		}
		if n == messages {
			continue
		}
		switch errno {
		case 0, unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			u.full = true
			u.watch(unix.EPOLLIN | unix.EPOLLOUT)
		default:
			if u.gso && u.epoll.mmsg.counts[n] > 1 && (errno == unix.EIO || errno == unix.EINVAL) {
				u.gso = false // the interface cannot cut
				continue
			}
			u.lost, u.err = u.lost+uint64(u.epoll.mmsg.counts[n]), errno
			done += u.epoll.mmsg.counts[n]
		}
	}
	return done
}

// fill makes messages of the front of the list, and tells how many.
func (u *udpFD) fill(list []outgoing) (messages int) {
	m := u.epoll.mmsg
	m.iovecs = m.iovecs[:0]
	for at := 0; at < len(list) && messages < udpMessages; messages++ {
		size, total, count := len(list[at].b), 0, 0
		from := len(m.iovecs)
		for at < len(list) && (count == 0 || u.gso && count < udpSegments && list[at].to == list[at-1].to && len(list[at].b) <= size && total+len(list[at].b) <= udpTotal) {
			m.iovecs = append(m.iovecs, unix.Iovec{Base: unsafe.SliceData(list[at].b)})
			m.iovecs[len(m.iovecs)-1].SetLen(len(list[at].b))
			total += len(list[at].b)
			count++
			at++
			if len(list[at-1].b) < size {
				break // only the last one may be shorter
			}
		}
		h := &m.headers[messages].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&m.names[messages])), Iov: &m.iovecs[from]}
		h.Namelen = u.to(&m.names[messages], list[at-1].to)
		h.SetIovlen(count)
		if count > 1 {
			c := &m.controls[messages]
			*c = control{}
			ch := (*unix.Cmsghdr)(unsafe.Pointer(c))
			ch.Level, ch.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
			ch.SetLen(unix.CmsgLen(2))
			*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.SizeofCmsghdr)) = uint16(size)
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
		}
		m.counts[messages] = count
	}
	return messages
}

func (u *udpFD) sendmmsg(messages int) (n int, errno unix.Errno) {
	m := u.epoll.mmsg
	r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&m.headers)), uintptr(messages), unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(m)
	clear(m.iovecs)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// failed implements udpDriver.
func (u *udpFD) failed() (lost uint64, err error) {
	lost, err = u.lost, u.err
	u.lost, u.err = 0, nil
	return lost, err
}

func (u *udpFD) watch(events uint32) {
	if err := u.epoll.control(unix.EPOLL_CTL_MOD, u.fd, events, ConnID(u.socket.listener+1)); err != nil {
		u.epoll.loop.log().Error("a socket cannot be watched", "listener", u.socket.listener, "error", err)
	}
}
