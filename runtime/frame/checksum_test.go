package frame_test

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// bitwise is the plain model of a CRC of 16 bits.
func bitwise(b []byte, poly, init, xorout uint16, refin, refout bool) uint64 {
	r := init
	for _, v := range b {
		if refin {
			v = bits.Reverse8(v)
		}
		r ^= uint16(v) << 8
		for range 8 {
			if r&0x8000 != 0 {
				r = r<<1 ^ poly
			} else {
				r <<= 1
			}
		}
	}
	if refout {
		r = bits.Reverse16(r)
	}
	return uint64(r ^ xorout)
}

// checked is a format whose last bytes are the checksum of the payload.
func checked(t failer, size int, checksum string) *frame.Format {
	doc := fmt.Sprintf("fields:\n - {name: n, size: 4, counts: payload}\n - {name: payload}\n - {name: sum, size: %d, checksum: %s, covers: payload}\n", size, checksum)
	f, err := frame.Parse("checked", []byte(doc))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

func sumOf(t failer, f *frame.Format, payload []byte) (sum uint64) {
	b, err := f.Append(nil, &abi.Message{Payload: payload})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, v := range b[4+len(payload):] {
		sum = sum<<8 | uint64(v)
	}
	return sum
}

// The check values are those of the catalogue of parametrised CRC algorithms.
func TestChecksumsByName(t *testing.T) {
	for name, want := range map[string]uint64{
		"crc16": 0x4B37, "crc16/modbus": 0x4B37, "crc16/arc": 0xBB3D, "crc16/usb": 0xB4C8,
		"crc16/ccitt-false": 0x29B1, "crc16/xmodem": 0x31C3, "crc16/kermit": 0x2189, "crc16/x25": 0x906E,
		"crc32": 0xCBF43926, "crc32c": 0xE3069283, "sum8": 0xDD, "xor8": 0x31,
	} {
		size := 1
		for most := uint64(0xFF); want > most; most = most<<8 | 0xFF {
			size++
		}
		if got := sumOf(t, checked(t, size, name), []byte("123456789")); got != want {
			t.Errorf("%s: %#x, expected %#x", name, got, want)
		}
	}
}

func TestCRC16AgainstBitByBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		poly, init, xorout := rapid.Uint16().Draw(t, "poly"), rapid.Uint16().Draw(t, "init"), rapid.Uint16().Draw(t, "xorout")
		refin, refout := rapid.Bool().Draw(t, "refin"), rapid.Bool().Draw(t, "refout")
		payload := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "payload")
		f := checked(t, 2, fmt.Sprintf("crc16, poly: %d, init: %d, xorout: %d, refin: %t, refout: %t", poly, init, xorout, refin, refout))
		if got, want := sumOf(t, f, payload), bitwise(payload, poly, init, xorout, refin, refout); got != want {
			t.Fatalf("%#x, expected %#x", got, want)
		}
	})
}

func TestOtherChecksums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "payload")
		var sum, xor uint8
		for _, v := range payload {
			sum, xor = sum+v, xor^v
		}
		for name, want := range map[string]uint64{"sum8": uint64(sum), "xor8": uint64(xor)} {
			if got := sumOf(t, checked(t, 1, name), payload); got != want {
				t.Fatalf("%s: %#x, expected %#x", name, got, want)
			}
		}
		if got, want := sumOf(t, checked(t, 4, "crc32"), payload), uint64(crc32.ChecksumIEEE(payload)); got != want {
			t.Fatalf("crc32: %#x, expected %#x", got, want)
		}
	})
}
