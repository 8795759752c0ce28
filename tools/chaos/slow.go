package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/tools/load"
)

// What everybody is sent, and what only the slow one is sent as well, so that it
// surely lags.
const (
	fastTopic, fastRate = "fast/all", 20
	bulkTopic, bulkRate = "bulk/one", 100
	bulkSize            = 16 << 10
	slowRound           = 4 * time.Second
	fastClients         = 1000
)

// Bounds of the evidence.
const (
	slowRatio  = 1.5
	slowMemory = 64 << 20 // above what weft needs without the slow one
)

// runSlow is a subscriber that reads one byte a second beside fast ones, under a
// policy of the listener's outbox. Rounds with and without it take turns; without,
// its place has one that reads everything.
func runSlow(policy string, qos uint8) func(ctx context.Context, r *run) error {
	return func(ctx context.Context, r *run) error {
		n, err := r.single(ctx, settings{outbox: fmt.Sprintf("{size: 256KiB, when_full: %s}", policy), queue: "{messages: 1000, size: 1MiB}"})
		if err != nil {
			return err
		}
		s := &slow{run: r, node: n, qos: qos}
		fast := fastClients
		if r.quick {
			fast /= 5
		}
		return s.all(ctx, fast)
	}
}

// slow is such a run.
type slow struct {
	*run
	node  *node
	qos   uint8
	pace  atomic.Pointer[pace] // of this round
	got   atomic.Uint64        // deliveries to fast ones
	sent  atomic.Uint64        // messages for them
	count int                  // of fast ones
}

