package engine_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// BenchmarkEcho pipelines frames of 128 and 1024 bytes over some connections and
// reads them back; an operation is one frame. Allocations count both sides, and
// the client's side has none.
func BenchmarkEcho(b *testing.B) {
	for _, driver := range []string{"epoll", "net"} {
		for _, loops := range []int{1, 2} {
			for _, conns := range []int{1, 50} {
				for _, size := range []int{128, 1024} {
					b.Run(fmt.Sprintf("%s/loops=%d/conns=%d/size=%d", driver, loops, conns, size), func(b *testing.B) {
						if driver == "epoll" && runtime.GOOS != "linux" {
							b.Skip("Linux only")
						}
						benchEcho(b, driver, loops, conns, size)
					})
				}
			}
		}
	}
}

func benchEcho(b *testing.B, driver string, loops, conns, size int) {
	r := start(b, engine.Config{Driver: driver, Loops: loops}, engine.Listener{}, echo)
	pairs := make([]*pipe, conns)
	for i := range pairs {
		pairs[i] = newPipe(r.dial(), size)
		pairs[i].run(b, 2*pipeWindow) // warm
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	runAll(b, pairs)
	b.StopTimer()
}

// runAll shares b.N frames among the pipes.
func runAll(b *testing.B, pairs []*pipe) {
	each := b.N/len(pairs) + 1
	done := make(chan struct{}, len(pairs))
	for _, p := range pairs {
		go func() { p.run(b, each); done <- struct{}{} }()
	}
	for range pairs {
		<-done
	}
}

// pipe writes windows of frames and reads them back, both in large pieces.
type pipe struct {
	conn    net.Conn
	size    int
	out, in []byte
	tokens  chan int
}

const pipeWindow = 512

func newPipe(c net.Conn, size int) *pipe {
	_ = c.SetDeadline(time.Time{})
	p := &pipe{conn: c, size: size, in: make([]byte, 256<<10), tokens: make(chan int, 4)}
	for range pipeWindow {
		p.out = append(p.out, frame(make([]byte, size-4))...)
	}
	return p
}

// run sends n frames with at most some windows under way.
func (p *pipe) run(b *testing.B, n int) {
	go p.send(n)
	for left := n; left > 0; {
		k := <-p.tokens
		left -= k
		for bytes := k * p.size; bytes > 0; {
			got, err := p.conn.Read(p.in[:min(len(p.in), bytes)])
			if err != nil {
				b.Error(err)
				return
			}
			bytes -= got
		}
	}
}

func (p *pipe) send(n int) {
	for n > 0 {
		k := min(n, pipeWindow)
		if _, err := p.conn.Write(p.out[:k*p.size]); err != nil {
			return
		}
		p.tokens <- k
		n -= k
	}
}

// BenchmarkServer is BenchmarkEcho against a process of its own: the server's CPU
// time for each frame, and which number of loops is best beside a busy client.
func BenchmarkServer(b *testing.B) {
	for _, driver := range []string{"epoll", "net"} {
		for _, loops := range []int{1, 2} {
			for _, conns := range []int{1, 50} {
				b.Run(fmt.Sprintf("%s/loops=%d/conns=%d", driver, loops, conns), func(b *testing.B) {
					p := startProcess(b, driver, loops, 0)
					pairs := make([]*pipe, conns)
					for i := range pairs {
						pairs[i] = newPipe(dial(b, p.address), 128)
						pairs[i].run(b, 2*pipeWindow)
					}
					p.report(0)
					b.ResetTimer()
					runAll(b, pairs)
					b.StopTimer()
					_, cpu, _ := p.report(0)
					b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "server-cpu-ns/op")
				})
			}
		}
	}
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkPing is one frame there and back, nothing else: the cost of a turn.
func BenchmarkPing(b *testing.B) {
	for _, driver := range []string{"epoll", "net"} {
		b.Run(driver, func(b *testing.B) {
			p := startProcess(b, driver, 1, 0)
			c := dial(b, p.address)
			out, in := frame(make([]byte, 124)), make([]byte, 128)
			p.report(0)
			b.ResetTimer()
			for range b.N {
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_, cpu, _ := p.report(0)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "server-cpu-ns/op")
		})
	}
}

// TestIdleMemory measures what a connection costs after one exchange.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 connections")
	}
	const conns, goal = 5000, 512
	p := startProcess(t, "auto", 1, 0)
	_, _, before := p.report(500 * time.Millisecond)
	for range conns {
		c := dial(t, p.address)
		exchange(t, c)
	}
	_, _, after := p.report(2 * time.Second) // pools are given back tick by tick
	each := (after - before) / conns
	t.Logf("%d bytes for each of %d idle connections", each, conns)
	if runtime.GOOS == "linux" && each > goal {
		t.Errorf("%d bytes for each idle connection, the goal is %d", each, goal)
	}
}

