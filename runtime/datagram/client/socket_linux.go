package client

import (
	"encoding/binary"
	"errors"
	"syscall"
	"unsafe"
)

// Of linux/udp.h.
const (
	udpSegment = 103
	udpGRO     = 104
)

// prepare asks the system to put datagrams together and tells whether it cuts them.
func (s *socket) prepare() (cuts bool) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpGRO, 1) // one by one then
		_, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpSegment)
		cuts = err == nil
	})
	return cuts && err == nil
}

// read reads datagrams of one sender: all of s.segment bytes, but the last.
func (s *socket) read() ([]byte, error) {
	n, oob, _, _, err := s.conn.ReadMsgUDPAddrPort(s.buf, s.control)
	if err != nil {
		return nil, err
	}
	s.segment = max(n, 1)
	if oob >= syscall.SizeofCmsghdr+4 {
		h := (*syscall.Cmsghdr)(unsafe.Pointer(&s.control[0]))
		if h.Level == syscall.IPPROTO_UDP && h.Type == udpGRO {
			s.segment = max(int(binary.NativeEndian.Uint32(s.control[syscall.SizeofCmsghdr:])), 1)
		}
	}
	return s.buf[:n], nil
}

// writeRun writes all of out in one call; false if the system cannot.
func (s *socket) writeRun() bool {
	oob := s.head[:syscall.CmsgSpace(2)]
	clear(oob)
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = syscall.IPPROTO_UDP, udpSegment
	h.SetLen(syscall.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[syscall.CmsgLen(0):], uint16(s.size))
	_, _, err := s.conn.WriteMsgUDP(s.out, oob, nil)
	return !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EINVAL)
}
