package frame

import "encoding/binary"

// certainty is what is known about where a serial frame ends.
type certainty uint8

const (
	// never: no frame begins so.
	never certainty = iota
	// certainShort: more bytes are needed to know.
	certainShort
	// certain: the function tells, and what it says is consistent so far.
	certain
	// doubtful: the function tells, but its numbers contradict each other.
	doubtful
	// unknown: the function is not one whose frames are known.
	unknown
)

// The function codes of MODBUS Application Protocol V1.1b3, section 6, by what
// their frames have in common.
const (
	readCoils          = 1
	readInputRegisters = 4
	writeCoil          = 5
	writeRegister      = 6
	readExceptions     = 7
	diagnostics        = 8
	eventCounter       = 11
	eventLog           = 12
	writeCoils         = 15
	writeRegisters     = 16
	reportServer       = 17
	readFile           = 20
	writeFile          = 21
	maskWrite          = 22
	readWrite          = 23
	readFIFO           = 24
	encapsulated       = 43
	deviceIdentity     = 14 // an MEI type
)

// requestExtent is the length of the request that b begins with, from its unit to
// its CRC. What is not known is 0.
func requestExtent(b []byte) (n int, sure certainty) {
	if len(b) < 2 {
		return 0, certainShort
	}
	switch function := b[1]; function {
	case 1, 2, 3, readInputRegisters, writeCoil, writeRegister, diagnostics:
		return 8, certain
	case readExceptions, eventCounter, eventLog, reportServer:
		return 4, certain
	case maskWrite:
		return 10, certain
	case readFIFO:
		return 6, certain
	case writeCoils, writeRegisters:
		if len(b) < 7 {
			return 0, certainShort
		}
		count, bytes := int(binary.BigEndian.Uint16(b[4:])), int(b[6])
		want := 2 * count
		if function == writeCoils {
			want = (count + 7) / 8
		}
		return 9 + bytes, trust(bytes == want && count > 0)
	case readFile, writeFile:
		if len(b) < 3 {
			return 0, certainShort
		}
		return 5 + int(b[2]), trust(b[2] >= 7 && b[2] <= 0xfb)
	case readWrite:
		if len(b) < 11 {
			return 0, certainShort
		}
		return 13 + int(b[10]), trust(int(b[10]) == 2*int(binary.BigEndian.Uint16(b[8:])) && b[10] > 0)
	case encapsulated:
		if len(b) < 3 {
			return 0, certainShort
		}
		if b[2] == deviceIdentity {
			return 7, certain
		}
		return 0, unknown
	default:
		if function == 0 || function >= failed {
			return 0, never // codes of no request
		}
		return 0, unknown
	}
}

// responseExtent is requestExtent for a response.
func responseExtent(b []byte) (n int, sure certainty) {
	if len(b) < 2 {
		return 0, certainShort
	}
	function := b[1]
	if function > failed {
		return 5, certain // an exception
	}
	switch function {
	case writeCoil, writeRegister, diagnostics, eventCounter, writeCoils, writeRegisters:
		return 8, certain
	case readExceptions:
		return 5, certain
	case maskWrite:
		return 10, certain
	case 0, failed:
		return 0, never
	case readFIFO:
		if len(b) < 6 {
			return 0, certainShort
		}
		bytes := int(binary.BigEndian.Uint16(b[2:]))
		return 6 + bytes, trust(bytes == 2+2*int(binary.BigEndian.Uint16(b[4:])) && 6+bytes <= maxRTU)
	case encapsulated:
		if len(b) > 2 && b[2] != deviceIdentity {
			return 0, unknown
		}
		return identityExtent(b)
	case readCoils, 2, 3, readInputRegisters, eventLog, reportServer, readFile, writeFile, readWrite:
		if len(b) < 3 {
			return 0, certainShort
		}
		even := function != 3 && function != readInputRegisters && function != readWrite || b[2]%2 == 0
		return 5 + int(b[2]), trust(even && b[2] > 0 && 5+int(b[2]) <= maxRTU)
	default:
		return 0, unknown
	}
}

// identityExtent is the length of the response to Read Device Identification, in
// which every object has a length of its own (section 6.21).
func identityExtent(b []byte) (n int, sure certainty) {
	const head = 8 // unit, function, MEI type, code, conformity, more, next, objects
	if len(b) < head {
		return 0, certainShort
	}
	n = head
	for range b[head-1] {
		if len(b) < n+2 {
			return 0, certainShort
		}
		if n += 2 + int(b[n+1]); n > maxRTU {
			return n, doubtful
		}
	}
	return n + 2, certain
}

func trust(consistent bool) certainty {
	if consistent {
		return certain
	}
	return doubtful
}