// BenchmarkRelay sends frames of 128 bytes from one connection to another, on one
// loop, on the same of two, and across two: what crossing costs. An operation is
// one frame. Within the process allocations are counted; the process of its own
// shows its CPU time and has its processors to itself.
func BenchmarkRelay(b *testing.B) {
	for _, tc := range []struct {
		name   string
		loops  int
		across bool
	}{{"one-loop", 1, false}, {"same-of-two", 2, false}, {"across", 2, true}} {
		b.Run(tc.name+"/inside", func(b *testing.B) {
			r := start(b, engine.Config{Loops: tc.loops}, engine.Listener{}, (&exchangeOffice{}).handler)
			b.ReportAllocs()
			benchRelay(b, r.Addrs()[0].String(), tc.across)
		})
		b.Run(tc.name+"/process", func(b *testing.B) {
			p := startProcess(b, "auto", tc.loops, 0)
			p.report(0)
			benchRelay(b, p.address, tc.across)
			_, cpu, _ := p.report(0)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "server-cpu-ns/op")
		})
	}
}

func benchRelay(b *testing.B, address string, across bool) {
	consumer, publisher := relayPair(b, address, across)
	p := newPipe(publisher, 128)
	in := make([]byte, 256<<10)
	b.ResetTimer()
	go p.sendAll(b.N)
	for left := b.N * 128; left > 0; {
		n, err := consumer.Read(in[:min(len(in), left)])
		if err != nil {
			b.Fatal(err)
		}
		left -= n
	}
	b.StopTimer()
}

func (p *pipe) sendAll(n int) {
	for ; n > 0; n -= pipeWindow {
		if _, err := p.conn.Write(p.out[:min(n, pipeWindow)*p.size]); err != nil {
			return
		}
	}
}

// relayPair connects until a consumer and a publisher live on the same loop, or on
// different ones. The last connection that asked is the consumer.
func relayPair(b *testing.B, address string, across bool) (consumer, publisher net.Conn) {
	ask := func() (net.Conn, byte) {
		c := dial(b, address)
		_, _ = c.Write(frame([]byte("consume")))
		f, err := readFrame(c)
		if err != nil || len(f) != 1 {
			b.Fatal(f, err)
		}
		return c, f[0]
	}
	for range 64 {
		p, at := ask()
		c, to := ask()
		if (at != to) == across {
			return c, p
		}
	}
	b.Fatal("no such pair")
	return nil, nil
}

// exchangeOffice echoes until a connection sends "consume": it is told its loop,
// and what all others send goes to it from then on.
type exchangeOffice struct{ consumer atomic.Uint64 }

func (o *exchangeOffice) handler(l *engine.Loop) engine.Handler {
	return &funcs{data: frames(func(c *engine.Conn, f []byte) {
		to := engine.ConnID(o.consumer.Load())
		switch {
		case string(f[4:]) == "consume":
			o.consumer.Store(uint64(c.ID()))
			c.Send(frame([]byte{byte(l.Index())}), 0)
		case to == 0:
			c.Send(f, 0)
		default:
			if l.SendTo(to, f, 0) == engine.Pressed {
				l.Hold(c.ID(), to)
			}
		}
	})}
}