func (s *slow) all(ctx context.Context, fast int) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	background := func(work func() error) {
		all.Go(func() {
			if err := work(); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	s.pace.Store(newPace())
	for i := range fast {
		c, err := s.subscribed(ctx, fmt.Sprintf("fast-%d", i), "fast/#")
		if err != nil {
			return err
		}
		background(func() error { return s.read(c) })
	}
	s.count = fast
	produce, enough := context.WithCancel(ctx)
	defer enough()
	background(func() error { return s.publish(ctx, produce, fastTopic, fastRate, stampSize, &s.sent) })
	background(func() error { return s.publish(ctx, produce, bulkTopic, bulkRate, bulkSize, nil) })
	wait(ctx, time.Second)
	var quiet, busy times
	var still, most int64
	told := map[string]float64{}
	for range s.rounds() {
		p99, memory, _, err := s.round(ctx, false)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		quiet, still = append(quiet, p99), max(still, memory)
		p99, memory, counters, err := s.round(ctx, true)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		busy, most = append(busy, p99), max(most, memory)
		for name, n := range counters {
			told[name] += n
		}
	}
	enough()
	s.arrived(ctx)
	s.figures["p99_ms_without"], s.figures["p99_ms_with"] = quiet.median(), busy.median()
	s.figures["p99_ms_without_least"], s.figures["p99_ms_with_least"] = quiet.least(), busy.least()
	s.figures["resident_mib_without"], s.figures["resident_mib_with"] = float64(still>>20), float64(most>>20)
	s.figures["fast_clients"] = float64(fast)
	for name, n := range told {
		if n > 0 {
			s.figures[name] = n
		}
	}
	return context.Cause(ctx)
}

// arrived waits until the fast ones have been given everything, or nothing comes any
// more.
func (s *slow) arrived(ctx context.Context) {
	for last, since := uint64(0), time.Now(); ctx.Err() == nil; wait(ctx, 20*time.Millisecond) {
		got, want := s.got.Load(), s.sent.Load()*uint64(s.count)
		s.figures["fast_missing"] = float64(want) - float64(got)
		if got != last {
			last, since = got, time.Now()
		}
		if got == want || time.Since(since) > silence {
			return
		}
	}
}

// round is some seconds with a peer that reads one byte a second, or with one that
// reads everything.
func (s *slow) round(ctx context.Context, lazy bool) (p99 time.Duration, memory int64, told map[string]float64, err error) {
	words := []string{"dropped_total", "closed_total"}
	before, err := s.node.metrics(ctx, words...)
	if err != nil {
		return 0, 0, nil, err
	}
	c, err := s.subscribed(ctx, "peer", "#")
	if err != nil {
		return 0, 0, nil, err
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer c.Close()
	all.Go(func() {
		if lazy {
			sip(c)
			return
		}
		_ = s.swallow(c) // its end is ours
	})
	wait(ctx, slowRound/4) // until it lags
	s.pace.Store(newPace())
	paused := 0.0
	for begun := time.Now(); time.Since(begun) < slowRound && ctx.Err() == nil; {
		wait(ctx, 100*time.Millisecond)
		now, err := load.ProcessMemory(s.node.PID())
		if err != nil {
			return 0, 0, nil, err
		}
		memory = max(memory, now)
		gauges, err := s.node.metrics(ctx, "weft_loop_paused_connections")
		if err != nil {
			return 0, 0, nil, err
		}
		for _, n := range gauges {
			paused = max(paused, n)
		}
	}
	p99 = time.Duration(s.pace.Load().quantile(99) * float64(time.Millisecond))
	s.say("%s: p50 %.2f ms, p99 %.2f ms, max %.2f ms of %d deliveries, resident %d MiB", map[bool]string{true: "with the slow one   ", false: "without the slow one"}[lazy],
		s.pace.Load().quantile(50), s.pace.Load().quantile(99), s.pace.Load().quantile(100), s.pace.Load().count(), memory>>20)
	after, err := s.node.metrics(ctx, words...)
	for name := range after {
		after[name] -= before[name]
	}
	after["paused_connections"] = paused
	return p99, memory, after, err
}

func (s *slow) subscribed(ctx context.Context, id, filter string) (*client, error) {
	c, err := connect(ctx, s.node.mqtt, id, true)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok && id == "peer" {
		_ = tcp.SetReadBuffer(4096)
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	if err := c.subscribe(filter, s.qos, func([]byte) error { return nil }); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// sip reads one byte a second.
func sip(c *client) {
	var b [1]byte
	for {
		_ = c.SetReadDeadline(time.Time{})
		if _, err := c.Read(b[:]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// swallow reads everything and acknowledges it.
func (s *slow) swallow(c *client) error {
	return s.each(c, func(packet.Publish) {})
}

// read is a fast subscriber.
func (s *slow) read(c *client) error {
	return s.each(c, func(m packet.Publish) {
		if stamp, ok := parseStamp(m.Payload); ok {
			s.got.Add(1)
			s.pace.Load().acknowledged(time.Since(stamp.time))
		}
	})
}

func (s *slow) each(c *client, take func(packet.Publish)) error {
	var replies []byte
	for {
		b, err := c.next(time.Minute)
		for ; b != nil && err == nil; b, err = c.cut() {
			var m packet.Publish
			if packet.TypeOf(b) != packet.TypePublish {
				continue
			}
			if err := m.Decode(b, packet.V5, packet.FromServer); err != nil {
				return err
			}
			take(m)
			if m.QoS > 0 {
				replies = packet.AppendAck(replies, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V5)
			}
		}
		if err == nil {
			err = c.send(replies)
			replies = replies[:0]
		}
		if err != nil {
			return err
		}
	}
}

// publish sends at a fixed rate, whatever the answers; what is late counts from
// when it was due.
func (s *slow) publish(ctx, produce context.Context, topic string, rate float64, size int, count *atomic.Uint64) error {
	c, err := connect(ctx, s.node.mqtt, "publisher-"+topic[:4], true)
	if err != nil {
		return err
	}
	defer c.Close()
	go func() { _ = s.each(c, func(packet.Publish) {}) }() // it ends with the connection
	begun := time.Now()
	for i := uint64(1); ; i++ {
		due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait(produce, time.Until(due)); produce.Err() != nil {
			<-ctx.Done() // what it has sent may still be on the way
			return nil
		}
		m := packet.Publish{QoS: s.qos, Topic: []byte(topic), Payload: stamp{s.seed, 0, i, due}.append(nil, size)}
		if s.qos > 0 {
			m.ID = packetID(i)
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Minute)) // it may be held back
		if _, err := c.Write(packet.AppendPublish(nil, &m, packet.V5)); err != nil {
			return err
		}
		if count != nil {
			count.Add(1)
		}
	}
}

// judgeSlow holds the bounds. A machine that does other things as well moves p99 by
// more than the bound from one round to the next: both the median of the rounds and
// the one that was disturbed least must break it, and there must be several. Where
// publishers are paused for the slow one, the fast ones wait with it: their latency
// is told, not judged.
func judgeSlow(paused bool) func(r *run, v *verdict) []string {
	return func(r *run, _ *verdict) (faults []string) {
		f := r.figures
		broken := func(with, without float64) bool { return with > slowRatio*without+1 }
		if with, without := f["p99_ms_with"], f["p99_ms_without"]; !paused && r.rounds() > 2 && broken(with, without) && broken(f["p99_ms_with_least"], f["p99_ms_without_least"]) {
			faults = append(faults, fmt.Sprintf("p99 of the fast ones is %.2f ms beside a slow one and %.2f ms without: %.1f times", with, without, with/without))
		}
		if grown := f["resident_mib_with"] - f["resident_mib_without"]; grown > slowMemory>>20 {
			faults = append(faults, fmt.Sprintf("a slow one costs %.0f MiB", grown))
		}
		if n := f["fast_missing"]; n > 0 && !paused {
			faults = append(faults, fmt.Sprintf("fast ones miss %.0f deliveries", n))
		}
		for name := range f {
			if len(name) > 5 && (name[:5] == "weft_" || name == "paused_connections") {
				return faults
			}
		}
		return append(faults, "no counter tells of the slow one")
	}
}
