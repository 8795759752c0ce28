package datagram_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

var calm = faults{delay: time.Millisecond}

// TestChannelsDoNotWait: a channel whose record is lost holds up no other.
func TestChannelsDoNotWait(t *testing.T) {
	s := newSim(t, 1, calm, datagram.Config{})
	s.open()
	lose := func(e *end, channel uint8, text string) {
		s.faults.loss = 1
		_ = e.conn.Send(datagram.Message{Channel: channel, Kind: datagram.Event, Payload: []byte(text)})
		s.flush(e)
		s.faults.loss = 0
	}
	lose(s.client, 1, "lost")
	_ = s.client.conn.Send(datagram.Message{Channel: 2, Kind: datagram.Event, Payload: []byte("there")})
	_ = s.client.conn.Send(datagram.Message{Channel: 1, Kind: datagram.Event, Payload: []byte("behind")})
	s.run(time.Second, func() bool { return len(s.server.got[2]) == 1 })
	if len(s.server.got[1]) != 0 {
		t.Fatal("a message came before the one before it")
	}
	s.run(time.Second, func() bool { return len(s.server.got[1]) == 2 })
	if s.server.got[1][0] != "lost" || s.server.got[1][1] != "behind" {
		t.Fatal(s.server.got[1])
	}
}

// TestLongMessages are cut and put together, under all faults.
func TestLongMessages(t *testing.T) {
	s := newSim(t, 5, hostile, datagram.Config{})
	s.open()
	const channels, count, most = 3, 20, 60_000
	s.pump(s.client, channels, count, most, datagram.Event)
	s.run(time.Minute, func() bool {
		return len(s.server.got[0])+len(s.server.got[1])+len(s.server.got[2]) == channels*count && s.client.conn.Queued() == 0
	})
	checkOrder(t, "server", s.server.got, channels, count, most)
}

// TestNothingIsAcknowledgedUnsettled: what was handed over and not settled is not sent
// again, and not acknowledged.
func TestNothingIsAcknowledgedUnsettled(t *testing.T) {
	s := newSim(t, 2, calm, datagram.Config{})
	var receipts []uint32
	s.server.onEach = func(m datagram.Message) { receipts = append(receipts, m.Receipt) }
	s.open()
	for range 5 {
		_ = s.client.conn.Send(datagram.Message{Kind: datagram.Event, Payload: make([]byte, 1000)})
	}
	s.run(time.Second, func() bool { return len(receipts) == 5 })
	end := s.now + int64(3*time.Second)
	s.run(5*time.Second, func() bool { return s.now > end })
	if s.client.conn.Queued() == 0 {
		t.Fatal("acknowledged before it was settled")
	}
	if n := s.client.counters.Retransmitted; n > 1 { // a probe may come first
		t.Errorf("%d packets were sent again that had arrived", n)
	}
	for _, i := range []int{3, 1, 4, 2} {
		s.server.conn.Settle(receipts[i])
	}
	s.flush(s.server)
	end = s.now + int64(time.Second)
	s.run(5*time.Second, func() bool { return s.now > end })
	if s.client.conn.Queued() == 0 {
		t.Fatal("acknowledged while the first is not settled")
	}
	s.server.conn.Settle(receipts[0])
	s.flush(s.server)
	s.run(time.Second, func() bool { return s.client.conn.Queued() == 0 })
}

// TestPause: what a paused receiver holds is bounded; everything arrives after it goes
// on, even if its word about that is lost.
func TestPause(t *testing.T) {
	cfg := datagram.Config{WindowBytes: 32 << 10, Window: 64, QueueBytes: 10 << 20}
	s := newSim(t, 3, calm, cfg)
	s.open()
	s.server.conn.Pause()
	const count = 500
	s.pump(s.client, 1, count, 900, datagram.Event)
	end := s.now + int64(20*time.Second) // longer than GiveUp
	s.run(time.Minute, func() bool { return s.now > end })
	if err := s.client.conn.Err(); err != nil || len(s.server.got[0]) != 0 {
		t.Fatal(err, len(s.server.got[0]))
	}
	s.faults.loss = 1
	if err := s.server.conn.Resume(); err != nil {
		t.Fatal(err)
	}
	s.flush(s.server)
	s.faults.loss = 0
	s.run(time.Minute, func() bool { return len(s.server.got[0]) == count && s.client.conn.Queued() == 0 })
	checkOrder(t, "server", s.server.got, 1, count, 900)
}

