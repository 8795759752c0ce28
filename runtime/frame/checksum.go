package frame

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
)

// checksum is a compiled checksum algorithm. It is made once and read only.
type checksum struct {
	size  int // bytes of the result
	sum   func(c *checksum, b []byte) uint64
	table *[16][256]uint16 // crc16
	init  uint16
	flip  bool // reverse the result's bits: refin and refout differ
	xor   uint16
	crc32 *crc32.Table
}

// crc16Parameters are those of the usual model of a CRC: the polynomial and the
// initial value as numbers whose highest bit is the first, whatever the
// reflection.
type crc16Parameters struct {
	poly, init, xorout uint16
	refin, refout      bool
}

// crc16Named are the parameter sets that have a name; "crc16" alone is Modbus.
var crc16Named = map[string]crc16Parameters{
	"crc16":             {0x8005, 0xFFFF, 0, true, true},
	"crc16/modbus":      {0x8005, 0xFFFF, 0, true, true},
	"crc16/arc":         {0x8005, 0, 0, true, true},
	"crc16/usb":         {0x8005, 0xFFFF, 0xFFFF, true, true},
	"crc16/ccitt-false": {0x1021, 0xFFFF, 0, false, false},
	"crc16/xmodem":      {0x1021, 0, 0, false, false},
	"crc16/kermit":      {0x1021, 0, 0, true, true},
	"crc16/x25":         {0x1021, 0xFFFF, 0xFFFF, true, true},
}

// checksumNames lists the algorithms in the order in which they are shown.
func checksumNames() []string {
	names := []string{"crc32", "crc32c", "sum8", "xor8"}
	for name := range crc16Named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newChecksum(name string) (*checksum, bool) {
	switch name {
	case "crc32":
		return &checksum{size: 4, sum: sumCRC32, crc32: crc32.IEEETable}, true
	case "crc32c":
		return &checksum{size: 4, sum: sumCRC32, crc32: crc32.MakeTable(crc32.Castagnoli)}, true
	case "sum8":
		return &checksum{size: 1, sum: sum8}, true
	case "xor8":
		return &checksum{size: 1, sum: xor8}, true
	}
	p, ok := crc16Named[name]
	if !ok {
		return nil, false
	}
	return newCRC16(p), true
}

func sumCRC32(c *checksum, b []byte) uint64 { return uint64(crc32.Checksum(b, c.crc32)) }

func sum8(_ *checksum, b []byte) uint64 {
	var s uint8
	for _, v := range b {
		s += v
	}
	return uint64(s)
}

func xor8(_ *checksum, b []byte) uint64 {
	var wide uint64
	for len(b) >= 8 {
		wide ^= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	wide ^= wide >> 32
	wide ^= wide >> 16
	s := uint8(wide ^ wide>>8)
	for _, v := range b {
		s ^= v
	}
	return uint64(s)
}

// newCRC16 builds the tables of a CRC by slicing: table[k][v] is what the byte v
// does to the register when k more bytes follow it (Kounavis and Berry, "A
// Systematic Approach to Building High Performance Software-based CRC
// Generators", 2005), so that 16 bytes take 16 independent look-ups.
func newCRC16(p crc16Parameters) *checksum {
	c := &checksum{size: 2, table: new([16][256]uint16), init: p.init, xor: p.xorout, flip: p.refin != p.refout}
	poly := p.poly
	c.sum = sumForward16
	if p.refin {
		c.sum = sumReflected16
		poly, c.init = bits.Reverse16(poly), bits.Reverse16(p.init)
	}
	for v := range 256 {
		r := uint16(v)
		if !p.refin {
			r <<= 8
		}
		for range 8 {
			r = step16(r, poly, p.refin)
		}
		c.table[0][v] = r
	}
	for k := 1; k < 16; k++ {
		for v := range 256 {
			r := c.table[k-1][v]
			if p.refin {
				c.table[k][v] = r>>8 ^ c.table[0][byte(r)]
			} else {
				c.table[k][v] = r<<8 ^ c.table[0][r>>8]
			}
		}
	}
	return c
}

func step16(r, poly uint16, reflected bool) uint16 {
	switch {
	case reflected && r&1 != 0:
		return r>>1 ^ poly
	case reflected:
		return r >> 1
	case r&0x8000 != 0:
		return r<<1 ^ poly
	}
	return r << 1
}

func sumReflected16(c *checksum, b []byte) uint64 {
	t, r := c.table, c.init
	for len(b) >= 16 {
		x := binary.LittleEndian.Uint64(b) ^ uint64(r)
		y := binary.LittleEndian.Uint64(b[8:])
		r = slice16(t, x, y)
		b = b[16:]
	}
	for _, v := range b {
		r = r>>8 ^ t[0][byte(r)^v]
	}
	return c.finish(r)
}

func sumForward16(c *checksum, b []byte) uint64 {
	t, r := c.table, c.init
	for len(b) >= 16 {
		x := binary.LittleEndian.Uint64(b) ^ uint64(bits.ReverseBytes16(r))
		y := binary.LittleEndian.Uint64(b[8:])
		r = slice16(t, x, y)
		b = b[16:]
	}
	for _, v := range b {
		r = r<<8 ^ t[0][byte(r>>8)^v]
	}
	return c.finish(r)
}

// slice16 is the register after 16 bytes, the first in the low byte of x, into
// which the register before them was mixed.
func slice16(t *[16][256]uint16, x, y uint64) uint16 {
	return t[15][byte(x)] ^ t[14][byte(x>>8)] ^ t[13][byte(x>>16)] ^ t[12][byte(x>>24)] ^
		t[11][byte(x>>32)] ^ t[10][byte(x>>40)] ^ t[9][byte(x>>48)] ^ t[8][byte(x>>56)] ^
		t[7][byte(y)] ^ t[6][byte(y>>8)] ^ t[5][byte(y>>16)] ^ t[4][byte(y>>24)] ^
		t[3][byte(y>>32)] ^ t[2][byte(y>>40)] ^ t[1][byte(y>>48)] ^ t[0][byte(y>>56)]
}

func (c *checksum) finish(r uint16) uint64 {
	if c.flip {
		r = bits.Reverse16(r)
	}
	return uint64(r ^ c.xor)
}
