package engine_test

import (
	"io"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// clockStep is the resolution of the loops' clock, twice.
const clockStep = 2 * time.Millisecond

// off switches every deadline off.
func off(ln engine.Listener) engine.Listener {
	for _, d := range []*time.Duration{&ln.ReadDeadline, &ln.WriteDeadline, &ln.HeartbeatEvery, &ln.CloseAfter} {
		if *d == 0 {
			*d = -1
		}
	}
	return ln
}

// TestReadDeadline: a unit that stays partial ends its connection, even if bytes of
// it keep coming; a connection with none stays.
func TestReadDeadline(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		const deadline = 120 * time.Millisecond
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{ReadDeadline: deadline}), echo)
		quiet, slow := r.dial(), r.dial()
		exchange(t, quiet)
		exchange(t, slow)
		began := time.Now()
		_, _ = slow.Write(frame(make([]byte, 1000))[:10])
		go func() {
			ticker := time.NewTicker(deadline / 6)
			defer ticker.Stop()
			for range ticker.C {
				if _, err := slow.Write([]byte{0}); err != nil {
					return
				}
			}
		}()
		_, _ = io.ReadAll(slow)
		if took := time.Since(began); took < deadline-clockStep || took > patience {
			t.Errorf("closed after %v", took)
		}
		r.until("closed for its reason", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonReadDeadline] == 1 })
		exchange(t, quiet)
	})
}

// TestWriteDeadline: a peer that takes nothing is closed, one that takes a little
// now and then is not.
func TestWriteDeadline(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		const deadline = 150 * time.Millisecond
		opened := make(chan *engine.Conn, 1)
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{WriteDeadline: deadline, Outbox: engine.Outbox{Limit: 64 << 20}}),
			func(*engine.Loop) engine.Handler { return &funcs{open: func(c *engine.Conn) { opened <- c }} })
		stuck := r.dial()
		c := await(t, opened, "a connection")
		began := time.Now()
		r.on(0, func() { c.Send(make([]byte, 40<<20), 0) })
		r.until("closed", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonWriteDeadline] == 1 })
		if took := time.Since(began); took < deadline-clockStep {
			t.Errorf("closed after %v", took)
		}
		_ = stuck.Close()

		slow := r.dial()
		c = await(t, opened, "a connection")
		const total = 24 << 20
		r.on(0, func() { c.Send(make([]byte, total), 0) })
		ticker := time.NewTicker(deadline / 10)
		defer ticker.Stop()
		for got, buf := 0, make([]byte, 512<<10); got < total; <-ticker.C {
			n, err := io.ReadFull(slow, buf[:min(len(buf), total-got)])
			got += n
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
	})
}

// TestSilence: Idle is called again and again, then the connection ends; input
// begins the count anew.
func TestSilence(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		const every = 80 * time.Millisecond
		idle := make(chan time.Time, 100)
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{HeartbeatEvery: every, CloseAfter: 4 * every}),
			func(*engine.Loop) engine.Handler {
				return &funcs{
					data: frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) }),
					idle: func(c *engine.Conn) { idle <- time.Now(); c.Send(frame([]byte("beat")), 0) },
				}
			})
		c := r.dial()
		began := time.Now()
		for range 2 {
			if f, err := readFrame(c); err != nil || string(f) != "beat" {
				t.Fatalf("%q, %v", f, err)
			}
		}
		again := time.Now()
		_, _ = c.Write(frame([]byte("ping")))
		beats := 0
		for {
			f, err := readFrame(c)
			if err != nil {
				break
			}
			// On a busy machine a beat may have left before the ping arrived.
			switch string(f) {
			case "beat":
				beats++
			case "ping":
				beats = 0
			}
		}
		// A loop that was kept from running may have had no time for all of them.
		if took := time.Since(again); took < 4*every-clockStep || beats > 3 || beats < 3 && took < 4*every+every/2 {
			t.Errorf("closed after %v and %d heartbeats, in all %v", took, beats, time.Since(began))
		}
		r.until("closed for silence", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonSilence] == 1 })
	})
}

// TestTick: the handler is called about every 100 ms, with or without connections.
func TestTick(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		ticks := make(chan time.Time, 100)
		start(t, engine.Config{Driver: driver}, engine.Listener{},
			func(*engine.Loop) engine.Handler { return &funcs{tick: func(now time.Time) { ticks <- now }} })
		first := await(t, ticks, "a tick")
		for try := 1; ; try++ {
			var last time.Time
			for range 5 {
				last = await(t, ticks, "a tick")
			}
			took := last.Sub(first)
			if first = last; took < 450*time.Millisecond {
				t.Errorf("5 ticks took %v", took)
			}
			if took < time.Second {
				break
			}
			if try == 20 { // this long the machine cannot have been busy elsewhere
				t.Fatalf("5 ticks take %v", took)
			}
		}
	})
}