// TestServerRestart: a client learns that the server has forgotten it.
func TestServerRestart(t *testing.T) {
	s := newSim(t, 4, calm, datagram.Config{})
	s.open()
	s.server.conn = nil
	s.door = datagram.NewDoor([40]byte{9}, datagram.Config{Settle: true})
	_ = s.client.conn.Send(datagram.Message{Kind: datagram.Event, Payload: []byte("?")})
	s.run(10*time.Second, func() bool { return s.client.conn.Err() != nil })
	if err := s.client.conn.Err(); !errors.Is(err, datagram.ErrRestarted) {
		t.Fatal(err)
	}
}

// TestGoodbye is heard though it is lost at first, and ends both sides.
func TestGoodbye(t *testing.T) {
	s := newSim(t, 6, calm, datagram.Config{})
	s.open()
	s.client.conn.Close()
	s.faults.loss = 1
	s.flush(s.client)
	s.faults.loss = 0
	s.run(5*time.Second, func() bool { return s.client.conn.Gone() })
	if err := s.server.conn.Err(); !errors.Is(err, datagram.ErrGoodbye) {
		t.Fatal(err)
	}
	if err := s.client.conn.Send(datagram.Message{}); !errors.Is(err, datagram.ErrClosed) {
		t.Fatal(err)
	}
}

// TestSilence: a peer that is gone is given up.
func TestSilence(t *testing.T) {
	s := newSim(t, 7, calm, datagram.Config{GiveUp: 3 * time.Second})
	s.open()
	s.faults.loss = 1
	_ = s.client.conn.Send(datagram.Message{Kind: datagram.Event, Payload: []byte("?")})
	begin := s.now
	s.run(10*time.Second, func() bool { return s.client.conn.Err() != nil })
	if took := time.Duration(s.now - begin); !errors.Is(s.client.conn.Err(), datagram.ErrSilent) || took > 4*time.Second {
		t.Fatal(s.client.conn.Err(), took)
	}
	if s.client.counters.Lost != 1 {
		t.Errorf("%d records are counted as not acknowledged", s.client.counters.Lost)
	}
}

// TestDropOldest: what was never sent may be dropped, and the rest still arrives.
func TestDropOldest(t *testing.T) {
	s := newSim(t, 8, calm, datagram.Config{QueueBytes: 1 << 20})
	s.open()
	for i := range 400 {
		_ = s.client.conn.Send(datagram.Message{Kind: datagram.Event, Payload: []byte(text(0, i, 900))})
	}
	s.flush(s.client) // as much as the window takes
	dropped := 0
	for range 50 {
		n, _ := s.client.conn.DropOldest(0)
		dropped += n
	}
	if dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	s.run(10*time.Second, func() bool { return s.client.conn.Queued() == 0 })
	if len(s.server.got[0]) != 400-dropped || s.server.got[0][399-dropped] != text(0, 399, 900) {
		t.Fatalf("%d arrived, %d dropped", len(s.server.got[0]), dropped)
	}
}

