package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/ports"
	"github.com/weftrun/weft/runtime/upstream"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a server of frames; answer says what it does with each message.
type peer struct {
	t        *testing.T
	listener net.Listener
	format   *frame.Format
	accepted atomic.Int64
	conns    sync.Map
	ended    sync.WaitGroup
}

func newPeer(t *testing.T, preset string, answer func(c net.Conn, m *abi.Message)) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, _ := frame.Preset(preset)
	p := &peer{t: t, listener: l, format: f}
	p.ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.accepted.Add(1)
			p.conns.Store(c, nil)
			p.ended.Go(func() { p.serve(c, answer) })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *peer) close() {
	_ = p.listener.Close()
	p.cut()
	p.ended.Wait()
}

// cut closes every connection.
func (p *peer) cut() { p.conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true }) }

func (p *peer) serve(c net.Conn, answer func(net.Conn, *abi.Message)) {
	defer func() { _ = c.Close() }()
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			var m abi.Message
			n, _, err := p.format.Decode(buf, nil, &m)
			if err != nil || n == 0 {
				break
			}
			m.Payload = append([]byte{}, m.Payload...)
			buf = buf[n:]
			answer(c, &m)
		}
	}
}

// respond answers a request with its payload and a mark.
func (p *peer) respond(c net.Conn, m *abi.Message) {
	out, err := p.format.Append(nil, &abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: append([]byte("re:"), m.Payload...)})
	if err != nil {
		p.t.Error(err)
	}
	_, _ = c.Write(out)
}

func member(t *testing.T, address string) *upstream.Member {
	t.Helper()
	pool, err := upstream.New(upstream.Options{Name: "p", Members: []upstream.Endpoint{{Address: address}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return pool.Members()[0]
}

func stream(t *testing.T, preset string, change func(*transport.StreamOptions)) *transport.Stream {
	t.Helper()
	f, _ := frame.Preset(preset)
	o := transport.StreamOptions{
		Codec: f.WithLimit(64 << 10), Connections: 2, Pipeline: 64, Idle: time.Minute, ConnectTimeout: time.Second, Timeout: time.Second, Heartbeat: time.Minute,
	}
	if change != nil {
		change(&o)
	}
	s := transport.NewStream(o)
	t.Cleanup(s.Close)
	return s
}

func request(payload string) *transport.Message {
	return &transport.Message{Message: abi.Message{Type: abi.TypeRequest, Seq: 7, Payload: []byte(payload)}}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Answers that come in another order than their requests find them, on one connection.
func TestStreamMatchesAnswers(t *testing.T) {
	const asks = 32
	var mu sync.Mutex
	var held []*abi.Message
	var p *peer
	p = newPeer(t, "mcp-seq", func(c net.Conn, m *abi.Message) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, m); len(held) == asks {
			for i := len(held) - 1; i >= 0; i-- {
				p.respond(c, held[i])
			}
		}
	})
	s := stream(t, "mcp-seq", func(o *transport.StreamOptions) { o.Connections = 1 })
	m := member(t, p.listener.Addr().String())
	var all sync.WaitGroup
	for i := range asks {
		all.Go(func() {
			want := fmt.Sprint("ask ", i)
			got, err := s.Send(within(t, 5*time.Second), m, request(want))
			if err != nil || string(got.Payload) != "re:"+want {
				t.Errorf("%s: got %q, %v", want, got.Payload, err)
			}
		})
	}
	all.Wait()
	if n := p.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// Without sequence ids a connection has one request at a time, and no more connections
// are made than may be.
func TestStreamWithoutSequence(t *testing.T) {
	var under, most atomic.Int64
	var p *peer
	p = newPeer(t, "length32", func(c net.Conn, m *abi.Message) {
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		p.respond(c, m)
		under.Add(-1)
	})
	s := stream(t, "length32", nil)
	m := member(t, p.listener.Addr().String())
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			want := fmt.Sprint("ask ", i)
			got, err := s.Send(within(t, 5*time.Second), m, request(want))
			if err != nil || string(got.Payload) != "re:"+want {
				t.Errorf("%s: got %q, %v", want, got.Payload, err)
			}
		})
	}
	all.Wait()
	if n := p.accepted.Load(); n > 2 || most.Load() > 2 {
		t.Errorf("%d connections, %d at once: want at most 2", n, most.Load())
	}
}

// A late answer is not taken for that to a later request.
func TestStreamLateAnswer(t *testing.T) {
	for _, preset := range []string{"mcp-seq", "length32"} {
		t.Run(preset, func(t *testing.T) {
			var p *peer
			release := make(chan struct{})
			var later atomic.Bool
			p = newPeer(t, preset, func(c net.Conn, m *abi.Message) {
				if !later.Swap(true) {
					go func() { <-release; p.respond(c, m) }()
					return
				}
				p.respond(c, m)
			})
			s := stream(t, preset, func(o *transport.StreamOptions) { o.Connections = 1 })
			m := member(t, p.listener.Addr().String())
			_, err := s.Send(within(t, 50*time.Millisecond), m, request("slow"))
			if o := upstream.Classify(err); o != upstream.TimedOut {
				t.Fatalf("the slow request: %v, %v", o, err)
			}
			close(release)
			for i := range 20 {
				want := fmt.Sprint("later ", i)
				got, err := s.Send(within(t, 5*time.Second), m, request(want))
				if err != nil || string(got.Payload) != "re:"+want {
					t.Fatalf("%s: got %q, %v", want, got.Payload, err)
				}
			}
		})
	}
}

