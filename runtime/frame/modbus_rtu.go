package frame

import (
	"encoding/binary"
	"slices"

	"github.com/weftrun/weft/abi"
)

// decodeRTU is Decode for Modbus RTU over TCP.
//
// A frame of a known function ends where the function says, and is one if its CRC
// is right. One of an unknown function ends where a CRC first comes out right. What
// is neither is garbage, and the next frame is looked for behind it; whoever asks
// again after a time-out must be understood, so what looks like the beginning of
// something long, and could only be waited for, is given up as garbage when whole
// frames that it would contain end exactly where the bytes end. A beginning that
// is consistent in itself is never given up: requests of the known functions are
// found however the stream was cut.
func (f *Format) decodeRTU(b, scratch []byte, m *abi.Message) (int, []byte, error) {
	w := f.modbus
	n, sure := w.extent(b)
	fault := w.garbage
	switch sure {
	case certainShort:
		return 0, scratch, nil
	case certain, doubtful:
		if n > f.limit {
			break
		}
		if n <= len(b) {
			if w.intact(b[:n]) {
				return n, f.fillRTU(b[:n:n], scratch, m), nil
			}
			fault = w.badCRC
			break
		}
		if sure == certain {
			return 0, scratch, nil
		}
		if at := f.tailRTU(b); at > 0 {
			return at, scratch, fault
		}
		return 0, scratch, nil
	case unknown:
		if n = w.ends(b[:min(len(b), f.limit)]); n > 0 {
			return n, f.fillRTU(b[:n:n], scratch, m), nil
		}
		if len(b) >= f.limit {
			fault = w.badCRC
			break
		}
		if at := f.tailRTU(b); at > 0 {
			return at, scratch, fault
		}
		return 0, scratch, nil
	}
	return f.skipRTU(b), scratch, fault
}

func (f *Format) fillRTU(b, scratch []byte, m *abi.Message) []byte {
	m.Seq, m.Type, m.Frame = 0, f.typ, b
	pdu := b[1 : len(b)-2 : len(b)-2]
	return f.modbus.fill(b[0], pdu, scratch, m)
}

// needRTU is Need.
func (f *Format) needRTU(b []byte) int {
	if n, sure := f.modbus.extent(b); sure == certain && n <= f.limit && n > len(b) {
		return n
	}
	return 0
}

// intact tells whether the CRC of a frame is right.
func (w *modbus) intact(b []byte) bool {
	at := len(b) - 2
	return w.crc.sum(w.crc, b[:at]) == uint64(binary.LittleEndian.Uint16(b[at:]))
}

// ends is the length of the shortest frame that b begins with by its CRC alone, 0
// if there is none: over a frame and its CRC the register comes to 0.
func (w *modbus) ends(b []byte) int {
	r, table := w.crc.init, &w.crc.table[0]
	for i, v := range b {
		if r = r>>8 ^ table[byte(r)^v]; r == 0 && i+1 >= minRTU {
			return i + 1
		}
	}
	return 0
}

// whole is the length of the intact frame of a known function that b begins with,
// 0 if it begins with none.
func (f *Format) whole(b []byte) int {
	n, sure := f.modbus.extent(b)
	if (sure == certain || sure == doubtful) && n <= len(b) && n <= f.limit && f.modbus.intact(b[:n]) {
		return n
	}
	return 0
}

// tailRTU is where, behind the first byte, whole frames begin that end where b
// ends; 0 if there are none.
func (f *Format) tailRTU(b []byte) int {
	for at := 1; at+minRTU <= len(b); at++ {
		end := at
		for n := f.whole(b[end:]); n > 0; n = f.whole(b[end:]) {
			end += n
		}
		if end == len(b) {
			return at
		}
	}
	return 0
}

// skipRTU is where, behind the first byte, the next frame begins: the next one that
// is there as a whole, else what could become one. It looks no further than two
// frames' length.
func (f *Format) skipRTU(b []byte) int {
	could := 0
	window := min(len(b), 2*f.limit)
	for at := 1; at < window; at++ {
		rest := b[at:]
		n, sure := f.modbus.extent(rest)
		switch {
		case sure == never || n > f.limit:
			continue
		case (sure == certain || sure == doubtful) && n <= len(rest):
			if f.modbus.intact(rest[:n]) {
				return at
			}
			continue
		}
		if could == 0 {
			could = at
		}
	}
	if could > 0 {
		return could
	}
	return window
}

// appendRTU is Append for Modbus RTU over TCP.
func (f *Format) appendRTU(dst []byte, unit byte, m *abi.Message) ([]byte, error) {
	w := f.modbus
	if unit == 0 && w.server {
		return dst, w.broadcast
	}
	total := 1 + len(m.Payload) + 2
	if total > f.limit {
		return dst, f.tooLong
	}
	at := len(dst)
	dst = append(slices.Grow(dst, total), unit)
	dst = append(dst, m.Payload...)
	return binary.LittleEndian.AppendUint16(dst, uint16(w.crc.sum(w.crc, dst[at:]))), nil
}
