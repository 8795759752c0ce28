package datagram_test

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

// faults is what a network does to datagrams.
type faults struct {
	loss, duplicate, reorder float64
	delay, jitter, late      time.Duration // late: how much later a reordered one comes
}

// hostile is the network of requirement A6's test.
var hostile = faults{loss: 0.2, duplicate: 0.1, reorder: 0.2, delay: 2 * time.Millisecond, jitter: time.Millisecond, late: 10 * time.Millisecond}

// sim is two ends and the network between them under a clock of its own. Everything
// random comes from one seed.
type sim struct {
	t      testing.TB
	rng    *rand.Rand
	faults faults
	now    int64
	queue  events
	order  int

	door   *datagram.Door
	pool   *datagram.Pool
	client *end
	server *end
	config datagram.Config
	steps  int
}

// end is one of the two.
type end struct {
	sim      *sim
	name     string
	conn     *datagram.Conn
	counters datagram.Counters
	peer     func([]byte)
	got      map[uint8][]string
	onEach   func(datagram.Message)
	buf      []byte
	in, out  int  // bytes
	mute     bool // keeps nothing of what arrives
}

type event struct {
	at    int64
	order int
	run   func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

var clientAddr = netip.MustParseAddrPort("192.0.2.1:4711")

func newSim(t testing.TB, seed uint64, f faults, cfg datagram.Config) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 0)), faults: f, now: 1e9, config: cfg}
	server := cfg
	server.Settle = true
	s.door = datagram.NewDoor([40]byte{1, 2, 3, byte(seed)}, server)
	s.pool = datagram.NewPool(s.door.Config().MTU)
	s.client = &end{sim: s, name: "client", got: map[uint8][]string{}}
	s.server = &end{sim: s, name: "server", got: map[uint8][]string{}}
	s.client.peer, s.server.peer = s.toServer, s.toClient
	s.client.conn = datagram.Dial(s.now, cfg, 1+seed, s.client, &s.client.counters)
	s.server.onEach = func(m datagram.Message) { s.server.conn.Settle(m.Receipt) }
	return s
}

func (e *end) Message(m datagram.Message) {
	if e.mute {
		return
	}
	e.got[m.Channel] = append(e.got[m.Channel], string(m.Payload))
	if e.onEach != nil {
		e.onEach(m)
	}
}

// Datagram sends one over the network.
func (e *end) Datagram(b []byte) {
	e.out += len(b)
	s, f := e.sim, &e.sim.faults
	if s.rng.Float64() < f.loss {
		return
	}
	copies := 1
	if s.rng.Float64() < f.duplicate {
		copies++
	}
	for range copies {
		delay := f.delay
		if f.jitter > 0 {
			delay += time.Duration(s.rng.Int64N(int64(f.jitter)))
		}
		if s.rng.Float64() < f.reorder {
			delay += time.Duration(s.rng.Int64N(int64(f.late) + 1))
		}
		held := append([]byte(nil), b...)
		s.after(delay, func() { e.peer(held) })
	}
}

func (s *sim) after(d time.Duration, run func()) {
	s.order++
	heap.Push(&s.queue, event{s.now + int64(d), s.order, run})
}

func (s *sim) toServer(b []byte) {
	s.server.in += len(b)
	if s.server.conn == nil {
		answer, guest, ok := s.door.Ask(s.now, clientAddr, b, nil)
		if len(answer) > len(b) {
			s.t.Fatalf("%d bytes are answered with %d", len(b), len(answer))
		}
		if ok {
			s.server.conn = s.door.Accept(s.now, guest, s.pool, s.server, &s.server.counters)
			s.flush(s.server)
		} else if answer != nil {
			s.server.Datagram(answer)
		}
		return
	}
	s.receive(s.server, b)
}

func (s *sim) toClient(b []byte) {
	s.client.in += len(b)
	s.receive(s.client, b)
}

func (s *sim) receive(e *end, b []byte) {
	if err := e.conn.Receive(s.now, b); err != nil && e.conn.Err() == nil && !errors.Is(err, datagram.ErrStranger) {
		s.t.Fatalf("%s: %v", e.name, err)
	}
	s.flush(e)
}

