package load_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
)

// BenchmarkDriver measures the driver alone: the server is a pipe in the kernel.
func BenchmarkDriver(b *testing.B) {
	for _, size := range []int{128, 1024} {
		b.Run(map[int]string{128: "128B", 1024: "1KiB"}[size], func(b *testing.B) {
			format, _ := frame.Preset("mcp-seq")
			b.SetBytes(int64(size))
			res, err := load.Run(b.Context(), load.Config{
				Address: pipe(b), Protocol: &load.Frames{Codec: format}, Subscribers: 1,
				Payload: load.Payload{Size: size}, Window: 20_000, WriteSize: 256 << 10,
				Count: uint64(b.N), Timeout: time.Minute,
			})
			if err != nil {
				b.Fatal(err)
			}
			if res.Counts.Lost > 0 || res.Counts.Foreign > 0 || res.Counts.OutOfOrder > 0 {
				b.Fatalf("%+v", res.Counts)
			}
			b.ReportMetric(res.Measured.Rate, "msg/s")
		})
	}
}

// pipe is a server that passes the bytes of its second connection to its first.
func pipe(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		to, err := ln.Accept()
		if err != nil {
			return
		}
		defer to.Close()
		from, err := ln.Accept()
		if err != nil {
			return
		}
		defer from.Close()
		_, _ = io.Copy(to, from)
	}()
	tb.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}
