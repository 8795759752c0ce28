package engine_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// funcs is a handler of functions; what is nil does nothing. The default Data
// consumes everything.
type funcs struct {
	open   func(*engine.Conn)
	data   func(*engine.Conn, []byte) (int, int)
	turn   func()
	closed func(*engine.Conn, engine.Reason)
	idle   func(*engine.Conn)
	tick   func(time.Time)
}

func (f *funcs) Open(c *engine.Conn) {
	if f.open != nil {
		f.open(c)
	}
}

func (f *funcs) Data(c *engine.Conn, b []byte) (int, int) {
	if f.data == nil {
		return len(b), 0
	}
	return f.data(c, b)
}

func (f *funcs) Turn() {
	if f.turn != nil {
		f.turn()
	}
}

func (f *funcs) Closed(c *engine.Conn, r engine.Reason) {
	if f.closed != nil {
		f.closed(c, r)
	}
}

func (f *funcs) Idle(c *engine.Conn) {
	if f.idle != nil {
		f.idle(c)
	}
}

func (f *funcs) Tick(now time.Time) {
	if f.tick != nil {
		f.tick(now)
	}
}

// drivers runs a test on every driver of this system.
func drivers(t *testing.T, test func(t *testing.T, driver string)) {
	all := []string{"net"}
	if runtime.GOOS == "linux" {
		all = append(all, "epoll")
	}
	for _, driver := range all {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// running is an engine under test.
type running struct {
	*engine.Engine
	t    testing.TB
	done chan error
	stop context.CancelFunc
}

// start runs an engine that the test's end stops. Address and logger are set here.
func start(t testing.TB, cfg engine.Config, ln engine.Listener, newHandler func(l *engine.Loop) engine.Handler) *running {
	t.Helper()
	ln.Name, ln.Address = "test", "127.0.0.1:0"
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	e, err := engine.New(cfg, []engine.Listener{ln}, func(l *engine.Loop) (engine.Handler, error) { return newHandler(l), nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, t: t, done: make(chan error, 1), stop: cancel}
	go func() { r.done <- e.Run(ctx) }()
	t.Cleanup(r.end)
	r.on(0, func() {}) // it runs
	return r
}

// end stops the engine and waits for it.
func (r *running) end() {
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
		r.done <- nil
	case <-time.After(patience):
		r.t.Error("the engine does not stop")
	}
}

func (r *running) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addrs()[0].String())
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// on runs fn on a loop and waits for it.
func (r *running) on(loop int, fn func()) {
	r.t.Helper()
	done := make(chan struct{})
	if err := r.Do(loop, func() { fn(); close(done) }); err != nil {
		r.t.Fatal(err)
	}
	await(r.t, done, "a function on the loop")
}

// until waits for a condition on the statistics.
func (r *running) until(what string, ok func(engine.Stats) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Stats()); {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s\n%+v", what, r.Stats())
		}
		r.on(0, func() {}) // a turn
	}
}

func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// frames cuts frames of a 4-byte length and that many bytes, and calls each with
// the whole frame.
func frames(each func(c *engine.Conn, frame []byte)) func(*engine.Conn, []byte) (int, int) {
	return func(c *engine.Conn, b []byte) (int, int) {
		done := 0
		for {
			rest := b[done:]
			if len(rest) < 4 {
				return done, 0
			}
			n := 4 + int(binary.BigEndian.Uint32(rest))
			if len(rest) < n {
				return done, n
			}
			each(c, rest[:n])
			done += n
		}
	}
}

func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// echo sends every frame back.
func echo(*engine.Loop) engine.Handler {
	return &funcs{data: frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })}
}

func buffered(c net.Conn) *bufio.Reader { return bufio.NewReaderSize(c, 64<<10) }
