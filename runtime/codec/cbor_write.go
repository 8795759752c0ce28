package codec

import (
	"encoding/binary"
	"math"
)

// cbor writes the value at index at in preferred serialization (RFC 8949, section
// 4.1): definite lengths, each argument and float in its shortest form. Keys keep
// their order.
func (w *writer) cbor(at int) *Error {
	n := &w.tape.nodes[at]
	switch n.kind {
	case kindNull:
		w.dst = append(w.dst, 0xf6)
	case kindFalse:
		w.dst = append(w.dst, 0xf4)
	case kindTrue:
		w.dst = append(w.dst, 0xf5)
	case kindInt:
		w.dst = appendCBORHead(w.dst, cborNegative, ^n.bits)
	case kindUint:
		w.dst = appendCBORHead(w.dst, cborUint, n.bits)
	case kindFloat:
		w.dst = appendCBORFloat(w.dst, math.Float64frombits(n.bits))
	case kindNumber:
		return w.tooWide(at)
	case kindText, kindBytes:
		major, b := byte(cborBytes), w.tape.bytes(n)
		if n.kind == kindText {
			major = cborText
		}
		w.dst = append(appendCBORHead(w.dst, major, uint64(len(b))), b...)
	case kindArray, kindObject:
		major := byte(cborArray)
		if n.kind == kindObject {
			major = cborMap
		}
		w.dst = appendCBORHead(w.dst, major, uint64(n.count))
		return w.all(at, int(n.next), (*writer).cbor)
	}
	return w.full(at)
}

func appendCBORHead(dst []byte, major byte, v uint64) []byte {
	major <<= 5
	switch {
	case v < 24:
		return append(dst, major|byte(v))
	case v < 1<<8:
		return append(dst, major|24, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), v)
}

func appendCBORFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(dst, 0xf9, 0x7e, 0x00) // the one NaN
	}
	single := float32(f)
	if float64(single) != f {
		return binary.BigEndian.AppendUint64(append(dst, 0xfb), math.Float64bits(f))
	}
	if half, ok := toHalf(single); ok {
		return binary.BigEndian.AppendUint16(append(dst, 0xf9), half)
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xfa), math.Float32bits(single))
}

// toHalf is a float in 16 bits, if they hold it.
func toHalf(f float32) (half uint16, ok bool) {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exponent, mantissa := int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case exponent == 128:
		return sign | 0x7c00, mantissa == 0
	case bits&0x7fffffff == 0:
		return sign, true
	case exponent >= -14 && exponent <= 15:
		return sign | uint16(exponent+15)<<10 | uint16(mantissa>>13), mantissa&0x1fff == 0
	case exponent >= -24 && exponent < -14: // a number below the normal ones
		mantissa |= 1 << 23
		shift := uint(-exponent - 1) // 24 bits to 10, and one more for each power below -14
		return sign | uint16(mantissa>>shift), mantissa&(1<<shift-1) == 0
	}
	return 0, false
}
