package frame

import (
	"encoding/binary"
	"slices"

	"github.com/weftrun/weft/abi"
)

// decodeMBAP is Decode for Modbus TCP. A header that is none says that the stream
// is lost: nothing in it could be found again.
func (f *Format) decodeMBAP(b, scratch []byte, m *abi.Message) (int, []byte, error) {
	total, fault := f.measureMBAP(b)
	if fault != nil {
		return 0, scratch, fault
	}
	if total == 0 || len(b) < total {
		return 0, scratch, nil
	}
	m.Seq, m.Type, m.Frame = uint64(binary.BigEndian.Uint16(b)), f.typ, b[:total:total]
	return total, f.modbus.fill(b[mbapHeader-1], b[mbapHeader:total:total], scratch, m), nil
}

// measureMBAP is how long the frame is, 0 while that is not known. A wrong byte
// is refused as soon as it is there.
func (f *Format) measureMBAP(b []byte) (total int, fault *Fault) {
	switch {
	case len(b) > 2 && b[2] != 0, len(b) > 3 && b[3] != 0:
		return 0, f.modbus.badProtocol
	case len(b) > 4 && b[4] != 0:
		return 0, f.modbus.badLength
	case len(b) < 6:
		return 0, nil
	}
	length := int(b[5])
	switch {
	case length < 2 || length > MaxPDU+1:
		return 0, f.modbus.badLength
	case 6+length > f.limit:
		return 0, f.tooLong
	}
	return 6 + length, nil
}

// appendMBAP is Append for Modbus TCP.
func (f *Format) appendMBAP(dst []byte, unit byte, m *abi.Message) ([]byte, error) {
	seq := m.Seq
	if seq > 0xffff {
		if m.Type != abi.TypeEvent {
			return dst, f.modbus.longSeq
		}
		seq = 0
	}
	total := mbapHeader + len(m.Payload)
	if total > f.limit {
		return dst, f.tooLong
	}
	dst = slices.Grow(dst, total)
	dst = binary.BigEndian.AppendUint16(dst, uint16(seq))
	dst = append(dst, 0, 0, 0, byte(1+len(m.Payload)), unit)
	return append(dst, m.Payload...), nil
}