// TestDoor: cookies are good for one address, one connection and a while.
func TestDoor(t *testing.T) {
	door := datagram.NewDoor([40]byte{1}, datagram.Config{})
	hello := func(seq uint32) []byte { return binary.BigEndian.AppendUint32(nil, seq) }
	plain := func(now int64, from netip.AddrPort, seq uint32) (uint32, bool) {
		answer, _, ok := door.Ask(now, from, append(hello(seq), 0, 0, 0, 0), nil)
		if len(answer) > 8 {
			t.Fatal("the answer is longer than the question")
		}
		if len(answer) == 0 {
			return 0, ok
		}
		return binary.BigEndian.Uint32(answer), ok
	}
	other := netip.MustParseAddrPort("192.0.2.1:4712")
	cookie, _ := plain(0, clientAddr, 0)
	if _, ok := plain(1, clientAddr, cookie); !ok {
		t.Error("the cookie is not good")
	}
	if _, ok := plain(1, other, cookie); ok {
		t.Error("the cookie is good for another port")
	}
	if _, ok := plain(16e9+1, clientAddr, cookie); !ok {
		t.Error("the cookie is not good for 16 seconds")
	}
	if _, ok := plain(32e9+1, clientAddr, cookie); ok {
		t.Error("the cookie is good for ever")
	}
}

// TestBoundedMemory: a peer that fills every window with the smallest records costs no
// more than the bounds.
func TestBoundedMemory(t *testing.T) {
	s := newSim(t, 9, calm, datagram.Config{WindowBytes: 256 << 10, Window: 4096})
	s.open()
	c, cookie := s.server.conn, cookieOf(s)
	s.server.onEach = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		b := binary.BigEndian.AppendUint32(nil, rng.Uint32())
		b = append(b, byte(rng.Uint32()), 1, 0, 0)
		_ = c.Receive(s.now, b)
	}
	for ch := range 256 { // and what is within the window
		for i := range 2000 {
			b := binary.BigEndian.AppendUint32(nil, cookie+3+uint32(2*i))
			_ = c.Receive(s.now, append(b, byte(ch), 4, 0, 0))
		}
	}
	if n := s.server.counters.OutOfOrder; n < 4000 {
		t.Fatalf("%d records wait, the test means to fill the window", n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes for one connection", grown)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

// cookieOf finds the connection's cookie in the seq of a hello that is answered.
func cookieOf(s *sim) uint32 {
	var found uint32
	s.server.conn.Beat()
	s.server.conn.Flush(s.now, nil, outFunc(func(b []byte) { found = binary.BigEndian.Uint32(b) - 1<<31 - 1 }))
	return found
}

type outFunc func(b []byte)

func (f outFunc) Datagram(b []byte) { f(b) }

// TestAllocations: a message there and its acknowledgement back do not allocate.
func TestAllocations(t *testing.T) {
	s := newSim(t, 10, faults{}, datagram.Config{})
	s.open()
	client, server := s.client.conn, s.server.conn
	payload := make([]byte, 128)
	var there, back []byte
	toServer := outFunc(func(b []byte) { there = append(there[:0], b...) })
	toClient := outFunc(func(b []byte) { back = append(back[:0], b...) })
	scratch := make([]byte, 0, 4096)
	beat := func() {
		s.now += 1000
		if err := client.Send(datagram.Message{Kind: datagram.Event, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		client.Flush(s.now, scratch[:0], toServer)
		if err := server.Receive(s.now, there); err != nil {
			t.Fatal(err)
		}
		server.SettleAll()
		server.Flush(s.now, scratch[:0], toClient)
		if err := client.Receive(s.now, back); err != nil {
			t.Fatal(err)
		}
	}
	s.server.mute = true
	for range 100 {
		beat()
	}
	if n := testing.AllocsPerRun(1000, beat); n > 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

func BenchmarkConn(b *testing.B) {
	s := newSim(b, 10, faults{}, datagram.Config{})
	s.open()
	s.server.mute = true
	client, server := s.client.conn, s.server.conn
	payload := make([]byte, 128)
	var back []byte
	toServer := outFunc(func(d []byte) { _ = server.Receive(s.now, d) })
	toClient := outFunc(func(d []byte) { back = append(back[:0], d...) })
	scratch := make([]byte, 0, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_ = client.Send(datagram.Message{Kind: datagram.Event, Payload: payload})
		if i%256 == 255 {
			s.now += 1000
			client.Flush(s.now, scratch[:0], toServer)
			server.SettleAll()
			server.Flush(s.now, scratch[:0], toClient)
			_ = client.Receive(s.now, back)
		}
	}
}
