package frame_test

import (
	"bytes"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// frame128 is a frame of 128 bytes in the format.
func frame128(t testing.TB, f *frame.Format) []byte {
	t.Helper()
	for size := 128; size > 0; size-- {
		m := abi.Message{Type: abi.TypeRequest, Seq: 7, Priority: 3, Payload: bytes.Repeat([]byte{'x'}, size)}
		if b, err := f.Append(nil, &m); err == nil && len(b) == 128 {
			return b
		}
	}
	t.Fatalf("%s has no frame of 128 bytes", f.Name())
	return nil
}

// BenchmarkRoundTrip decodes a frame of 128 bytes and encodes its message again.
func BenchmarkRoundTrip(b *testing.B) {
	for _, name := range declaredPresets() {
		b.Run(name, func(b *testing.B) {
			f := preset(b, name)
			in := frame128(b, f)
			out, scratch := make([]byte, 0, 256), make([]byte, 0, 256)
			var m abi.Message
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n, _, err := f.Decode(in, scratch, &m); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
				if _, err := f.Append(out, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode is the half that every frame pays for.
func BenchmarkDecode(b *testing.B) {
	for _, name := range declaredPresets() {
		b.Run(name, func(b *testing.B) {
			f := preset(b, name)
			in, scratch := frame128(b, f), make([]byte, 0, 256)
			var m abi.Message
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n, _, err := f.Decode(in, scratch, &m); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkChecksum takes the checksum of 16 KiB, beside the copy that encoding
// is otherwise.
func BenchmarkChecksum(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"crc16/modbus", 2}, {"crc16/xmodem", 2}, {"crc32", 4}, {"xor8", 1}, {"sum8", 1}} {
		b.Run(c.name, func(b *testing.B) {
			f := checked(b, c.size, c.name)
			m := abi.Message{Payload: make([]byte, 16<<10)}
			out := make([]byte, 0, 17<<10)
			b.SetBytes(16 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Append(out, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
