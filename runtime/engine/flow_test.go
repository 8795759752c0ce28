package engine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/runtime/engine"
)

// relay sends what publishers say to the one consumer, the connection whose first
// frame is "consume". Frames of publishers are numbered and filled up to size.
type relay struct {
	consumer atomic.Uint64
	pressed  atomic.Int64
	hold     bool
	most     atomic.Int64 // the longest outbox seen, in bytes
	ready    chan engine.ConnID
}

func (r *relay) handler(l *engine.Loop) engine.Handler {
	return &funcs{
		data: frames(func(c *engine.Conn, f []byte) {
			if string(f[4:]) == "consume" {
				r.consumer.Store(uint64(c.ID()))
				r.ready <- c.ID()
				return
			}
			to := engine.ConnID(r.consumer.Load())
			if l.SendTo(to, f, 0) == engine.Pressed {
				r.pressed.Add(1)
				if r.hold {
					l.Hold(c.ID(), to)
				}
			}
		}),
		turn: func() {
			if c := l.Conn(engine.ConnID(r.consumer.Load())); c != nil {
				r.most.Store(max(r.most.Load(), int64(c.Queued())))
			}
		},
	}
}

const (
	flowLimit = 256 << 10
	flowUnit  = 1000
	flowUnits = 40_000 // far more than socket buffers hold
)

func numbered(i int) []byte {
	b := make([]byte, flowUnit)
	binary.BigEndian.PutUint32(b, uint32(i))
	return frame(b)
}

// flood sends all numbered frames; the error ends with the connection.
func flood(w interface{ Write([]byte) (int, error) }) error {
	var out []byte
	for i := range flowUnits {
		out = append(out, numbered(i)...)
		if len(out) > 32<<10 || i == flowUnits-1 {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

func startRelay(t *testing.T, driver string, loops int, hold bool, policy engine.Policy) (*relay, *running) {
	rl := &relay{hold: hold, ready: make(chan engine.ConnID, 1)}
	r := start(t, engine.Config{Driver: driver, Loops: loops, TurnBytes: 128 << 10},
		engine.Listener{Outbox: engine.Outbox{Limit: flowLimit, WhenFull: policy}}, rl.handler)
	return rl, r
}

// TestPauseLosesNothing floods a consumer that begins to read late: with Hold
// every frame arrives, in order, and the outbox stays within its hard bound.
func TestPauseLosesNothing(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, loops := range []int{1, 2, 3} {
			t.Run(fmt.Sprint(loops), func(t *testing.T) {
				rl, r := startRelay(t, driver, loops, true, engine.Pause)
				consumer, publisher := r.dial(), r.dial()
				_, _ = consumer.Write(frame([]byte("consume")))
				await(t, rl.ready, "the consumer")
				sent := make(chan error, 1)
				go func() { sent <- flood(publisher) }()
				r.until("a paused publisher", func(s engine.Stats) bool {
					paused := int64(0)
					for _, l := range s.Loops {
						paused += l.Paused
					}
					return paused == 1
				})
				in := buffered(consumer)
				for i := range flowUnits {
					f, err := readFrame(in)
					if err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
					if n := int(binary.BigEndian.Uint32(f)); n != i {
						t.Fatalf("frame %d came as number %d", n, i)
					}
				}
				if err := await(t, sent, "the publisher to end"); err != nil {
					t.Fatal(err)
				}
				if most := rl.most.Load(); most > engine.HardFactor*flowLimit {
					t.Errorf("the outbox held %d bytes, its limit is %d", most, flowLimit)
				}
				for _, l := range r.Stats().Loops {
					if l.Dropped != [engine.DropCount]uint64{} {
						t.Errorf("dropped: %v", l.Dropped)
					}
				}
			})
		}
	})
}

// TestPauseHardBound floods without Hold: what is beyond the hard bound is dropped
// and counted, what arrives is in order.
func TestPauseHardBound(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		rl, r := startRelay(t, driver, 1, false, engine.Pause)
		got, dropped := slowConsumer(t, rl, r, engine.DropHardLimit)
		if got+dropped != flowUnits || dropped == 0 || rl.pressed.Load() == 0 {
			t.Errorf("%d arrived and %d were dropped of %d, %d times pressed", got, dropped, flowUnits, rl.pressed.Load())
		}
		if most := rl.most.Load(); most > engine.HardFactor*flowLimit {
			t.Errorf("the outbox held %d bytes", most)
		}
	})
}

// TestDropOldest floods a consumer that does not read: the newest frames survive.
func TestDropOldest(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		rl, r := startRelay(t, driver, 1, false, engine.DropOldest)
		got, dropped := slowConsumer(t, rl, r, engine.DropOldestUnit)
		if got+dropped != flowUnits || dropped == 0 {
			t.Errorf("%d arrived and %d were dropped of %d", got, dropped, flowUnits)
		}
		if most := rl.most.Load(); most > flowLimit {
			t.Errorf("the outbox held %d bytes, its limit is %d", most, flowLimit)
		}
	})
}