func (s *sim) flush(e *end) {
	e.buf = e.conn.Flush(s.now, e.buf[:0], e)
}

// run goes on until done answers true; it fails when the time is over.
func (s *sim) run(most time.Duration, done func() bool) {
	s.t.Helper()
	limit := s.now + int64(most)
	s.flush(s.client)
	for !done() {
		if s.steps++; s.now > limit || s.steps > 5_000_000 {
			s.t.Fatalf("not done after %v and %d steps: client %+v err %v queued %d; server %+v", time.Duration(s.now-limit)+most, s.steps,
				s.client.counters, s.client.conn.Err(), s.client.conn.Queued(), s.server.counters)
		}
		next := int64(1 << 62)
		if len(s.queue) > 0 {
			next = s.queue[0].at
		}
		var timer *end
		for _, e := range []*end{s.client, s.server} {
			if e.conn == nil {
				continue
			}
			if at, ok := e.conn.Deadline(); ok && at < next {
				next, timer = at, e
			}
		}
		if next == 1<<62 {
			s.t.Fatalf("nothing will ever happen: client %+v %v %d; server %+v", s.client.counters, s.client.conn.Err(), s.client.conn.Queued(), s.server.counters)
		}
		s.now = max(s.now, next)
		if timer != nil {
			_ = timer.conn.Expire(s.now)
			s.flush(timer)
			continue
		}
		ev := heap.Pop(&s.queue).(event)
		ev.run()
	}
}

// both opens the connection.
func (s *sim) open() {
	s.t.Helper()
	s.run(time.Minute, func() bool { return s.client.conn.Established() })
}

// text is the n-th message of a channel, of a length of its own.
func text(channel uint8, n, most int) string {
	size := 8 + (n*7919+int(channel))%max(most, 1)
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n + i)
	}
	binary.BigEndian.PutUint32(b, uint32(n))
	b[4] = channel
	return string(b)
}

func checkOrder(t testing.TB, who string, got map[uint8][]string, channels, count, most int) {
	t.Helper()
	for ch := range channels {
		list := got[uint8(ch)]
		if len(list) != count {
			t.Fatalf("%s: channel %d: %d messages, expected %d", who, ch, len(list), count)
		}
		for n, g := range list {
			if g != text(uint8(ch), n, most) {
				t.Fatalf("%s: channel %d: message %d is another one: %d", who, ch, n, binary.BigEndian.Uint32([]byte(g)))
			}
		}
	}
}

// pump sends count messages on each of some channels from one end, as its queue takes
// them, and calls itself again until all are out.
func (s *sim) pump(e *end, channels, count, most int, kind datagram.Kind) {
	sent := make([]int, channels)
	var step func()
	step = func() {
		open := false
		for ch := range channels {
			for sent[ch] < count {
				err := e.conn.Send(datagram.Message{Channel: uint8(ch), Kind: kind, Payload: []byte(text(uint8(ch), sent[ch], most))})
				if errors.Is(err, datagram.ErrFull) {
					break
				}
				if err != nil {
					s.t.Fatal(err)
				}
				sent[ch]++
			}
			open = open || sent[ch] < count
		}
		s.flush(e)
		if open {
			s.after(time.Millisecond, step)
		}
	}
	step()
}

func TestHostileNetwork(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed, hostile, datagram.Config{WindowBytes: 64 << 10, Window: 512})
			s.open()
			const channels, count, most = 4, 300, 900
			s.pump(s.client, channels, count, most, datagram.Event)
			s.pump(s.server, channels, count, most, datagram.Event)
			total := func(e *end) (n int) {
				for _, l := range e.got {
					n += len(l)
				}
				return n
			}
			s.run(5*time.Minute, func() bool {
				return total(s.client) >= channels*count && total(s.server) >= channels*count && s.client.conn.Queued() == 0 && s.server.conn.Queued() == 0
			})
			checkOrder(t, "client", s.client.got, channels, count, most)
			checkOrder(t, "server", s.server.got, channels, count, most)
			if seed == 0 {
				t.Logf("%v of virtual time, rtt %v, client %+v", time.Duration(s.now-1e9), s.client.conn.RTT(), s.client.counters)
			}
		})
	}
}
