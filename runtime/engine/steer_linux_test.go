package engine_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// loopSays answers each datagram with the number of its loop.
func loopSays(*engine.Loop) engine.Handler {
	return &packets{funcs: funcs{data: func(c *engine.Conn, b []byte) (int, int) {
		c.Send([]byte{byte(c.ID().Loop())}, 0)
		return len(b), 0
	}}}
}

// dialFrom is a socket on some port of an address of this machine.
func dialFrom(t testing.TB, r *running, from string) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, r.Addrs()[0].(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSteer: with Steer a source is on one loop, whatever its ports are, and sources are
// on all loops.
func TestSteer(t *testing.T) {
	const loops, sources, ports = 3, 40, 5
	r := start(t, engine.Config{Driver: "epoll", Loops: loops}, engine.Listener{Network: "udp", Steer: true}, loopSays)
	used := map[byte]int{}
	for source := range sources {
		answers := map[byte]bool{}
		for range ports {
			c := dialFrom(t, r, fmt.Sprintf("127.0.%d.%d", source%3, 2+source))
			if _, err := c.Write([]byte("in")); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 8)
			if _, err := c.Read(answer); err != nil {
				t.Fatal(err)
			}
			answers[answer[0]] = true
			used[answer[0]]++
		}
		if len(answers) != 1 {
			t.Errorf("source %d is on %d loops", source, len(answers))
		}
	}
	if len(used) != loops {
		t.Errorf("loops used: %v", used)
	}
}

// BenchmarkSteer echoes datagrams of many and of few sources, which have several ports
// each, with the kernel's own choice of a loop and with ours. An operation is one datagram
// there and back.
func BenchmarkSteer(b *testing.B) {
	for _, shape := range []struct{ sources, ports int }{{64, 1}, {16, 4}, {2, 32}} {
		for _, steer := range []bool{false, true} {
			b.Run(fmt.Sprintf("sources=%d/ports=%d/steer=%v", shape.sources, shape.ports, steer), func(b *testing.B) {
				r := start(b, engine.Config{Driver: "epoll", Loops: 2}, engine.Listener{Network: "udp", Steer: steer}, echoPackets)
				var sockets []*net.UDPConn
				for i := range shape.sources * shape.ports {
					c := dialFrom(b, r, fmt.Sprintf("127.0.0.%d", 2+i/shape.ports))
					exchangeMany(b, c, 1)
					sockets = append(sockets, c)
				}
				b.ReportAllocs()
				b.ResetTimer()
				var clients sync.WaitGroup
				for _, c := range sockets {
					clients.Go(func() { exchangeMany(b, c, b.N/len(sockets)+1) })
				}
				clients.Wait()
			})
		}
	}
}

// exchangeMany sends so many datagrams and reads them back, sixteen at a time.
func exchangeMany(b *testing.B, c *net.UDPConn, n int) {
	_ = c.SetDeadline(time.Now().Add(10 * patience))
	buffer := make([]byte, 64)
	for n > 0 {
		window := min(n, 16)
		for range window {
			if _, err := c.Write([]byte("in")); err != nil {
				b.Error(err)
				return
			}
		}
		for range window {
			if _, err := c.Read(buffer); err != nil {
				b.Error(err)
				return
			}
		}
		n -= window
	}
}
