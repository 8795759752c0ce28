package server_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/datagram"
	dgram "github.com/weftrun/weft/runtime/datagram/client"
)

// dgramPatience is how long a test waits for something that must happen.
const dgramPatience = 60 * time.Second

const dgramRelay = `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: "up/{channel}"}
  - {name: out, address: 127.0.0.1:0, frame: mcp-dgram, subscribe: ["up/#"]}
loops: 1
`

// stream is a client of mcp-dgram in a test.
type stream struct {
	*dgram.Stream
	t  testing.TB
	in []byte
}

func dialDgram(t testing.TB, address string, cfg datagram.Config) *stream {
	t.Helper()
	s, err := dgram.Dial(t.Context(), address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_ = s.SetDeadline(time.Now().Add(dgramPatience))
	return &stream{Stream: s, t: t}
}

func (s *stream) say(m datagram.Message) {
	s.t.Helper()
	if _, err := s.Write(datagram.AppendRecord(nil, m)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) hear() datagram.Message {
	s.t.Helper()
	for {
		if m, size := datagram.ParseRecord(s.in); size > 0 {
			s.in = s.in[size:]
			return m
		}
		b := make([]byte, 64<<10)
		n, err := s.Read(b)
		if err != nil {
			s.t.Fatalf("%v; %+v", err, s.Counters())
		}
		s.in = append(s.in, b[:n]...)
	}
}

func TestDgram(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: "up/{channel}", subscribe: ["down"]}
  - {name: out, address: 127.0.0.1:0, frame: length32, topic: down, subscribe: ["up/#"]}
`)
			tcp := f.dial("out")
			udp := dialDgram(t, f.address("in"), datagram.Config{})
			tcp.say(abi.Message{Payload: []byte("are you there?")})
			if m := udp.hear(); string(m.Payload) != "are you there?" || m.Kind != datagram.Event {
				t.Fatalf("%+v", m)
			}
			large := make([]byte, 50_000) // more than one datagram
			for i := range large {
				large[i] = byte(i)
			}
			for i, payload := range []string{"one", "", string(large)} {
				udp.say(datagram.Message{Channel: uint8(i), Kind: datagram.Event, Payload: []byte(payload)})
				if m := tcp.hear(); string(m.Payload) != payload {
					t.Fatalf("message %d: %d bytes, expected %d", i, len(m.Payload), len(payload))
				}
			}
			if err := udp.Close(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the goodbye", func() bool { return f.MetricOf("weft_connections_closed_total", "peer_closed") >= 1 })
		})
	}
}

// waitFor waits until something that other goroutines do has happened.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(dgramPatience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestDgramRequests: a request finds its answer by its id, in both directions.
func TestDgramRequests(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, `
listeners:
  - {name: device, address: 127.0.0.1:0, frame: mcp-dgram, node: dev}
  - {name: asking, address: 127.0.0.1:0, frame: mcp-seq, topic: ask}
  - {name: asking-too, address: 127.0.0.1:0, frame: mcp-dgram, topic: ask}
routes:
  - {name: ask, when: {topic: ask}, to: ["node:dev"]}
`)
			device := dialDgram(t, f.address("device"), datagram.Config{})
			waitFor(t, "the node", func() bool { return f.Metric("weft_nodes") == 1 })
			tcp, udp := f.dial("asking"), dialDgram(t, f.address("asking-too"), datagram.Config{})
			for i := range 3 {
				tcp.say(abi.Message{Type: abi.TypeRequest, Seq: 7, Payload: []byte("how warm?")})
				q := device.hear()
				if q.Kind != datagram.Request || !q.HasID || string(q.Payload) != "how warm?" {
					t.Fatalf("%+v", q)
				}
				device.say(datagram.Message{Kind: datagram.Response, HasID: true, ID: q.ID, Payload: []byte("21")})
				if m := tcp.hear(); m.Type != abi.TypeResponse || m.Seq != 7 || string(m.Payload) != "21" {
					t.Fatalf("%d: %+v", i, m)
				}
				udp.say(datagram.Message{Kind: datagram.Request, Channel: 5, ID: uint32(100 + i), HasID: true, Payload: []byte("and now?")})
				q = device.hear()
				device.say(datagram.Message{Kind: datagram.Response, HasID: true, ID: q.ID, Payload: []byte("22")})
				if m := udp.hear(); m.Kind != datagram.Response || m.ID != uint32(100+i) || m.Channel != 5 || string(m.Payload) != "22" {
					t.Fatalf("%d: %+v", i, m)
				}
			}
		})
	}
}

// TestDgramAcknowledge: the listener's own answer comes on the channel of the question.
func TestDgramAcknowledge(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: "up/{channel}", acknowledge: "ACK {channel}: {payload}"}
`)
			c := dialDgram(t, f.address("in"), datagram.Config{})
			for i := range 3 {
				kind, id := datagram.Request, uint32(i+7)
				if i == 2 {
					kind, id = datagram.Event, 0
				}
				c.say(datagram.Message{Kind: kind, Channel: uint8(i), ID: id, HasID: id != 0, Payload: []byte("hello")})
				if m := c.hear(); string(m.Payload) != fmt.Sprintf("ACK %d: hello", i) || m.Channel != uint8(i) || m.ID != id || m.Kind != datagram.Response {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

// badNet is a relay in this process that treats datagrams badly, both ways.
type badNet struct {
	loss, duplicate, reorder float64

	mu    sync.Mutex
	rng   *rand.Rand
	front *net.UDPConn
	to    *net.UDPAddr
	ways  map[netip.AddrPort]*net.UDPConn
	all   sync.WaitGroup
	over  bool
}

func newBadNet(t testing.TB, to string, loss, duplicate, reorder float64) *badNet {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	b := &badNet{loss: loss, duplicate: duplicate, reorder: reorder, rng: rand.New(rand.NewPCG(1, 2)), front: front, to: at, ways: map[netip.AddrPort]*net.UDPConn{}}
	b.all.Go(b.forth)
	t.Cleanup(func() {
		b.mu.Lock()
		b.over = true
		_ = b.front.Close()
		for _, w := range b.ways {
			_ = w.Close()
		}
		b.mu.Unlock()
		b.all.Wait()
	})
	return b
}

func (b *badNet) address() string { return b.front.LocalAddr().String() }

func (b *badNet) forth() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := b.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		b.mu.Lock()
		way := b.ways[from]
		if way == nil && !b.over {
			if way, err = net.DialUDP("udp", nil, b.to); err == nil {
				b.ways[from] = way
				b.all.Go(func() { b.back(way, from) })
			}
		}
		b.mu.Unlock()
		b.pass(buf[:n], func(d []byte) { _, _ = way.Write(d) })
	}
}

func (b *badNet) back(way *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 64<<10)
	for {
		n, err := way.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			b.pass(buf[:n], func(d []byte) { _, _ = b.front.WriteToUDPAddrPort(d, to) })
		}
	}
}

