package engine_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// TestConnectionLimits: what is over a limit is closed at once and counted; a
// place that is given back can be taken again.
func TestConnectionLimits(t *testing.T) {
	cases := map[engine.Refusal]struct {
		cfg engine.Config
		ln  engine.Listener
	}{
		engine.RefusedTotal:    {cfg: engine.Config{MaxConnections: 3}},
		engine.RefusedListener: {ln: engine.Listener{MaxConnections: 3}},
		engine.RefusedSource:   {ln: engine.Listener{MaxPerSource: 3}},
	}
	drivers(t, func(t *testing.T, driver string) {
		for why, tc := range cases {
			t.Run(why.String(), func(t *testing.T) {
				tc.cfg.Driver = driver
				r := start(t, tc.cfg, tc.ln, echo)
				var in []net.Conn
				for range 3 {
					c := r.dial()
					exchange(t, c)
					in = append(in, c)
				}
				if _, err := io.ReadAll(r.dial()); err != nil && !isReset(err) {
					t.Fatal(err)
				}
				r.until("a refusal", func(s engine.Stats) bool { return s.Listeners[0].Refused[why] == 1 })
				_ = in[0].Close()
				r.until("a free place", func(s engine.Stats) bool { return s.Listeners[0].Open == 2 })
				exchange(t, r.dial())
			})
		}
	})
}

func TestPerSourceOfEngine(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver, MaxPerSource: 1}, engine.Listener{}, echo)
		exchange(t, r.dial())
		_, _ = io.ReadAll(r.dial())
		other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		c, err := other.Dial("tcp", r.Addrs()[0].String())
		if err != nil {
			t.Skip("no second loopback address:", err)
		}
		defer c.Close()
		exchange(t, c)
		r.until("one refusal", func(s engine.Stats) bool { return s.Listeners[0].Refused[engine.RefusedSource] == 1 })
	})
}

func exchange(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := c.Write(frame([]byte("ping"))); err != nil {
		t.Fatal(err)
	}
	if f, err := readFrame(c); err != nil || string(f) != "ping" {
		t.Fatalf("%q, %v", f, err)
	}
}

// TestUnitTooLong: by its announced length, and by its length so far.
func TestUnitTooLong(t *testing.T) {
	line := func(*engine.Loop) engine.Handler {
		return &funcs{data: func(_ *engine.Conn, b []byte) (int, int) { return strings.LastIndexByte(string(b), '\n') + 1, 0 }}
	}
	drivers(t, func(t *testing.T, driver string) {
		for name, tc := range map[string]struct {
			handler func(*engine.Loop) engine.Handler
			input   []byte
		}{
			"announced": {echo, []byte{0, 1, 0, 0}},
			"endless":   {line, make([]byte, 40_000)},
		} {
			t.Run(name, func(t *testing.T) {
				r := start(t, engine.Config{Driver: driver}, engine.Listener{MaxUnit: 32 << 10}, tc.handler)
				c := r.dial()
				_, _ = c.Write(tc.input)
				_, _ = io.ReadAll(c)
				r.until("closed", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonUnitTooLong] == 1 })
			})
		}
	})
}

// TestAcceptStorm connects 2,000 clients at once, each of which gets its answer.
func TestAcceptStorm(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{}, echo)
		const storm = 2000
		var clients sync.WaitGroup
		gate := make(chan struct{}, 500)
		errs := make(chan error, storm)
		hold := make(chan struct{})
		for range storm {
			clients.Go(func() {
				gate <- struct{}{}
				c, err := net.Dial("tcp", r.Addrs()[0].String())
				<-gate
				if err != nil {
					errs <- err
					return
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = c.Write(frame([]byte("storm")))
				_, err = readFrame(c)
				errs <- err
				<-hold
			})
		}
		for range storm {
			if err := await(t, errs, "a client"); err != nil {
				t.Error(err)
			}
		}
		if open := r.Stats().Listeners[0].Open; open != storm {
			t.Errorf("%d open", open)
		}
		close(hold)
		clients.Wait()
		r.until("all closed", func(s engine.Stats) bool { return s.Listeners[0].Open == 0 })
	})
}

// TestNoDescriptors runs an engine in a process with few descriptors: connections
// beyond them are refused and counted, the loop does not spin, and when some are
// closed others come in.
func TestNoDescriptors(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		p := startProcess(t, driver, 1, 48)
		in, out := fillUp(t, p.address)
		if len(in) < 10 || out == 0 {
			t.Fatalf("%d connections came in, %d were refused", len(in), out)
		}
		p.report(0)
		refused, cpu, _ := p.report(time.Second)
		if refused == 0 || cpu > 500*time.Millisecond {
			t.Errorf("%d refused, %v of CPU within a second", refused, cpu)
		}
		for _, c := range in {
			_ = c.Close()
		}
		for end := time.Now().Add(patience); ; {
			if c, err := tryExchange(p.address); err == nil {
				_ = c.Close()
				return
			}
			if time.Now().After(end) {
				t.Fatal("nobody comes in although descriptors are free")
			}
		}
	})
}

// fillUp connects until 30 clients get no answer; in are those that did.
func fillUp(t *testing.T, address string) (in []net.Conn, out int) {
	for range 120 {
		c, err := tryExchange(address)
		if err == nil {
			in = append(in, c)
			t.Cleanup(func() { _ = c.Close() })
		} else if out++; out == 30 {
			break
		}
	}
	return in, out
}

func tryExchange(address string) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(150 * time.Millisecond))
	if _, err = c.Write(frame([]byte("ping"))); err == nil {
		_, err = readFrame(c)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, c.SetDeadline(time.Time{})
}
