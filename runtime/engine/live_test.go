package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// live is a running engine with its loops.
type live struct {
	*running
	loops []*engine.Loop
}

func startLoops(t *testing.T, cfg engine.Config, ln engine.Listener, newHandler func() engine.Handler) *live {
	t.Helper()
	r := &live{}
	r.running = start(t, cfg, ln, func(l *engine.Loop) engine.Handler {
		r.loops = append(r.loops, l)
		return newHandler()
	})
	return r
}

// adopt has every loop take up a listener.
func (r *live) adopt(index int) {
	for i := range r.Loops() {
		r.on(i, func() { r.loops[i].Adopt(index) })
	}
}

func exchangeFrames(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write(frame([]byte(text))); err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(c); err != nil || string(got) != text {
		t.Fatalf("%q, %v", got, err)
	}
}

func dialAt(t *testing.T, at net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Listeners come and go while the engine runs, and those that stay do not notice: an
// index is used again, its connections get last words, and its counters are right.
func TestListenersComeAndGo(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		said := make(chan engine.Reason, 100)
		r := startLoops(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{Name: "stays"}, func() engine.Handler {
			h := &leaver{reasons: said}
			h.data = frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })
			return h
		})
		stays := r.dial()
		exchangeFrames(t, stays, "before")
		former := ""
		for range 20 {
			index, err := r.Prepare(engine.Listener{Name: "comes", Address: "127.0.0.1:0", ReadDeadline: 8 * time.Millisecond})
			if err != nil || index != 1 {
				t.Fatalf("index %d, %v", index, err)
			}
			r.adopt(index)
			if err := r.Serve(t.Context(), index); err != nil {
				t.Fatal(err)
			}
			at := r.Addr(index)
			if at.String() == former {
				t.Errorf("%s again", at)
			}
			former = at.String()
			words := make(chan string, 4)
			for range 4 {
				c := dialAt(t, at)
				exchangeFrames(t, c, "hello")
				go func() {
					last, err := io.ReadAll(c)
					_ = c.Close()
					words <- fmt.Sprint(string(last), err)
				}()
			}
			exchangeFrames(t, stays, "meanwhile")
			if err := r.Retire(t.Context(), index, func() bool { return true }); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if last := await(t, words, "last words"); last != "goodbye drained<nil>" {
					t.Errorf("last words %q", last)
				}
				await(t, said, "being told")
			}
			r.Release(index)
			if c, err := net.Dial("tcp", at.String()); err == nil {
				t.Errorf("%s still accepts", at)
				_ = c.Close()
			}
			if taken, err := net.Listen("tcp", former); err == nil { // or the system may give it again
				defer taken.Close()
			}
		}
		r.until("the counters of all of them", func(s engine.Stats) bool {
			l := s.Listeners[1]
			return l.Name == "comes" && l.Accepted == 80 && l.Open == 0 && l.Closed[engine.ReasonDrained] == 80 && s.Listeners[0].Open == 1
		})
		exchangeFrames(t, stays, "after")
	})
}

// A listener that cannot be opened changes nothing, and one that was prepared in vain
// leaves its port.
func TestPrepareInVain(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{}, echo)
		if _, err := r.Prepare(engine.Listener{Name: "again", Address: r.Addrs()[0].String()}); !errors.Is(err, engine.ErrAddressInUse) {
			t.Errorf("%v", err)
		}
		for try := 1; ; try++ {
			index, err := r.Prepare(engine.Listener{Name: "vain", Address: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			at := r.Addr(index).String()
			r.Discard(index)
			l, err := net.Listen("tcp", at)
			if err == nil {
				_ = l.Close()
				break
			}
			if try == 20 { // so often it is not another's already
				t.Fatal(err)
			}
		}
		exchangeFrames(t, r.dial(), "after")
	})
}

// A connection that takes nothing keeps a listener only until its time is over.
func TestRetireInTime(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		closed := make(chan engine.Reason, 1)
		r := startLoops(t, engine.Config{Driver: driver}, engine.Listener{WriteDeadline: -1}, func() engine.Handler {
			return &funcs{
				open:   func(c *engine.Conn) { c.Send(make([]byte, 64<<20), 0) },
				closed: func(_ *engine.Conn, r engine.Reason) { closed <- r },
			}
		})
		r.dial()
		r.until("the connection", func(s engine.Stats) bool { return s.Listeners[0].Open == 1 })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := r.Retire(ctx, 0, func() bool { return true }); err != nil {
			t.Fatal(err)
		}
		if why := await(t, closed, "its end"); why != engine.ReasonDrained {
			t.Error(why)
		}
	})
}

// Limits of a listener that is served change for those who come, and deadlines for all.
func TestUpdate(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := startLoops(t, engine.Config{Driver: driver, Loops: 1}, engine.Listener{Name: "one"}, func() engine.Handler {
			return &funcs{data: frames(func(c *engine.Conn, f []byte) {
				if string(f[4:]) == "two" { // here it has not been silent for too long already
					c.Loop().Adopt(0)
				}
				c.Send(f, 0)
			})}
		})
		first := r.dial()
		exchangeFrames(t, first, "one")
		cfg := engine.Listener{Name: "one", MaxConnections: 1, CloseAfter: 50 * time.Millisecond}
		if err := r.Update(0, cfg); err != nil {
			t.Fatal(err)
		}
		second := r.dial()
		if _, err := readFrame(second); err == nil {
			t.Error("it was let in")
		}
		exchangeFrames(t, first, "two")
		if _, err := readFrame(first); !errors.Is(err, io.EOF) {
			t.Errorf("it was not closed for its silence: %v", err)
		}
		if err := r.Update(0, engine.Listener{Name: "one", Network: "udp"}); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%v", err)
		}
	})
}

// A listener of streams behind one of datagrams is served as what it is.
func TestStreamsBehindDatagrams(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := startLoops(t, engine.Config{Driver: driver}, engine.Listener{Name: "datagrams", Network: "udp", Address: "127.0.0.1:0"}, func() engine.Handler {
			h := &funcs{}
			h.data = frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })
			return h
		})
		index, err := r.Prepare(engine.Listener{Name: "streams", Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		r.adopt(index)
		if err := r.Serve(t.Context(), index); err != nil {
			t.Fatal(err)
		}
		exchangeFrames(t, dialAt(t, r.Addr(index)), "a stream")
	})
}

// A listener that moves accepts elsewhere from then on; who is connected comes again.
func TestListenerMoves(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := startLoops(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{}, func() engine.Handler {
			return &funcs{data: frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })}
		})
		first, old := r.dial(), r.Addr(0)
		exchangeFrames(t, first, "one")
		if _, err := r.PrepareMove(0, engine.Listener{Address: old.String()}); !errors.Is(err, engine.ErrAddressInUse) {
			t.Errorf("%v", err)
		}
		exchangeFrames(t, first, "two")
		vain, err := r.PrepareMove(0, engine.Listener{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		vain.Discard()
		m, err := r.PrepareMove(0, engine.Listener{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CarryOut(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(first); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		exchangeFrames(t, r.dial(), "three")
		if c, err := net.Dial("tcp", old.String()); err == nil || r.Addr(0) == old {
			t.Errorf("%s still accepts", old)
			_ = c.Close()
		}
	})
}