// pass loses, doubles and delays.
func (b *badNet) pass(d []byte, send func([]byte)) {
	b.mu.Lock()
	lost, copies, late := b.rng.Float64() < b.loss, 1, b.rng.Float64() < b.reorder
	if b.rng.Float64() < b.duplicate {
		copies = 2
	}
	delay := time.Duration(b.rng.Int64N(int64(4 * time.Millisecond)))
	b.mu.Unlock()
	if lost {
		return
	}
	held := append([]byte(nil), d...)
	for range copies {
		if late {
			time.AfterFunc(delay, func() { send(held) })
		} else {
			send(held)
		}
	}
}

// TestDgramBadNetwork: over sockets and a network that loses 20%, doubles 10% and
// reorders 20% everything arrives once, and in order within its channel.
func TestDgramBadNetwork(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			const channels, count = 4, 500
			out := dialDgram(t, newBadNet(t, f.address("out"), 0.2, 0.1, 0.2).address(), datagram.Config{})
			in := dialDgram(t, newBadNet(t, f.address("in"), 0.2, 0.1, 0.2).address(), datagram.Config{})
			pourAndCheck(t, in, out, channels, count)
			waitFor(t, "the counters", func() bool {
				return f.Metric("weft_datagram_retransmitted_total") > 0 && f.Metric("weft_datagram_duplicates_total") > 0
			})
		})
	}
}

