package engine_test

import (
	"io"
	"math/bits"
	"net"
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

// TestClock: a loop that has slept reads its clock before it serves what woke it, so
// that deadlines do not count the sleep.
func TestClock(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var heard time.Time
		r := start(t, engine.Config{Driver: driver}, engine.Listener{}, func(l *engine.Loop) engine.Handler {
			return &funcs{data: frames(func(c *engine.Conn, f []byte) { heard = l.Now(); c.Send(f, 0) })}
		})
		c := r.dial()
		const tries = 10
		old := 0 // how often the clock was older than what came
		for range tries {
			time.Sleep(20 * time.Millisecond) // so does the loop
			began := time.Now()
			exchange(t, c)
			r.on(0, func() {
				if heard.Before(began) {
					old++
				}
			})
		}
		if old > tries/2 { // so often it cannot have paused between its clock and its work
			t.Errorf("%d times of %d", old, tries)
		}
	})
}

// TestReadDeadline: a unit that stays partial ends its connection, even if bytes of
// it keep coming; a connection with none stays.
func TestReadDeadline(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		const deadline = 120 * time.Millisecond
		units := frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })
		var began time.Time // of the partial unit, by the loop's clock
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{ReadDeadline: deadline}), func(l *engine.Loop) engine.Handler {
			return &funcs{data: func(c *engine.Conn, b []byte) (consumed, need int) {
				if consumed, need = units(c, b); consumed < len(b) && began.IsZero() {
					began = l.Now()
				}
				return consumed, need
			}}
		})
		quiet, slow := r.dial(), r.dial()
		exchange(t, quiet)
		exchange(t, slow)
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
		ended := time.Now()
		var took time.Duration
		r.on(0, func() { took = ended.Sub(began) })
		if took < deadline-clockStep || took > patience {
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
		const deadline = 750 * time.Millisecond // longer than reader, loop or writer is kept from running
		opened := make(chan *engine.Conn, 1)
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{WriteDeadline: deadline, Outbox: engine.Outbox{Limit: 64 << 20}}),
			func(*engine.Loop) engine.Handler { return &funcs{open: func(c *engine.Conn) { opened <- c }} })
		stuck := r.dial()
		c := await(t, opened, "a connection")
		var began time.Time // by the loop's clock
		r.on(0, func() { began = c.Loop().Now(); c.Send(make([]byte, 40<<20), 0) })
		r.until("closed", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonWriteDeadline] == 1 })
		if took := time.Since(began); took < deadline-clockStep {
			t.Errorf("closed after %v", took)
		}
		_ = stuck.Close()

		slow := r.dial()
		_ = slow.(*net.TCPConn).SetReadBuffer(1 << 20) // or the kernel takes most of it at once
		c = await(t, opened, "a connection")
		const total = 40 << 20
		r.on(0, func() { c.Send(make([]byte, total), 0) })
		ticker := time.NewTicker(deadline / 20)
		defer ticker.Stop()
		began = time.Now()
		for got, buf := 0, make([]byte, 512<<10); got < total; <-ticker.C {
			n, err := io.ReadFull(slow, buf[:min(len(buf), total-got)])
			got += n
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
		if took := time.Since(began); took < 2*deadline {
			t.Fatalf("it was read within %v", took)
		}
	})
}

// TestSilence: Idle is called again and again, then the connection ends; input
// begins the count anew.
func TestSilence(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		const every = 120 * time.Millisecond
		var heard time.Time // the ping, by the loop's clock
		var beats int       // calls of Idle since
		var turns uint      // bit i: the loop had a turn for beat i, well before the next one
		r := start(t, engine.Config{Driver: driver}, off(engine.Listener{HeartbeatEvery: every, CloseAfter: 4 * every}),
			func(l *engine.Loop) engine.Handler {
				return &funcs{
					data: frames(func(c *engine.Conn, f []byte) { heard, beats, turns = l.Now(), 0, 0; c.Send(f, 0) }),
					idle: func(c *engine.Conn) { beats++; c.Send(frame([]byte("beat")), 0) },
					turn: func() {
						if since := l.Now().Sub(heard); since%every > every/4 && since%every < every-clockStep {
							turns |= 1 << (since / every)
						}
					},
				}
			})
		for try := 1; ; try++ {
			c := r.dial()
			seen, answered := 0, false
			for {
				f, err := readFrame(c)
				if err != nil {
					break
				}
				if string(f) == "ping" {
					answered = true
				} else if seen++; seen == 2 {
					_, _ = c.Write(frame([]byte("ping")))
				}
			}
			ended := time.Now()
			r.until("closed for silence", func(s engine.Stats) bool { return s.Listeners[0].Closed[engine.ReasonSilence] == uint64(try) })
			var took time.Duration
			var called, least int
			r.on(0, func() { took, called, least = ended.Sub(heard), beats, bits.OnesCount(turns&0b1110) })
			if answered && (took < 4*every-clockStep || called > 3 || called < least) {
				t.Fatalf("closed after %v and %d heartbeats, %d at least", took, called, least)
			}
			if answered && least == 3 {
				break
			}
			if try == 20 { // this long the machine cannot have been busy elsewhere
				t.Fatalf("%d heartbeats; a ping is answered: %v; there is time for %d", seen, answered, least)
			}
		}
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