// What is no frame ends the connection and the requests that wait; what follows gets
// a new one.
func TestStreamGarbage(t *testing.T) {
	var p *peer
	var good atomic.Bool
	p = newPeer(t, "mcp-seq", func(c net.Conn, m *abi.Message) {
		if !good.Swap(true) {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			return
		}
		p.respond(c, m)
	})
	s := stream(t, "mcp-seq", nil)
	m := member(t, p.listener.Addr().String())
	_, err := s.Send(within(t, 5*time.Second), m, request("x"))
	if o := upstream.Classify(err); o != upstream.Garbled || !errors.Is(err, transport.ErrAnswer) {
		t.Fatalf("got %v, %v", o, err)
	}
	if got, err := s.Send(within(t, 5*time.Second), m, request("y")); err != nil || string(got.Payload) != "re:y" {
		t.Fatalf("afterwards: %q, %v", got.Payload, err)
	}
	if st := s.Stats(); st.Garbled != 1 || st.Opened != 2 || st.Open != 1 {
		t.Errorf("stats: %+v", st)
	}
}

// A member that is not there is not dialled for every message; when it is there again
// it is found.
func TestStreamReconnects(t *testing.T) {
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	s := stream(t, "mcp-seq", nil)
	m := member(t, address)
	for range 50 {
		if _, err := s.Send(within(t, time.Second), m, request("x")); upstream.Classify(err) != upstream.Refused {
			t.Fatalf("got %v", err)
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := s.Check(within(t, time.Second), m); err != nil { // as the pool does
		t.Fatal(err)
	}
	go func() {
		f, _ := frame.Preset("mcp-seq")
		p := &peer{t: t, format: f}
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c, p.respond)
		}
	}()
	if got, err := s.Send(within(t, time.Second), m, request("y")); err != nil || string(got.Payload) != "re:y" {
		t.Fatalf("afterwards: %q, %v", got.Payload, err)
	}
}

// With Confirm an event is taken when it is answered; without when it is written.
func TestStreamConfirm(t *testing.T) {
	seen := make(chan *abi.Message, 2)
	silent := newPeer(t, "mcp-seq", func(_ net.Conn, m *abi.Message) { seen <- m })
	event := &transport.Message{Message: abi.Message{Payload: []byte("e")}}
	s := stream(t, "mcp-seq", nil)
	if _, err := s.Send(within(t, time.Second), member(t, silent.listener.Addr().String()), event); err != nil {
		t.Fatal(err)
	}
	if m := <-seen; string(m.Payload) != "e" || m.Seq != 0 {
		t.Errorf("arrived: %d %q", m.Seq, m.Payload)
	}
	s = stream(t, "mcp-seq", func(o *transport.StreamOptions) { o.Confirm = true })
	_, err := s.Send(within(t, 50*time.Millisecond), member(t, silent.listener.Addr().String()), event)
	if upstream.Classify(err) != upstream.TimedOut {
		t.Fatalf("nobody confirmed: %v", err)
	}
}

// A dead connection is found by its silence; one without work is closed.
func TestStreamSilence(t *testing.T) {
	beats := make(chan struct{}, 64)
	p := newPeer(t, "mcp-seq", func(_ net.Conn, m *abi.Message) {
		if m.Type == abi.TypeHeartbeat {
			beats <- struct{}{}
		}
	})
	s := stream(t, "mcp-seq", func(o *transport.StreamOptions) { o.Heartbeat = 20 * time.Millisecond })
	m := member(t, p.listener.Addr().String())
	_, err := s.Send(within(t, 5*time.Second), m, request("x"))
	if err == nil || upstream.Classify(err) != upstream.TimedOut {
		t.Fatalf("got %v", err)
	}
	<-beats
	if st := s.Stats(); st.Open != 0 {
		t.Errorf("%d connections are open", st.Open)
	}
}

// heldUp is a context that ends while its goroutine does not run: between the writing of a
// frame, which asks for the deadline, and the look at what has come.
type heldUp struct {
	context.Context
	written bool
	until   func()
}

func (h *heldUp) Deadline() (time.Time, bool) {
	h.written = true
	return time.Time{}, false
}

func (h *heldUp) Done() <-chan struct{} {
	if !h.written {
		return nil
	}
	h.until()
	over := make(chan struct{})
	close(over)
	return over
}

func (h *heldUp) Err() error {
	if h.written {
		return context.DeadlineExceeded
	}
	return nil
}

// An answer that is there when the time is up counts, and leaves the connection alone.
func TestAnswerIsThereInTheEnd(t *testing.T) {
	for _, preset := range []string{"mcp-seq", "length32"} {
		t.Run(preset, func(t *testing.T) {
			var p *peer
			p = newPeer(t, preset, func(c net.Conn, m *abi.Message) {
				p.respond(c, m)
				p.respond(c, m) // for nobody: who counts it has read the one before
			})
			s := stream(t, preset, func(o *transport.StreamOptions) { o.Connections = 1 })
			to := member(t, p.listener.Addr().String())
			asks := &transport.Message{Message: abi.Message{Type: abi.TypeRequest, Payload: []byte("x")}}
			for n := range uint64(20) {
				ctx := context.Context(&heldUp{Context: t.Context(), until: func() {
					for s.Stats().Stray <= n {
						time.Sleep(100 * time.Microsecond)
					}
				}})
				if n == 0 {
					ctx = t.Context() // it connects
				}
				answer, err := s.Send(ctx, to, asks)
				if err != nil || string(answer.Payload) != "re:x" {
					t.Fatalf("%q, %v", answer.Payload, err)
				}
				for s.Stats().Stray <= n {
					time.Sleep(100 * time.Microsecond)
				}
			}
			if n := s.Stats().Opened; n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}
