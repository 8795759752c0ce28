package kernel

import (
	"encoding/binary"
	"net/netip"

	"github.com/weftrun/weft/runtime/filter"
)

// packet is a packet to be built. Everything has a default.
type packet struct {
	tags       []uint16 // ethertypes of VLAN tags
	tag        uint16   // the VLAN
	from, to   netip.AddrPort
	network    filter.Network
	protocol   uint8  // instead of the network's
	flags      uint8  // TCP's; 0 is ACK
	payload    string // behind the header of UDP or TCP
	options    int    // bytes of IPv4 options
	extensions []extension
	fragment   uint16 // the field of IPv4, or of IPv6's header if there is one
	cut        int    // bytes of the frame to keep, if not 0
	padding    int
	size       uint16 // UDP's length, if not its own
	etherType  uint16 // instead of the family's
	hardware   [12]byte
}

// extension is a header of IPv6: its kind and its whole length.
type extension struct {
	kind   uint8
	length int
}

const (
	flagSYN = 0x02
	flagACK = 0x10
)

// frame builds the packet, with checksums, behind an Ethernet header.
func (p packet) frame() []byte {
	inner := p.transport()
	var body []byte
	etherType := uint16(0x0800)
	if p.from.Addr().Is4() {
		body = p.ip4(inner)
	} else {
		body, etherType = p.ip6(inner), 0x86dd
	}
	if p.etherType != 0 {
		etherType = p.etherType
	}
	frame := append([]byte(nil), p.hardware[:]...)
	for _, tag := range p.tags {
		frame = binary.BigEndian.AppendUint16(frame, tag)
		frame = binary.BigEndian.AppendUint16(frame, p.tag)
	}
	frame = binary.BigEndian.AppendUint16(frame, etherType)
	frame = append(frame, body...)
	frame = append(frame, make([]byte, p.padding)...)
	if p.cut > 0 {
		frame = frame[:p.cut]
	}
	return frame
}

func (p packet) number() uint8 {
	switch {
	case p.protocol != 0:
		return p.protocol
	case p.network == filter.UDP:
		return 17
	}
	return 6
}

func (p packet) transport() []byte {
	big := binary.BigEndian
	if p.number() == 17 {
		b := make([]byte, 8, 8+len(p.payload))
		big.PutUint16(b[0:], p.from.Port())
		big.PutUint16(b[2:], p.to.Port())
		big.PutUint16(b[4:], uint16(8+len(p.payload)))
		if p.size != 0 {
			big.PutUint16(b[4:], p.size)
		}
		b = append(b, p.payload...)
		sum := p.checksum(b)
		if sum == 0 {
			sum = 0xffff
		}
		big.PutUint16(b[6:], sum)
		return b
	}
	b := make([]byte, 20, 20+len(p.payload))
	big.PutUint16(b[0:], p.from.Port())
	big.PutUint16(b[2:], p.to.Port())
	b[12] = 5 << 4
	if b[13] = p.flags; p.flags == 0 {
		b[13] = flagACK
	}
	big.PutUint16(b[14:], 65535)
	b = append(b, p.payload...)
	big.PutUint16(b[16:], p.checksum(b))
	return b
}

// checksum is that of TCP and UDP.
func (p packet) checksum(inner []byte) uint16 {
	pseudo := append(p.from.Addr().AsSlice(), p.to.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(inner)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(p.number()))
	return onesComplement(append(pseudo, inner...))
}

func onesComplement(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (p packet) ip4(inner []byte) []byte {
	b := make([]byte, 20+p.options)
	for i := 20; i < len(b); i++ {
		b[i] = 1 // no operation
	}
	b[0] = 4<<4 | uint8(len(b)/4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(inner)))
	binary.BigEndian.PutUint16(b[6:], p.fragment)
	b[8], b[9] = 64, p.number()
	copy(b[12:], p.from.Addr().AsSlice())
	copy(b[16:], p.to.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], onesComplement(b))
	return append(b, inner...)
}

func (p packet) ip6(inner []byte) []byte {
	var headers []byte
	next := func(i int) uint8 {
		if i < len(p.extensions) {
			return p.extensions[i].kind
		}
		return p.number()
	}
	for i, e := range p.extensions {
		header := make([]byte, e.length)
		header[0], header[1] = next(i+1), uint8(e.length/8-1)
		switch e.kind {
		case 44:
			header[1] = 0
			binary.BigEndian.PutUint16(header[2:], p.fragment)
		case 51:
			header[1] = uint8(e.length/4 - 2)
		case 0, 60: // one option that fills it
			header[2], header[3] = 1, uint8(e.length-4)
		}
		headers = append(headers, header...)
	}
	b := make([]byte, 40)
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(headers)+len(inner)))
	b[6], b[7] = next(0), 64
	copy(b[8:], p.from.Addr().AsSlice())
	copy(b[24:], p.to.Addr().AsSlice())
	return append(append(b, headers...), inner...)
}
