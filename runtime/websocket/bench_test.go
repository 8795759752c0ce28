package websocket_test

import (
	"strconv"
	"testing"

	"github.com/weftrun/weft/runtime/websocket"
)

// Unwrapping and wrapping in steady state allocate nothing.
func TestAllocations(t *testing.T) {
	wire := []byte(f(fin|bin, 0x01020304, "0123456789") + f(fin|ping, 5, "p") + f(fin|bin, 0x01020304, "0123"))
	b, answers := make([]byte, len(wire)), make([]byte, 0, 256)
	var r websocket.Reader
	n := testing.AllocsPerRun(1000, func() {
		copy(b, wire)
		in := r.Unwrap(binaryKind, b, answers)
		r.Keep(binaryKind, b, len(in.Inner), 0)
		answers = websocket.Append(answers[:0], in.Inner, false)[:0]
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16384} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			var wire []byte
			frames := max(1, 65536/size)
			for range frames {
				wire = append(wire, f(fin|bin, 0xA1B2C3D4, string(make([]byte, size)))...)
			}
			buf := make([]byte, len(wire))
			var r websocket.Reader
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; i < b.N; i += frames {
				copy(buf, wire)
				in := r.Unwrap(binaryKind, buf, nil)
				r.Keep(binaryKind, buf, len(in.Inner), 0)
			}
		})
	}
}

func BenchmarkWrap(b *testing.B) {
	payload, dst := make([]byte, 128), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = websocket.Append(dst[:0], payload, false)
	}
}
