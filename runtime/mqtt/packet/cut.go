package packet

// MaxRemaining is the highest value of a variable byte integer, and so the
// longest packet without its fixed header.
const MaxRemaining = 268_435_455

// Cut finds the first packet in b. n is its whole length. While b does not hold
// all of it n is 0, and need says how long b has to become: 0 if that is not
// known yet. limit is the longest packet to accept, 0 for no limit; a longer one
// is refused as soon as its length is there. A first byte that begins no packet is
// refused at once.
func Cut(b []byte, limit int) (n, need int, err error) {
	if len(b) == 0 {
		return 0, 0, nil
	}
	if m := checkFirst(b[0]); m != nil {
		return 0, 0, m
	}
	if len(b) == 1 {
		return 0, 2, nil
	}
	remaining, size := varint(b[1:])
	if size <= 0 {
		if size < 0 {
			return 0, 0, refuse(TypeOf(b), 0, MalformedPacket, "MQTT-1.5.5-1", "",
				"the remaining length is not the shortest variable byte integer of at most 4 bytes")
		}
		return 0, 0, nil
	}
	n = 1 + size + remaining
	if limit > 0 && n > limit {
		return 0, 0, refuse(TypeOf(b), 0, PacketTooLarge, "3.1.2.11.4", "2.2.3", "the packet is longer than the maximum packet size")
	}
	if n > len(b) {
		return 0, n, nil
	}
	return n, n, nil
}

// checkFirst refuses a first byte whose type is reserved or whose flags are not
// those of the type.
func checkFirst(first byte) *Malformed {
	t := Type(first >> 4)
	if t == TypePublish {
		return checkPublishFlags(first)
	}
	if t == 0 {
		return refuse(0, 0, MalformedPacket, "2.1.2", "", "packet type 0 is reserved")
	}
	if first != t.first() {
		return refuse(t, 0, MalformedPacket, "MQTT-2.1.3-1", "MQTT-2.2.2-1", "reserved flags of the fixed header are not as they must be")
	}
	return nil
}

func checkPublishFlags(first byte) *Malformed {
	switch first & 0x0F {
	case 0x06, 0x07, 0x0E, 0x0F:
		return refuse(TypePublish, 0, MalformedPacket, "MQTT-3.3.1-4", "", "QoS 3 is reserved")
	case 0x08, 0x09:
		return refuse(TypePublish, 0, MalformedPacket, "MQTT-3.3.1-2", "", "DUP is set at QoS 0")
	}
	return nil
}

// body is what stands behind the fixed header of b, which must be one whole
// packet of type t.
func body(b []byte, t Type, v Version) ([]byte, *Malformed) {
	if len(b) < 2 || TypeOf(b) != t {
		return nil, refuse(t, v, ProtocolError, "2.1.2", "", "the bytes are not one whole packet of this type")
	}
	if m := checkFirst(b[0]); m != nil {
		return nil, m
	}
	remaining, size := varint(b[1:])
	if size <= 0 || 1+size+remaining != len(b) {
		return nil, refuse(t, v, MalformedPacket, "2.1.4", "2.2.3", "the remaining length is not that of the packet")
	}
	return b[1+size : len(b) : len(b)], nil
}

// varint reads a variable byte integer (section 1.5.5) and how many bytes it has:
// 0 if b ends before it does, -1 if it has more than 4 or more than it needs.
func varint(b []byte) (value, size int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int(b[0]), 1
	}
	for i := 0; i < len(b) && i < 4; i++ {
		value |= int(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			if b[i] == 0 {
				return 0, -1
			}
			return value, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

// varintSize is how many bytes a variable byte integer has.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendBytes(dst, b []byte) []byte {
	dst = append(dst, byte(len(b)>>8), byte(len(b)))
	return append(dst, b...)
}

func appendUint16(dst []byte, n uint16) []byte { return append(dst, byte(n>>8), byte(n)) }
