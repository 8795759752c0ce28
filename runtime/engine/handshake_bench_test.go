package engine_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"

	"github.com/weftrun/weft/runtime/engine"
)

// BenchmarkHandshake connects, agrees, gets an echo and closes, from one client at a
// time for each processor: whole handshakes with TLS 1.3 and ECDSA P-256, and
// resumed ones. The client's part of the work is in the figures.
func BenchmarkHandshake(b *testing.B) {
	server, client := certificates(b)
	for _, name := range []string{"whole", "resumed"} {
		b.Run(name, func(b *testing.B) {
			r := start(b, engine.Config{}, secret(server), echoes)
			address := r.Addrs()[0].String()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				cfg := client.Clone()
				if name == "resumed" {
					cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				for pb.Next() {
					conn, err := net.Dial("tcp", address)
					if err != nil {
						b.Error(err)
						return
					}
					if err := pingpong(tls.Client(conn, cfg)); err != nil {
						b.Error(err)
					}
					_ = conn.Close()
				}
			})
			h := r.Stats().Listeners[0].Handshakes
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
			b.ReportMetric(float64(h.Resumed)/float64(max(h.Done, 1)), "resumed")
		})
	}
}

// BenchmarkTLSIdle measures what an open connection with TLS holds, both ends of it
// in this process: what the client's end holds is measured beside and taken off.
func BenchmarkTLSIdle(b *testing.B) {
	server, client := certificates(b)
	r := start(b, engine.Config{}, secret(server), echoes)
	const n = 500
	held := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	for b.Loop() {
		before := held()
		conns := make([]*tls.Conn, 0, n)
		for range n {
			c := tls.Client(r.dial(), client)
			if err := pingpong(c); err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
		}
		with := held()
		b.ReportMetric(float64(with-before)/n, "B/pair")
		for _, c := range conns {
			_ = c.Close()
		}
		r.until("they are closed", func(s engine.Stats) bool { return s.Listeners[0].Open == 0 })
		runtime.KeepAlive(conns)
	}
}
