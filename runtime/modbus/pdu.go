package modbus

import "encoding/binary"

// answers tells whether a PDU can be the answer to a request: its function, and as
// far as the function says so its length and what it repeats.
func answers(request, response []byte) bool {
	if len(request) == 0 || len(response) < 2 && request[0] != 7 || response[0]&^failed != request[0] {
		return false
	}
	if response[0]&failed != 0 {
		return len(response) == 2
	}
	if len(request) < 5 {
		return true
	}
	count := int(binary.BigEndian.Uint16(request[3:]))
	switch request[0] {
	case 1, 2:
		return len(response) == 2+(count+7)/8 && int(response[1]) == (count+7)/8
	case 3, 4:
		return len(response) == 2+2*count && int(response[1]) == 2*count
	case 5, 6, 15, 16:
		return string(response) == string(request[:5])
	}
	return true
}
