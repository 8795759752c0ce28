package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// proxy stands between clients and weft and gives every connection a fault of
// toxiproxy's, drawn by the seed.
type proxy struct {
	net.Listener
	to string

	mu     sync.Mutex
	random *rand.Rand
	counts map[string]int
	open   map[net.Conn]bool
	healed bool
	all    sync.WaitGroup
}

// newProxy forwards to the address until it is closed.
func newProxy(to string, random *rand.Rand) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{Listener: ln, to: to, random: random, counts: map[string]int{}, open: map[net.Conn]bool{}}
	p.all.Add(1)
	go p.serve()
	return p, nil
}

// Close ends all connections and waits for the last of them.
func (p *proxy) Close() error {
	err := p.Listener.Close()
	p.heal()
	p.all.Wait()
	return err
}

// heal ends all connections; those that come have no fault.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.healed = true
	for c := range p.open {
		_ = c.Close()
	}
}

// shake ends a third of the connections, so that others have other faults.
func (p *proxy) shake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if p.random.IntN(6) == 0 { // of the two ends of each
			_ = c.Close()
		}
	}
}

func (p *proxy) serve() {
	defer p.all.Done()
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		weft, err := net.DialTimeout("tcp", p.to, dialWithin)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		name, up, down := p.draw()
		p.counts[name]++
		p.open[client], p.open[weft] = true, true
		p.mu.Unlock()
		reset := name == "reset_peer"
		p.all.Add(2)
		go p.pipe(client, weft, up, reset)
		go p.pipe(weft, client, down, reset)
	}
}

// draw chooses a fault, and how it acts on what goes up to weft and down from it.
func (p *proxy) draw() (name string, up, down toxics.Toxic) {
	some := func(least, most int64) int64 { return least + p.random.Int64N(most-least) }
	none := &toxics.NoopToxic{}
	if p.healed {
		return "none", none, none
	}
	var t toxics.Toxic
	switch p.random.IntN(5) {
	case 0:
		return "latency", &toxics.LatencyToxic{Latency: some(1, 50), Jitter: 20}, &toxics.LatencyToxic{Latency: some(1, 50), Jitter: 20}
	case 1:
		return "slicer", &toxics.SlicerToxic{AverageSize: int(some(3, 40)), SizeVariation: 2, Delay: int(some(1, 200))}, none
	case 2:
		return "bandwidth", &toxics.BandwidthToxic{Rate: some(20, 500)}, &toxics.BandwidthToxic{Rate: some(20, 500)}
	case 3:
		name, t = "limit_data", &toxics.LimitDataToxic{Bytes: some(100, 200_000)}
	default: // milliseconds from the first byte on
		name, t = "reset_peer", &toxics.ResetToxic{Timeout: some(20, 2000)}
	}
	if p.random.IntN(2) == 0 {
		return name, t, none
	}
	return name, none, t
}

// pipe forwards one direction of a connection, and ends both when it ends.
func (p *proxy) pipe(from, to net.Conn, toxic toxics.Toxic, reset bool) {
	defer p.all.Done()
	in, out := make(chan *stream.StreamChunk, 1), make(chan *stream.StreamChunk, 64)
	stub := toxics.NewToxicStub(in, out)
	if stateful, ok := toxic.(toxics.StatefulToxic); ok {
		stub.State = stateful.NewState()
	}
	p.all.Add(2)
	go func() {
		defer p.all.Done()
		stub.Run(&toxics.ToxicWrapper{Toxic: toxic, Toxicity: 1})
		stub.Close()
		for range in { // who reads must not wait for a toxic that is over
		}
	}()
	go func() {
		defer p.all.Done()
		w := stream.NewChanWriter(in)
		_, _ = io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{from}) // its end is the end of the connection
		_ = w.Close()
	}()
	_, _ = io.Copy(to, struct{ io.Reader }{stream.NewChanReader(out)})
	for _, c := range []net.Conn{from, to} {
		if tcp, ok := c.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0) // the other side gets RST
		}
		_ = c.Close()
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
	}
	for range out { // neither must a toxic wait for who is gone
	}
}

// runNetwork puts faults between weft and its clients.
func runNetwork(ctx context.Context, r *run) error {
	n, err := r.single(ctx, settings{durable: true, sync: "always"})
	if err != nil {
		return err
	}
	p, err := newProxy(n.mqtt, rand.New(rand.NewPCG(r.seed, 3)))
	if err != nil {
		return err
	}
	r.close(p.Close)
	err = r.under(ctx, traffic{mqtt: []string{p.Addr().String()}, apis: []string{n.api}}, func(ctx context.Context) error {
		for range r.rounds() {
			wait(ctx, time.Second)
			p.shake()
		}
		p.heal()
		return n.died()
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, count := range p.counts {
		r.figures["toxic_"+name] = float64(count)
	}
	return err
}
