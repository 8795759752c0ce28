package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// TestHalfClose: a client that sends, shuts its side and reads gets its answer
// and then the end.
func TestHalfClose(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver}, engine.Listener{}, echo)
		for range 50 {
			c := r.dial()
			big := make([]byte, 1<<20)
			go func() {
				_, _ = c.Write(frame(big))
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			all, err := io.ReadAll(c)
			if err != nil || len(all) != len(big)+4 {
				t.Fatalf("%d bytes, %v", len(all), err)
			}
		}
		r.until("all closed", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonPeerClosed] == 50 })
	})
}

// TestLinger: with Linger an answer may come later than the peer's half-close.
func TestLinger(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		seen := make(chan *engine.Conn, 1)
		r := start(t, engine.Config{Driver: driver}, engine.Listener{Linger: time.Minute}, func(l *engine.Loop) engine.Handler {
			return &funcs{data: func(c *engine.Conn, b []byte) (int, int) { seen <- c; return len(b), 0 }}
		})
		client := r.dial()
		_, _ = client.Write([]byte("question"))
		_ = client.(*net.TCPConn).CloseWrite()
		c := await(t, seen, "the question")
		half := false
		for end := time.Now().Add(patience); !half && time.Now().Before(end); {
			r.on(0, func() { half = c.HalfClosed() })
		}
		r.on(0, func() {
			if c.Send([]byte("answer"), 0) != engine.Accepted {
				t.Error("the answer was not accepted")
			}
			c.CloseAfterFlush(engine.ReasonOperator)
		})
		if all, err := io.ReadAll(client); err != nil || string(all) != "answer" {
			t.Fatalf("%q, %v", all, err)
		}
	})
}

// TestCloseAfterFlush: a refusal arrives although the client's input was not read.
func TestCloseAfterFlush(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		closed := make(chan engine.Reason, 1)
		answer := strings.Repeat("no", 2_000_000)
		r := start(t, engine.Config{Driver: driver}, engine.Listener{Outbox: engine.Outbox{Limit: 8 << 20}}, func(l *engine.Loop) engine.Handler {
			return &funcs{
				data: func(c *engine.Conn, b []byte) (int, int) {
					c.Send([]byte(answer), 0)
					c.CloseAfterFlush(engine.ReasonProtocol)
					if c.Send([]byte("more"), 0) != engine.Closed {
						t.Error("Send after CloseAfterFlush was accepted")
					}
					return len(b), 0
				},
				closed: func(_ *engine.Conn, r engine.Reason) { closed <- r },
			}
		})
		client := r.dial()
		go func() {
			junk := make([]byte, 64<<10)
			for range 20 {
				if _, err := client.Write(junk); err != nil {
					return
				}
			}
		}()
		if all, err := io.ReadAll(client); err != nil || len(all) != len(answer) {
			t.Fatalf("%d bytes of %d, %v", len(all), len(answer), err)
		}
		_ = client.Close()
		if reason := await(t, closed, "Closed"); reason != engine.ReasonProtocol {
			t.Errorf("closed for %v", reason)
		}
	})
}

// TestReset breaks connections in the middle of a frame.
func TestReset(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver}, engine.Listener{}, echo)
		for range 20 {
			c := r.dial()
			_, _ = c.Write(frame(make([]byte, 1000))[:500])
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
		r.until("all reset", func(s engine.Stats) bool {
			ls := s.Listeners[0]
			return ls.Accepted >= 1 && ls.Open == 0 && ls.Accepted == ls.Closed[engine.ReasonReset]
		})
		c := r.dial()
		_, _ = c.Write(frame([]byte("still here")))
		if f, err := readFrame(c); err != nil || string(f) != "still here" {
			t.Fatalf("%q, %v", f, err)
		}
	})
}

func TestPanics(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var log strings.Builder
		failed := make(chan any, 1)
		boom := false
		h := &recovering{failed: failed}
		r := start(t, engine.Config{Driver: driver, Logger: slog.New(slog.NewTextHandler(&log, nil))}, engine.Listener{}, func(l *engine.Loop) engine.Handler {
			h.funcs = funcs{
				data: frames(func(c *engine.Conn, f []byte) {
					switch string(f[4:]) {
					case "data":
						panic("data went wrong")
					case "turn":
						boom = true
					default:
						c.Send(f, 0)
					}
				}),
				turn: func() {
					if boom {
						boom = false
						panic("turn went wrong")
					}
				},
			}
			return h
		})
		good, bad := r.dial(), r.dial()
		_, _ = bad.Write(frame([]byte("data")))
		if _, err := io.ReadAll(bad); err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
			t.Fatal(err)
		}
		_, _ = good.Write(frame([]byte("turn")))
		if p := await(t, failed, "TurnFailed"); p != "turn went wrong" {
			t.Errorf("TurnFailed(%v)", p)
		}
		_, _ = good.Write(frame([]byte("hello")))
		if f, err := readFrame(good); err != nil || string(f) != "hello" {
			t.Fatalf("%q, %v", f, err)
		}
		r.until("two panics", func(s engine.Stats) bool {
			return s.Loops[0].Panics == 2 && s.Listeners[0].Closed[engine.ReasonPanic] == 1
		})
		r.end()
		if out := log.String(); !strings.Contains(out, "data went wrong") || !strings.Contains(out, "life_test.go") {
			t.Errorf("the log does not name the panic and its place:\n%s", out)
		}
	})
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset") }

