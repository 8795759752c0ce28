package server_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const webIdle = `
listeners:
  - {name: tcp, address: "127.0.0.1:0", frame: mcp-seq, topic: t}
  - {name: web, address: "127.0.0.1:0", frame: mcp-seq, topic: t, websocket: {}}
api: {address: ""}
`

// BenchmarkIdle is what a connection costs that says nothing, beside the kernel's
// part: B/conn is heap.
func BenchmarkIdle(b *testing.B) {
	const connections = 4000
	for _, listener := range []string{"tcp", "web"} {
		b.Run(listener, func(b *testing.B) {
			for b.Loop() {
				f := start(b, "auto", webIdle)
				address := f.address(listener)
				before := heap()
				for range connections {
					idle(b, address, listener == "web")
				}
				f.await("weft_connections", connections)
				b.ReportMetric(float64(heap()-before)/connections, "B/conn")
				f.end()
			}
		})
	}
}

// heap is how many bytes of it are taken, after everything was collected.
func heap() int64 {
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// idle makes a connection that has no memory on this side but the kernel's.
func idle(tb testing.TB, address string, upgrade bool) {
	tb.Helper()
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		tb.Fatal(err)
	}
	if !upgrade {
		return
	}
	if _, err := syscall.Write(fd, fmt.Appendf(nil, upgradeHead, "/", "")); err != nil {
		tb.Fatal(err)
	}
	var answer [512]byte
	if n, err := syscall.Read(fd, answer[:]); err != nil || !strings.HasPrefix(string(answer[:max(n, 0)]), "HTTP/1.1 101") {
		tb.Fatalf("%q %v", answer[:max(n, 0)], err)
	}
}

// BenchmarkWebSocket is a frame's way in and out again, over WebSocket and over TCP,
// in batches of 64; allocations are those of the server and of both clients.
func BenchmarkWebSocket(b *testing.B) {
	const batch = 64
	for _, listener := range []string{"plain", "seq"} {
		b.Run(listener, func(b *testing.B) {
			f := start(b, "auto", strings.Replace(webConfig, "close_after: 30s", "close_after: 0s", 1))
			conn, err := net.Dial("tcp", f.address(listener))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			unit := seq(strings.Repeat("x", 128))
			frames, size := strings.Repeat(unit, batch), len(unit)
			if listener == "seq" {
				_ = conn.Close()
				c := f.web("seq", "/seq", "")
				_ = c.conn.SetDeadline(time.Time{})
				conn, size = c.conn, len(unit)+4
				frames = strings.Repeat(string(webFrame(0x82, unit)), batch)
			}
			f.await("weft_subscriptions", 1)
			out, in := []byte(frames), make([]byte, batch*size)
			b.SetBytes(int64(len(unit)))
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += batch {
				if _, err := conn.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