// slowConsumer floods, and lets the consumer read when everything was handed over;
// it tells how many frames arrived, in order and with the last one among them, and
// how many were dropped for the reason.
func slowConsumer(t *testing.T, rl *relay, r *running, reason engine.Drop) (got, dropped int) {
	consumer, publisher := r.dial(), r.dial()
	_, _ = consumer.Write(frame([]byte("consume")))
	await(t, rl.ready, "the consumer")
	if err := flood(publisher); err != nil {
		t.Fatal(err)
	}
	total := uint64(flowUnits*(flowUnit+4) + len("consume") + 4)
	r.until("all input read", func(s engine.Stats) bool { return s.Listeners[0].BytesIn == total })
	r.on(0, func() {}) // what the last turn of them has counted is seen, all of it
	dropped = int(r.Stats().Listeners[0].Dropped[reason])
	in := buffered(consumer)
	last := -1
	for got+dropped < flowUnits {
		f, err := readFrame(in)
		if err != nil {
			t.Fatalf("after %d frames with %d dropped: %v", got, dropped, err)
		}
		n := int(binary.BigEndian.Uint32(f))
		if n <= last || !bytes.Equal(f[4:], make([]byte, flowUnit-4)) {
			t.Fatalf("frame %d after %d, or damaged", n, last)
		}
		last = n
		got++
	}
	if reason == engine.DropOldestUnit && last != flowUnits-1 {
		t.Errorf("the newest frame that arrived is %d", last)
	}
	return got, dropped
}

func TestDisconnectPolicy(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		rl, r := startRelay(t, driver, 1, false, engine.Disconnect)
		consumer, publisher := r.dial(), r.dial()
		_, _ = consumer.Write(frame([]byte("consume")))
		await(t, rl.ready, "the consumer")
		if err := flood(publisher); err != nil {
			t.Fatal(err)
		}
		r.until("the consumer closed", func(s engine.Stats) bool {
			return s.Listeners[0].Closed[engine.ReasonOutboxFull] == 1
		})
		r.until("the ledger to close", func(s engine.Stats) bool {
			d := s.Listeners[0].Dropped
			return d[engine.DropDisconnect] == 1 && d[engine.DropClosed]+s.Loops[0].Dropped[engine.DropClosed] > 0
		})
	})
}

// TestHoldEndsWhenConsumerCloses: a publisher that waits for a consumer reads on
// when that is gone.
func TestHoldEndsWhenConsumerCloses(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, loops := range []int{1, 2} {
			t.Run(fmt.Sprint(loops), func(t *testing.T) {
				rl, r := startRelay(t, driver, loops, true, engine.Pause)
				consumer, publisher := r.dial(), r.dial()
				_, _ = consumer.Write(frame([]byte("consume")))
				id := await(t, rl.ready, "the consumer")
				sent := make(chan error, 1)
				go func() { sent <- flood(publisher) }()
				r.until("a paused publisher", func(s engine.Stats) bool { return rl.pressed.Load() > 0 })
				r.on(id.Loop(), func() {})
				_ = consumer.Close()
				if err := await(t, sent, "the publisher to end"); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// TestPriority fills a consumer's outbox with low units and then sends a high one:
// it overtakes, and no unit is split.
func TestPriority(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		ready := make(chan *engine.Conn, 1)
		r := start(t, engine.Config{Driver: driver}, engine.Listener{Outbox: engine.Outbox{Limit: 64 << 20}},
			func(*engine.Loop) engine.Handler { return &funcs{open: func(c *engine.Conn) { ready <- c }} })
		client := r.dial()
		c := await(t, ready, "a connection")
		low := bytes.Repeat([]byte{1}, 100_000)
		const lows = 300
		r.on(0, func() {
			for range lows {
				c.Send(frame(low), 1)
			}
		})
		r.on(0, func() { c.Send(frame([]byte{6}), 6); c.Send(frame([]byte{7}), 7) })
		in := buffered(client)
		var order []byte
		at := -1
		for i := range lows + 2 {
			f, err := readFrame(in)
			if err != nil {
				t.Fatal(err)
			}
			if len(f) == 1 {
				order = append(order, f[0])
				at = i
			} else if !bytes.Equal(f, low) {
				t.Fatal("a low unit is damaged")
			}
		}
		if !bytes.Equal(order, []byte{7, 6}) || at > lows-50 {
			t.Errorf("the high ones came as %v, the last of them behind %d low ones of %d", order, at-1, lows)
		}
	})
}
