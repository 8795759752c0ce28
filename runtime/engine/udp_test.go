package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// packets is a handler of datagrams: strangers who say "in" are let in.
type packets struct {
	funcs
	wake     func(*engine.Conn)
	stranger func(b, reply []byte) ([]byte, bool)
}

func (p *packets) Stranger(_ int, _ netip.AddrPort, b, reply []byte) ([]byte, bool) {
	if p.stranger != nil {
		return p.stranger(b, reply)
	}
	return append(reply, "who?"...), string(b) == "in"
}

func (p *packets) Wake(c *engine.Conn) {
	if p.wake != nil {
		p.wake(c)
	}
}

func udp() engine.Listener { return engine.Listener{Network: "udp"} }

func (r *running) dialUDP() *net.UDPConn {
	r.t.Helper()
	c, err := net.DialUDP("udp", nil, r.Addrs()[0].(*net.UDPAddr))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text, want string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("%q is answered with %q (%v), expected %q", text, buf[:n], err, want)
	}
}

func echoPackets(*engine.Loop) engine.Handler {
	return &packets{funcs: funcs{data: func(c *engine.Conn, b []byte) (int, int) { c.Send(b, 0); return len(b), 0 }}}
}

func TestDatagrams(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, loops := range []int{1, 2} {
			r := start(t, engine.Config{Driver: driver, Loops: loops}, udp(), echoPackets)
			for range 4 {
				c := r.dialUDP()
				say(t, c, "hello", "who?")
				say(t, c, "in", "in")
				say(t, c, "hello", "hello")
			}
			r.until("four connections", func(s engine.Stats) bool { return s.Listeners[0].Open == 4 })
		}
	})
}

// TestDatagramRuns sends bursts of equal and unequal lengths back: what the kernel
// puts together and cuts stays what it was.
func TestDatagramRuns(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var answers [][]byte
		for i := range 100 {
			size := 1000
			if i%17 == 5 {
				size = 10 + i
			}
			answers = append(answers, bytes.Repeat([]byte{byte(i)}, size))
		}
		r := start(t, engine.Config{Driver: driver}, udp(), func(*engine.Loop) engine.Handler {
			return &packets{funcs: funcs{data: func(c *engine.Conn, b []byte) (int, int) {
				for _, a := range answers {
					c.Send(a, 0)
				}
				return len(b), 0
			}}}
		})
		c := r.dialUDP()
		_ = c.SetReadBuffer(1 << 20)
		if _, err := c.Write([]byte("in")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		for i, want := range answers {
			n, err := c.Read(buf)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("datagram %d: %d bytes of %d (%v), expected %d", i, n, buf[0], err, len(want))
			}
		}
	})
}

func TestDatagramLimits(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		ln := udp()
		ln.MaxPerSource = 2
		r := start(t, engine.Config{Driver: driver}, ln, echoPackets)
		for i := range 3 {
			c := r.dialUDP()
			if i < 2 {
				say(t, c, "in", "in")
				continue
			}
			if _, err := c.Write([]byte("in")); err != nil {
				t.Fatal(err)
			}
		}
		r.until("the third is refused", func(s engine.Stats) bool {
			return s.Listeners[0].Open == 2 && s.Listeners[0].Refused[engine.RefusedSource] == 1
		})
	})
}

func TestWakeAt(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		type woken struct {
			n    int
			late time.Duration
		}
		all := make(chan woken, 100)
		r := start(t, engine.Config{Driver: driver}, udp(), func(l *engine.Loop) engine.Handler {
			return &packets{
				funcs: funcs{open: func(c *engine.Conn) {
					at := time.Now().Add(30 * time.Millisecond)
					c.Value = at
					c.WakeAt(time.Now().Add(time.Hour))
					c.WakeAt(at.Add(-20 * time.Millisecond))
					c.WakeAt(at)
				}},
				wake: func(c *engine.Conn) {
					n := 1
					at, first := c.Value.(time.Time)
					if !first {
						return
					}
					late := time.Since(at)
					c.Value = n
					all <- woken{n, late}
				},
			}
		})
		for range 20 {
			c := r.dialUDP()
			if _, err := c.Write([]byte("in")); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			if w := await(t, all, "a wake"); w.late < 0 {
				t.Fatalf("woken %v early", -w.late)
			}
		}
	})
}

// TestOweHolds holds a publisher back while what a handler keeps for a consumer is
// over its limit, and wakes it after.
func TestOweHolds(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var consumer, publisher *engine.Conn
		woken := make(chan bool, 10)
		ln := udp()
		ln.Outbox.Limit = 1000
		r := start(t, engine.Config{Driver: driver}, ln, func(*engine.Loop) engine.Handler {
			return &packets{
				funcs: funcs{open: func(c *engine.Conn) {
					if consumer == nil {
						consumer = c
						c.Owe(5000)
						return
					}
					publisher = c
					c.Loop().Hold(c.ID(), consumer.ID())
				}},
				wake: func(c *engine.Conn) { woken <- c == publisher && !c.Held() },
			}
		})
		for i := range 2 {
			c := r.dialUDP()
			_, _ = c.Write([]byte("in"))
			r.until("open", func(s engine.Stats) bool { return s.Listeners[0].Open == int64(i)+1 })
		}
		r.on(0, func() {
			if !publisher.Held() || consumer.Queued() != 5000 {
				t.Error("the publisher is not held")
			}
			consumer.Owe(499)
		})
		if !await(t, woken, "the wake after the hold") {
			t.Error("another one was woken")
		}
	})
}

// TestFarewell sends a last datagram for a connection that the engine closes.
func TestFarewell(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var left atomic.Int64
		r := start(t, engine.Config{Driver: driver}, udp(), func(l *engine.Loop) engine.Handler {
			return &packets{funcs: funcs{closed: func(c *engine.Conn, reason engine.Reason) {
				left.Add(1)
				l.SendDatagram(0, c.Remote(), []byte(fmt.Sprint("bye ", reason)))
			}}}
		})
		c := r.dialUDP()
		_, _ = c.Write([]byte("in"))
		r.until("open", func(s engine.Stats) bool { return s.Listeners[0].Open == 1 })
		if err := r.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "bye drained" || left.Load() != 1 {
			t.Fatalf("%q %v", buf[:n], err)
		}
	})
}
