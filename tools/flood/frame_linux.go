package main

import (
	"encoding/binary"
	"net/netip"
)

// Numbers of the protocols (IANA).
const (
	protocolTCP = 6
	protocolUDP = 17
)

// datagram is an Ethernet frame with a datagram over IPv4 (RFC 894, 791, 768).
func datagram(hardware [6]byte, from, to netip.AddrPort, payload []byte) []byte {
	b := header(hardware, from, to, protocolUDP, 8+len(payload))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	b = append(b, payload...)
	return summed(b, from, to, protocolUDP, 6)
}

// opening is one with the packet that begins a connection over TCP (RFC 9293).
func opening(hardware [6]byte, from, to netip.AddrPort) []byte {
	const words, synchronise = 5 << 4, 2
	b := header(hardware, from, to, protocolTCP, 20)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, words, synchronise, 0xff, 0xff, 0, 0, 0, 0)
	return summed(b, from, to, protocolTCP, 16)
}

// header is what stands before the transport's header.
func header(hardware [6]byte, from, to netip.AddrPort, protocol byte, size int) []byte {
	b := append([]byte(nil), hardware[:]...)
	b = append(b, 2, 0, 0, 0, 0, 1, 8, 0) // from a local address; IPv4
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+size))
	b = append(b, 0, 0, 0x40, 0, 64, protocol, 0, 0)
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(b[14+10:], fold(sum(0, b[14:])))
	return b
}

// summed writes the checksum of what stands behind the headers, at the place in it.
func summed(b []byte, from, to netip.AddrPort, protocol uint32, place int) []byte {
	body := b[14+20:]
	n := sum(0, from.Addr().AsSlice())
	n = sum(n, to.Addr().AsSlice()) + protocol + uint32(len(body))
	binary.BigEndian.PutUint16(body[place:], fold(sum(n, body)))
	return b
}

// sum adds 16-bit words (RFC 1071).
func sum(n uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		n += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		n += uint32(b[0]) << 8
	}
	return n
}

func fold(n uint32) uint16 {
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}
