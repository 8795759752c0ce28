package websocket

import (
	"encoding/binary"
	"math/bits"
)

// unmask writes src, which is as long as dst, into dst without its mask, and returns the key for
// the byte that follows. dst may be src or begin before it in the same array: it
// is written from front to back, never beyond what was read.
func unmask(dst, src []byte, key uint32) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(src) >= 32 && len(dst) >= 32 {
		a := binary.LittleEndian.Uint64(src) ^ wide
		b := binary.LittleEndian.Uint64(src[8:]) ^ wide
		c := binary.LittleEndian.Uint64(src[16:]) ^ wide
		d := binary.LittleEndian.Uint64(src[24:]) ^ wide
		binary.LittleEndian.PutUint64(dst, a)
		binary.LittleEndian.PutUint64(dst[8:], b)
		binary.LittleEndian.PutUint64(dst[16:], c)
		binary.LittleEndian.PutUint64(dst[24:], d)
		src, dst = src[32:], dst[32:]
	}
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^wide)
		src, dst = src[8:], dst[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key>>(8*(i&3)))
	}
	return bits.RotateLeft32(key, -8*(len(src)&3))
}
