package engine_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// gated is a handler that lets in what open tells.
type gated struct {
	packets
	shut *atomic.Bool
	seen *atomic.Int64 // what it was asked
	link *atomic.Int64 // by which interface the last datagram came
}

func (g *gated) Connection(listener int, source netip.Addr, now time.Time) bool {
	g.seen.Add(1)
	return !g.shut.Load() && listener == 0 && source.IsLoopback() && !now.IsZero()
}

func (g *gated) Datagram(_ int, source netip.Addr, link int, b []byte, _ time.Time) bool {
	g.seen.Add(1)
	g.link.Store(int64(link))
	if string(b) == "panic" {
		panic("as asked")
	}
	return !g.shut.Load() && source.IsLoopback() && string(b) != "bad"
}

func newGate() (*gated, func(*engine.Loop) engine.Handler) {
	g := &gated{shut: &atomic.Bool{}, seen: &atomic.Int64{}, link: &atomic.Int64{}}
	g.data = func(c *engine.Conn, b []byte) (int, int) { c.Send(b, 0); return len(b), 0 }
	return g, func(*engine.Loop) engine.Handler { return g }
}

// TestGateConnections: who is not let in is reset, and nothing of it is counted as a
// connection.
func TestGateConnections(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, wrapped := range []bool{false, true} {
			g, handler := newGate()
			ln := engine.Listener{}
			if wrapped {
				ln.Wrap = func(c net.Conn) net.Conn { return c }
			}
			r := start(t, engine.Config{Driver: driver}, ln, handler)
			say(t, r.dial(), "x", "x")
			g.shut.Store(true)
			if err := r.refused(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("who is not let in finds: %v", err)
			}
			r.until("asked twice", func(engine.Stats) bool { return g.seen.Load() == 2 })
			if s := r.Stats().Listeners[0]; s.Accepted != 1 || s.Refused != [engine.RefusalCount]uint64{} {
				t.Errorf("counted: %+v", s)
			}
			g.shut.Store(false)
			say(t, r.dial(), "x", "x")
		}
	})
}

// refused is how a connection ends that is not let in.
func (r *running) refused() error {
	c, err := net.Dial("tcp", r.Addrs()[0].String())
	if err != nil {
		return err // it was reset before the system had told that it stands
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err = c.Read(make([]byte, 1))
	return err
}

// TestGateDatagrams: it is asked about each datagram, of connections too, and what is
// not let in costs no answer and no count.
func TestGateDatagrams(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		g, handler := newGate()
		r := start(t, engine.Config{Driver: driver}, udp(), handler)
		c, other := r.dialUDP(), r.dialUDP()
		say(t, c, "in", "in")
		for _, text := range []string{"bad", "panic"} {
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		say(t, c, "hello", "hello") // the next answer is this one's
		if _, err := other.Write([]byte("bad")); err != nil {
			t.Fatal(err)
		}
		say(t, other, "hello", "who?")
		if n := g.seen.Load(); n != 6 {
			t.Errorf("asked %d times", n)
		}
		r.until("counted", func(s engine.Stats) bool {
			return s.Listeners[0].BytesIn == uint64(len("in")+2*len("hello")) && s.Loops[0].Panics == 1
		})
		if n := g.link.Load(); n != 0 {
			t.Errorf("interface %d, and nobody wants to know", n)
		}
	})
}