// pourAndCheck sends messages on some channels in turn, and checks what arrives.
func pourAndCheck(t testing.TB, in, out *stream, channels, count int) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		var b []byte
		for i := range count {
			b = b[:0]
			for ch := range channels {
				payload := binary.BigEndian.AppendUint32(make([]byte, 0, 600), uint32(i))
				b = datagram.AppendRecord(b, datagram.Message{Channel: uint8(ch), Kind: datagram.Event, Payload: payload[:4+(i*37)%500]})
			}
			if _, err := in.Write(b); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	next := make([]int, channels)
	for range channels * count {
		m := out.hear()
		if n := int(binary.BigEndian.Uint32(m.Payload)); n != next[m.Channel] || len(m.Payload) != 4+(n*37)%500 {
			t.Fatalf("channel %d: message %d of %d bytes, expected %d", m.Channel, n, len(m.Payload), next[m.Channel])
		}
		next[m.Channel]++
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestDgramPlain is a client that knows nothing but the eight bytes of the header and
// the types 0 to 3.
func TestDgramPlain(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			out := dialDgram(t, f.address("out"), datagram.Config{})
			c, err := net.Dial("udp", f.address("in"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(dgramPatience))
			buf := make([]byte, 2048)
			exchange := func(seq uint32, kind uint16, payload string) (uint32, uint16, int) {
				t.Helper()
				b := binary.BigEndian.AppendUint32(nil, seq)
				b = binary.BigEndian.AppendUint16(b, kind)
				b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
				if _, err := c.Write(append(b, payload...)); err != nil {
					t.Fatal(err)
				}
				n, err := c.Read(buf)
				if err != nil || n < 8 {
					t.Fatal(n, err)
				}
				return binary.BigEndian.Uint32(buf), binary.BigEndian.Uint16(buf[4:]), n
			}
			seq, kind, n := exchange(0, 0, "")
			if kind != 0 || n != 8 {
				t.Fatal("the challenge is no empty heartbeat")
			}
			if got, kind, _ := exchange(seq, 0, ""); kind != 3 || got != seq {
				t.Fatalf("let in by %d of type %d", got, kind)
			}
			for i := range 3 {
				seq++
				if got, kind, n := exchange(seq, 1, fmt.Sprint("message ", i)); got != seq || kind != 3 || n != 8 {
					t.Fatalf("acknowledged by %d of type %d", got, kind)
				}
				if m := out.hear(); string(m.Payload) != fmt.Sprint("message ", i) {
					t.Fatalf("%q", m.Payload)
				}
			}
			if got, _, _ := exchange(seq, 1, "again"); got != seq { // a duplicate
				t.Fatal("a duplicate is not acknowledged")
			}
			if got, kind, _ := exchange(seq, 0, ""); kind != 0 || got != seq {
				t.Fatalf("a heartbeat is answered by %d of type %d", got, kind)
			}
		})
	}
}

// TestDgramStrangers: whoever has not shown that it is where it says gets no more
// bytes than it sends, and leaves nothing behind.
func TestDgramStrangers(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			c, err := net.Dial("udp", f.address("in"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			rng := rand.New(rand.NewPCG(3, 4))
			sent, received := 0, 0
			buf := make([]byte, 64<<10)
			for i := range 500 {
				b := make([]byte, rng.IntN(100))
				for k := range b {
					b[k] = byte(rng.Uint32())
				}
				if len(b) >= 8 && i%2 == 0 { // as real as can be
					binary.BigEndian.PutUint16(b[4:], uint16(rng.IntN(5)))
					binary.BigEndian.PutUint16(b[6:], uint16(len(b)-8))
				}
				if i%3 == 0 && len(b) >= 40 { // a hello or a connect with a wrong cookie
					copy(b[8:], []byte{0x57, 0x44, 1, byte(1 + rng.IntN(4))})
					binary.BigEndian.PutUint16(b[4:], 0)
					binary.BigEndian.PutUint16(b[8+20:], 1200)
					binary.BigEndian.PutUint16(b[8+22:], 100)
					binary.BigEndian.PutUint32(b[8+24:], 1<<20)
				}
				n, _ := c.Write(b)
				sent += n
				_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
				for {
					n, err := c.Read(buf)
					if err != nil {
						break
					}
					if received += n; received > sent {
						t.Fatalf("%d bytes are answered with %d", sent, received)
					}
				}
			}
			t.Logf("%d bytes sent, %d received", sent, received)
			if received == 0 {
				t.Error("nobody answers")
			}
			if n := f.Metric("weft_connections"); n != 0 {
				t.Errorf("%v connections of strangers", n)
			}
		})
	}
}

