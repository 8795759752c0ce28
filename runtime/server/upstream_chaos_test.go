package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/ports"
)

// The ways in which a member of a pool behaves.
const (
	behaves = int32(iota)
	isSlow
	refuses
	garbles
)

// chaosMember is a real server that can be made to misbehave.
type chaosMember struct {
	t        *testing.T
	protocol string
	addr     string
	mode     atomic.Int32
	served   atomic.Int64
	hung     chan struct{} // closed at the end: slow answers come

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	serving  sync.WaitGroup
}

func newChaosMember(t *testing.T, protocol string, hung chan struct{}) *chaosMember {
	port, release, err := ports.Reserve() // it listens there again and again
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	m := &chaosMember{t: t, protocol: protocol, addr: fmt.Sprintf("127.0.0.1:%d", port), hung: hung}
	m.listen()
	t.Cleanup(func() { m.close(); m.serving.Wait() })
	return m
}

func (m *chaosMember) listen() {
	l, err := net.Listen("tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.mu.Lock()
	m.listener = l
	m.mu.Unlock()
	m.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns = append(m.conns, c)
			m.mu.Unlock()
			m.serving.Go(func() { m.serve(c) })
		}
	})
}

func (m *chaosMember) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.listener.Close()
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
}

// become changes how the member behaves.
func (m *chaosMember) become(mode int32) {
	was := m.mode.Swap(mode)
	switch {
	case mode == refuses && was != refuses:
		m.close()
	case mode != refuses && was == refuses:
		m.listen()
	}
}

// serve reads requests and answers them, by HTTP/1.1 or by frames, as the mode says.
func (m *chaosMember) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	if m.protocol == "http" {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			m.served.Add(1)
			switch m.mode.Load() {
			case isSlow:
				select {
				case <-m.hung:
				case <-r.Context().Done():
				}
			case garbles:
				h, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = h.Write([]byte("\x16\x03garbage\r\n\r\n"))
					_ = h.Close()
				}
			default:
				_, _ = w.Write([]byte("ok"))
			}
		})}
		one := &oneConn{c: c, ended: make(chan struct{})}
		_ = srv.Serve(one)
		<-one.ended
		return
	}
	f, _ := frame.Preset("mcp-seq")
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			var in abi.Message
			n, _, err := f.Decode(buf, nil, &in)
			if n == 0 || err != nil {
				break
			}
			buf = buf[n:]
			m.served.Add(1)
			switch m.mode.Load() {
			case isSlow: // no answer while it is slow
			case garbles:
				_, _ = c.Write([]byte("garbage"))
			default:
				out, _ := f.Append(nil, &abi.Message{Type: abi.TypeResponse, Seq: in.Seq, Payload: []byte("ok")})
				_, _ = c.Write(out)
			}
		}
	}
}

// oneConn is a listener of one connection.
type oneConn struct {
	c     net.Conn
	ended chan struct{}
	once  sync.Once
	given atomic.Bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.given.Swap(true) {
		return &endingConn{l.c, l}, nil
	}
	<-l.ended
	return nil, io.EOF
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.c.LocalAddr() }

type endingConn struct {
	net.Conn
	l *oneConn
}

func (c *endingConn) Close() error {
	err := c.Conn.Close()
	c.l.once.Do(func() { close(c.l.ended) })
	return err
}

// load asks n times, eight at once, and answers how many failed and how long they took.
func (f *fixture) load(n int) (failed int, took []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		all.Go(func() {
			for next.Add(1) <= int64(n) {
				began := time.Now()
				d, err := f.ask("q", "x", 10*time.Second)
				mu.Lock()
				if took = append(took, time.Since(began)); err != nil || string(d.Message.Payload) != "ok" {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return failed, took
}

// Of five members one is slow, one refuses connections and one answers garbage: the pool
// stops asking them, its callers hardly notice, and they are back when they are healed.
func TestUpstreamChaos(t *testing.T) {
	const asks = 400
	const timeout = 2 * time.Second // slow members exceed it, those that behave do not on a machine that pauses
	for _, protocol := range []string{"http", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			hung := make(chan struct{})
			t.Cleanup(func() { close(hung) })
			var members []*chaosMember
			var list []string
			for range 5 {
				m := newChaosMember(t, protocol, hung)
				members, list = append(members, m), append(list, `"`+m.addr+`"`)
			}
			wire := "protocol: http"
			if protocol == "tcp" {
				wire = "protocol: tcp, frame: mcp-seq"
			}
			f := start(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
upstreams:
  pool:
    {`+wire+`, members: [`+strings.Join(list, ", ")+`], timeout: `+timeout.String()+`, connect_timeout: `+timeout.String()+`, retries: 3, retry_on: any, budget: 100%,
     backoff: {first: 1ms, most: 10ms}, breaker: {calls: 5, share: 50%, window: 10s, open: 2s, probes: 1},
     health: {passive: {failures: 3, eject: 2s, longest: 4s, most: 60%}}}
default_route: ["upstream:pool"]
api: {address: ""}
`)
			kinds := []string{"behaves", "behaves", "slow", "refuses", "garbles"}
			report := func(phase string, failed int, took []time.Duration) {
				t.Logf("%s, %s: %d of %d failed, p50 %v, p99 %v, most %v", protocol, phase, failed, len(took),
					took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
			}
			members[2].become(isSlow)
			members[3].become(refuses)
			members[4].become(garbles)
			failed, took := f.load(asks)
			report("three of five broken", failed, took)
			if failed > asks*5/100 {
				t.Errorf("%d of %d failed", failed, asks)
			}
			if p := took[len(took)*90/100]; p > timeout*3/4 {
				t.Errorf("p90 is %v: broken members are still asked", p)
			}
			results := []string{"", "", "timeout", "refused", "garbled"}
			for i, m := range members {
				out := f.MetricOf("weft_upstream_ejections_total", m.addr) + f.MetricOf("weft_upstream_breaker_opened_total", m.addr)
				t.Logf("%s, %s: asked %d times, breaker opened %v times, ejected %v times", protocol, kinds[i], m.served.Load(),
					f.MetricOf("weft_upstream_breaker_opened_total", m.addr), f.MetricOf("weft_upstream_ejections_total", m.addr))
				if (out > 0) != (i >= 2) {
					t.Errorf("the member that %s was taken out %v times", kinds[i], out)
				}
				if i >= 2 && f.MetricOf("weft_upstream_requests_total", m.addr, results[i]) == 0 {
					t.Errorf("no try of the member that %s ended as %s", kinds[i], results[i])
				}
			}
			for _, m := range members {
				m.become(behaves)
			}
			began := time.Now()
			for deadline := began.Add(30 * time.Second); f.Metric("weft_upstream_member_up") != 5 || f.MetricOf("weft_upstream_breaker", "closed") != 5; {
				if f.load(20); time.Now().After(deadline) { // what probes need is asks
					t.Fatalf("%v of five members are up", f.Metric("weft_upstream_member_up"))
				}
			}
			t.Logf("%s: healed in %v", protocol, time.Since(began).Round(time.Millisecond))
			before := make([]int64, 5)
			for i, m := range members {
				before[i] = m.served.Load()
			}
			failed, took = f.load(asks)
			report("healed", failed, took)
			if failed > 0 {
				t.Errorf("%d failed", failed)
			}
			for i, m := range members {
				if n := m.served.Load() - before[i]; n < asks/10 {
					t.Errorf("the member that had been one that %s was asked %d times of %d", kinds[i], n, asks)
				}
			}
			f.end()
		})
	}
}