type recovering struct {
	funcs
	failed chan any
}

func (r *recovering) TurnFailed(p any) { r.failed <- p }

// TestDrain: what was sent before the drain is answered, the rest of the process
// sees connections close in good order.
func TestDrain(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for range 10 {
			r := start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{Outbox: engine.Outbox{Limit: 32 << 20}}, echo)
			const clients, units, size = 10, 50, 20_000
			conns := make([]net.Conn, clients)
			for i := range conns {
				conns[i] = r.dial()
				for range units {
					_, _ = conns[i].Write(frame(make([]byte, size)))
				}
			}
			total := uint64(clients * units * (size + 4))
			r.until("all input read", func(s engine.Stats) bool { return s.Listeners[0].BytesIn == total })
			drained := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				drained <- r.Drain(ctx)
			}()
			for i, c := range conns {
				all, err := io.ReadAll(c)
				if err != nil || len(all) != units*(size+4) {
					t.Fatalf("connection %d: %d bytes, %v", i, len(all), err)
				}
			}
			if err := await(t, drained, "Drain"); err != nil {
				t.Fatal(err)
			}
			if s := r.Stats().Listeners[0]; s.Closed[engine.ReasonDrained] != clients || s.Open != 0 {
				t.Fatalf("closed %v, open %d", s.Closed, s.Open)
			}
			if _, err := net.Dial("tcp", r.Addrs()[0].String()); err == nil {
				t.Fatal("still listening")
			}
			if err := r.Do(0, func() {}); !errors.Is(err, engine.ErrStopped) {
				t.Fatal(err)
			}
		}
	})
}

// TestDrainIsBounded: a peer that does not read does not keep the engine.
func TestDrainIsBounded(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		rl, r := startRelay(t, driver, 1, false, engine.Pause)
		consumer, publisher := r.dial(), r.dial()
		_, _ = consumer.Write(frame([]byte("consume")))
		await(t, rl.ready, "the consumer")
		if err := flood(publisher); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := r.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Drain: %v", err)
		}
	})
}

// TestPender: a drain waits for a handler that has something pending.
func TestPender(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		h := &pending{}
		h.pending = true
		r := start(t, engine.Config{Driver: driver}, engine.Listener{}, func(*engine.Loop) engine.Handler { return h })
		asked := make(chan struct{})
		h.asked = asked
		drained := make(chan error, 1)
		go func() { drained <- r.Drain(context.Background()) }()
		await(t, asked, "the handler to be asked")
		select {
		case <-drained:
			t.Fatal("drained while something was pending")
		default:
		}
		r.on(0, func() { h.pending = false })
		if err := await(t, drained, "Drain"); err != nil {
			t.Fatal(err)
		}
	})
}

type pending struct {
	funcs
	pending bool
	asked   chan struct{}
}

func (p *pending) Pending() bool {
	if p.asked != nil {
		close(p.asked)
		p.asked = nil
	}
	return p.pending
}

func TestAddressInUse(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, loops := range []int{1, 2} {
			r := start(t, engine.Config{Driver: driver, Loops: loops}, engine.Listener{}, echo)
			at := r.Addrs()[0].String()
			_, err := engine.New(engine.Config{Driver: driver, Loops: loops}, []engine.Listener{{Name: "second", Address: at}},
				func(l *engine.Loop) (engine.Handler, error) { return echo(l), nil })
			if !errors.Is(err, engine.ErrAddressInUse) || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), "second") {
				t.Errorf("%d loops: %v", loops, err)
			}
		}
	})
}

func TestBadConfig(t *testing.T) {
	newHandler := func(l *engine.Loop) (engine.Handler, error) { return echo(l), nil }
	for name, cfg := range map[string]engine.Config{
		"loops": {Loops: 65}, "driver": {Driver: "kqueue"}, "read size": {ReadSize: 1}, "turn": {TurnBytes: 5}, "limit": {MaxConnections: -1},
	} {
		if _, err := engine.New(cfg, nil, newHandler); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, ln := range map[string]engine.Listener{
		"unit": {MaxUnit: -1}, "outbox": {Outbox: engine.Outbox{Limit: 1 << 40}}, "policy": {Outbox: engine.Outbox{WhenFull: 9}},
	} {
		ln.Address = "127.0.0.1:0"
		if _, err := engine.New(engine.Config{}, []engine.Listener{ln}, newHandler); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := errors.New("no handler")
	_, err := engine.New(engine.Config{}, []engine.Listener{{Address: "127.0.0.1:0"}}, func(*engine.Loop) (engine.Handler, error) { return nil, wrong })
	if !errors.Is(err, wrong) {
		t.Error(err)
	}
	if _, err := engine.New(engine.Config{}, []engine.Listener{{Address: "nowhere:x"}}, newHandler); err == nil {
		t.Error("a bad address was accepted")
	}
}
