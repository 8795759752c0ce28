package engine

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// backlog is how many connections wait to be accepted; the kernel lowers it to
// net.core.somaxconn.
const backlog = 4096

// openSockets opens one listening socket for each loop.
func openSockets(cfg *Listener, loops int) (fds []int, addr net.Addr, err error) {
	if len(cfg.Sockets) > 0 {
		return passedSockets(cfg, loops, streams)
	}
	at, err := net.ResolveTCPAddr("tcp", cfg.Address)
	if err != nil {
		return nil, nil, err
	}
	fds, err = streams.open(at, loops, cfg.Steer)
	return fds, at, err
}

// openDatagramSockets opens a socket for each loop: the kernel gives all datagrams of
// one sender to one of them.
func openDatagramSockets(cfg *Listener, loops int) (fds []int, addr net.Addr, err error) {
	if len(cfg.Sockets) > 0 {
		return passedSockets(cfg, loops, datagrams)
	}
	at, err := net.ResolveUDPAddr("udp", cfg.Address)
	if err != nil {
		return nil, nil, err
	}
	fds, err = datagrams.open((*net.TCPAddr)(at), loops, cfg.Steer)
	return fds, at, err
}

// sockets are of one kind. Those of a listener differ in nothing but their protocol,
// so that a net.TCPAddr stands for the addresses of all.
type sockets struct {
	kind, protocol int
	prepare        func(fd, family int, at *net.TCPAddr, share bool) error
}

var (
	streams   = sockets{unix.SOCK_STREAM, unix.IPPROTO_TCP, prepareStream}
	datagrams = sockets{unix.SOCK_DGRAM, unix.IPPROTO_UDP, prepareDatagrams}
)

// open opens a socket for each loop and fills in the address that they have. Several
// share the port by SO_REUSEPORT. That option would also let a second process share it
// unnoticed, so a socket without it tries the address first.
func (s sockets) open(at *net.TCPAddr, loops int, steered bool) (fds []int, err error) {
	if loops > 1 && at.Port != 0 {
		fd, err := s.openOne(at, false)
		if err != nil {
			return nil, err
		}
		closeSockets([]int{fd})
	}
	for range loops {
		fd, err := s.openOne(at, loops > 1)
		if err != nil {
			closeSockets(fds)
			return nil, err
		}
		fds = append(fds, fd)
		bound, err := unix.Getsockname(fd)
		if err != nil {
			closeSockets(fds)
			return nil, os.NewSyscallError("getsockname", err)
		}
		at.Port = int(addrPort(bound).Port())
		if len(fds) == loops {
			*at = *net.TCPAddrFromAddrPort(addrPort(bound))
		}
	}
	if steered && loops > 1 {
		if err := steer(fds[0], loops); err != nil {
			closeSockets(fds)
			return nil, err
		}
	}
	return fds, nil
}

func (s sockets) openOne(at *net.TCPAddr, share bool) (fd int, err error) {
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	family := unix.AF_INET6
	if at.IP.To4() != nil {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, s.kind|flags, s.protocol)
	if err == unix.EAFNOSUPPORT && len(at.IP) == 0 {
		family = unix.AF_INET
		fd, err = unix.Socket(family, s.kind|flags, s.protocol)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(fd, family, at, share); err != nil {
		closeSockets([]int{fd})
		return -1, err
	}
	return fd, nil
}

// prepareStream sets the options, which accepted sockets inherit, binds and listens.
func prepareStream(fd, family int, tcp *net.TCPAddr, share bool) error {
	options := []struct {
		level, name, value int
		wanted             bool
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, true},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, share},
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0, family == unix.AF_INET6 && len(tcp.IP) == 0},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, true},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, true},
	}
	for _, o := range options {
		if o.wanted {
			if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
	}
	sa, err := sockaddr(tcp, family)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

func sockaddr(tcp *net.TCPAddr, family int) (unix.Sockaddr, error) {
	if family == unix.AF_INET {
		sa := &unix.SockaddrInet4{Port: tcp.Port}
		copy(sa.Addr[:], tcp.IP.To4())
		return sa, nil
	}
	sa := &unix.SockaddrInet6{Port: tcp.Port}
	copy(sa.Addr[:], tcp.IP.To16())
	if tcp.Zone != "" {
		link, err := net.InterfaceByName(tcp.Zone)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", tcp.Zone, err)
		}
		sa.ZoneId = uint32(link.Index)
	}
	return sa, nil
}

// addrPort is a socket's address; IPv4 in its 4-byte form.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func closeSockets(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