// TestDgramHolds: a subscriber that reads nothing holds the publisher back; nothing is
// lost and the memory is bounded.
func TestDgramHolds(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: up, outbox: {size: 64KiB}, datagram: {window_size: 64KiB}}
  - {name: out, address: 127.0.0.1:0, frame: mcp-dgram, subscribe: [up], outbox: {size: 64KiB}, datagram: {window_size: 64KiB}}
loops: 1
`)
			out := dialDgram(t, f.address("out"), datagram.Config{WindowBytes: 64 << 10})
			in := dialDgram(t, f.address("in"), datagram.Config{WindowBytes: 64 << 10, QueueBytes: 64 << 10})
			const count, size = 6000, 1000
			sent := make(chan error, 1)
			go func() {
				payload := make([]byte, size)
				for i := range count {
					binary.BigEndian.PutUint32(payload, uint32(i))
					if _, err := in.Write(datagram.AppendRecord(nil, datagram.Message{Kind: datagram.Event, Payload: payload})); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			waitFor(t, "the publisher is held", func() bool { return f.Metric("weft_loop_paused_connections") == 1 })
			if q := f.Metric("weft_loop_queued_bytes"); q > 4*64<<10 {
				t.Errorf("%v bytes are queued", q)
			}
			for i := range count {
				if m := out.hear(); int(binary.BigEndian.Uint32(m.Payload)) != i {
					t.Fatalf("message %d, expected %d", binary.BigEndian.Uint32(m.Payload), i)
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if l := f.Ledger(); l.Lost() != 0 {
				t.Errorf("%+v", l)
			}
		})
	}
}

// TestDgramDrain: what was acknowledged is delivered before the server ends.
func TestDgramDrain(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			out := dialDgram(t, newBadNet(t, f.address("out"), 0.2, 0, 0).address(), datagram.Config{})
			in := dialDgram(t, f.address("in"), datagram.Config{})
			for i := range 200 {
				in.say(datagram.Message{Kind: datagram.Event, Payload: fmt.Appendf(nil, "%d", i)})
			}
			if err := in.Close(); err != nil { // everything is acknowledged
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { f.end(); close(done) }()
			for i := range 200 {
				if m := out.hear(); string(m.Payload) != fmt.Sprint(i) {
					t.Fatalf("%q, expected %d", m.Payload, i)
				}
			}
			<-done
		})
	}
}

// TestDgramDurable: with a durable route the listener's answer comes from the log, and
// a message that the log has not kept gets none.
func TestDgramDurable(t *testing.T) {
	f := start(t, "auto", fmt.Sprintf(`
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: "up/{channel}", acknowledge: "ACK {payload}"}
routes: [{name: kept, when: {topic: "up/#"}, to: [subscribers], durable: {messages: 2}}]
backbone: {data: %q, name: one}
`, t.TempDir()))
	c := dialDgram(t, f.address("in"), datagram.Config{})
	for i := range 2 {
		c.say(datagram.Message{Kind: datagram.Request, Channel: 1, ID: uint32(i + 1), HasID: true, Payload: []byte("hello")})
		if m := c.hear(); string(m.Payload) != "ACK hello" || m.ID != uint32(i+1) || m.Channel != 1 {
			t.Errorf("%+v", m)
		}
	}
	if n := f.Metric("weft_log_appended_total"); n != 2 {
		t.Errorf("%v records are in the log", n)
	}
	c.say(datagram.Message{Kind: datagram.Request, ID: 3, HasID: true, Payload: []byte("too much")})
	f.await("weft_connections", 0)
	f.awaitOf("weft_messages_dropped_total", "log_full", 1)
}
