package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/weftrun/weft/abi"
	wire "github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/datagram/client"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

// run is a run in its own namespaces.
type run struct {
	options
	dir     string
	words   io.Writer
	network *network
	wrong   []string
}

// flood does all of it and tells how much was wrong.
func flood(ctx context.Context, o options, out, words io.Writer) (wrong int, err error) {
	r := &run{options: o, words: words, dir: os.Getenv(aloneName)}
	if r.network, err = lay(r.dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.network.close()) }()
	without, err := r.phases(ctx, variant{})
	if err != nil {
		return 0, err
	}
	with, err := r.phases(ctx, variant{kernel: true})
	if err != nil {
		return 0, err
	}
	r.table(out, without, with)
	if err := r.restarts(ctx, out); err != nil {
		return 0, err
	}
	for _, what := range r.wrong {
		program.Say(words, "flood: WRONG: %s", what)
	}
	return len(r.wrong), nil
}

func (r *run) bad(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// kind is a flood.
type kind struct {
	name     string
	listener string
	reason   string // why the filter drops it; empty: there is no flood
	frames   func(*network) [][]byte
}

// kinds are the floods, after the quiet before them.
func (r *run) kinds() []kind {
	list := []kind{
		{name: "none", listener: "packets"},
		{"denied", "packets", "denied", func(n *network) [][]byte { return n.datagrams(denied, 4096, "\x00\x00\x00\x01\x00\x01\x00\x00") }},
		{"malformed", "packets", "malformed", func(n *network) [][]byte { return n.datagrams(others, 4096, "\x00\x00\x00\x01\x00\xff\x00\x00") }},
		{"over its rate", "packets", "rate", func(n *network) [][]byte { return n.datagrams(others, 2, "\x00\x00\x00\x01\x00\x03\x00\x00") }},
		{"denied SYN", "streams", "denied", func(n *network) [][]byte { return n.openings(denied, 4096) }},
	}
	if r.quick {
		list = list[:4]
	}
	return list
}

// sources are count addresses of a prefix of 16 bits.
func sources(p netip.Prefix, count int) (list []netip.AddrPort) {
	b := p.Addr().As4()
	for i := range count {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{b[0], b[1], byte(i >> 8), byte(i)}), uint16(20000+i)))
	}
	return list
}

func (n *network) datagrams(p netip.Prefix, count int, payload string) (list [][]byte) {
	to := netip.AddrPortFrom(netip.MustParseAddr(nearAddress), packetsPort)
	for _, from := range sources(p, count) {
		list = append(list, datagram(n.hardware, from, to, []byte(payload)))
	}
	return list
}

func (n *network) openings(p netip.Prefix, count int) (list [][]byte) {
	to := netip.AddrPortFrom(netip.MustParseAddr(nearAddress), streamsPort)
	for _, from := range sources(p, count) {
		list = append(list, opening(n.hardware, from, to))
	}
	return list
}

// outcome is that of a phase.
type outcome struct {
	kind
	sent, refused uint64
	seconds       float64
	cpu           time.Duration
	load          *load.Result
	own           uint64 // datagrams of the legitimate sender that the cable has taken
	retransmitted uint64
	dropped       uint64 // by the kernel, for the phase's reason
	passed        uint64 // by the kernel, at the phase's listener
}

// phases runs weft and every kind of flood.
func (r *run) phases(ctx context.Context, v variant) (all []outcome, err error) {
	w, err := r.start(ctx, v)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := w.Stop(); err != nil || stopped != nil {
			err = errors.Join(err, stopped, fmt.Errorf("weft's last words:\n%s", w.Tail()))
		}
	}()
	for _, k := range r.kinds() {
		o, err := r.one(ctx, w, k, v.kernel)
		if err != nil {
			return nil, fmt.Errorf("the phase %q: %w", k.name, err)
		}
		all = append(all, o)
		if v.kernel {
			r.judge(&o)
		}
	}
	return all, nil
}

// one is one phase.
func (r *run) one(ctx context.Context, w *weft, k kind, kernel bool) (o outcome, err error) {
	o.kind = k
	before, err := w.counts(ctx)
	if err != nil {
		return o, err
	}
	full, err := r.network.untaken()
	if err != nil {
		return o, err
	}
	cpu, err := load.ProcessCPU(w.PID())
	if err != nil {
		return o, err
	}
	begun := time.Now()
	var f *flooder
	if k.reason != "" {
		if f, err = r.network.pour(r.rate, k.frames(r.network)); err != nil {
			return o, err
		}
	}
	clients := &clients{network: r.network}
	result, problem := load.Run(ctx, r.legitimate(k, clients))
	if f != nil {
		o.sent, err = f.end()
		o.refused = f.refused.Load()
	}
	if err = errors.Join(problem, err); err != nil {
		return o, err
	}
	o.seconds, o.load = time.Since(begun).Seconds(), result
	used, err := load.ProcessCPU(w.PID())
	if err != nil {
		return o, err
	}
	o.cpu = used - cpu
	o.own, o.retransmitted = clients.counters()
	untaken, err := r.network.untaken()
	if err != nil {
		return o, err
	}
	if k.listener == "packets" {
		o.own -= untaken - full - o.refused
	}
	_, err = w.settled(ctx, func(now counts) bool {
		o.dropped, o.passed = now.since(before, k.listener, k.reason, "kernel"), now.since(before, k.listener, "pass", "kernel")
		return !kernel || o.exact()
	})
	return o, err
}

// exact tells whether the kernel has counted what was sent.
func (o *outcome) exact() bool {
	switch {
	case o.reason == "rate": // what is within it passes, as does the legitimate sender
		return o.dropped+o.passed == o.sent+o.own
	case o.listener == "packets":
		return o.dropped == o.sent && o.passed == o.own
	}
	return o.dropped == o.sent // what TCP sends again is its own matter
}

// legitimate is the legitimate sender with the one that hears it.
func (r *run) legitimate(k kind, c *clients) load.Config {
	config := load.Config{
		Address: fmt.Sprintf("%s:%d", nearAddress, packetsPort), Protocol: &load.Frames{Codec: wire.Codec{}, Type: abi.TypeEvent, Connect: c.datagrams},
		Mode: load.Open, Rate: r.legit, Publishers: 1, Subscribers: 1, Topics: []string{"packets"}, Payload: load.Payload{Size: 128},
		Warmup: 200 * time.Millisecond, Duration: r.phase, Drain: 30 * time.Second, Timeout: time.Minute,
	}
	if k.listener == "streams" {
		format, _ := frame.Preset("mcp-seq")
		config.Address, config.Topics = fmt.Sprintf("%s:%d", nearAddress, streamsPort), []string{"streams"}
		config.Protocol = &load.Frames{Codec: format, Connect: c.stream}
	}
	return config
}

// clients are the connections of the legitimate sender, from the far end.
type clients struct {
	network *network
	mu      sync.Mutex
	list    []*client.Stream
}

func (c *clients) datagrams(ctx context.Context, address string) (net.Conn, error) {
	var made *client.Stream
	var err error
	c.network.do(func() { made, err = client.Dial(ctx, address, wire.Config{}) })
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, made)
	return made, nil
}

func (c *clients) stream(ctx context.Context, address string) (conn net.Conn, err error) {
	c.network.do(func() { conn, err = new(net.Dialer).DialContext(ctx, "tcp", address) })
	return conn, err
}

// counters are the datagrams that were sent, and those of them that were sent again.
func (c *clients) counters() (sent, again uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.list {
		counters := s.Counters()
		sent, again = sent+counters.Datagrams, again+counters.Retransmitted
	}
	return sent, again
}

// judge says what is wrong with a phase that the kernel's filter was in.
func (r *run) judge(o *outcome) {
	if n := lost(o); n > 0 {
		r.bad("%s: %d messages of the legitimate sender were lost, doubled or out of order", o.name, n)
	}
	if !o.exact() {
		r.bad("%s: the kernel has counted %d dropped and %d passed; the flood sent %d, the legitimate sender %d", o.name, o.dropped, o.passed, o.sent, o.own)
	}
}

func lost(o *outcome) uint64 {
	c := o.load.Counts
	return c.Lost + c.Duplicates + c.OutOfOrder + c.Foreign + c.Unsent
}

// table prints what both rounds found, and says what is wrong with their relation.
func (r *run) table(out io.Writer, without, with []outcome) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	program.Say(t, "flood\tfilter\toffered/s\tweft's CPU s\tof a core\tlegitimate p50\tp99\tlost\tsent again\tsent by the flood\tdropped by the kernel\tits passes")
	for i := range without {
		for j, o := range []*outcome{&without[i], &with[i]} {
			kernel := fmt.Sprintf("%d %s\t%d", o.dropped, o.reason, o.passed)
			if o.reason == "" {
				kernel = fmt.Sprintf("-\t%d", o.passed)
			}
			if j == 0 {
				kernel = "-\t-"
			}
			program.Say(t, "%s\t%s\t%.0f\t%.2f\t%.1f%%\t%v\t%v\t%d\t%d\t%d\t%s", o.name, [...]string{"weft", "kernel"}[j], float64(o.sent)/o.seconds, o.cpu.Seconds(), 100*o.cpu.Seconds()/o.seconds,
				time.Duration(o.load.Latency.P50).Round(time.Microsecond), time.Duration(o.load.Latency.P99).Round(time.Microsecond), lost(o), o.retransmitted, o.sent, kernel)
		}
	}
	_ = t.Flush() // words to a person may be lost
	for i := range without {
		off, on := &without[i], &with[i]
		if off.reason == "" || off.listener != "packets" {
			continue
		}
		share := on.cpu.Seconds() / on.seconds / (off.cpu.Seconds() / off.seconds)
		each := perPacket(on) / perPacket(off)
		program.Say(out, "%s: with the kernel's filter weft takes %.3f of the processor time that it takes without; %.3f for each packet of the flood (%.2f and %.2f us, all its time)",
			off.name, share, each, perPacket(on), perPacket(off))
		if each > r.mustShare {
			r.bad("%s: for each packet of the flood weft takes %.3f of the processor time, expected at most %g", off.name, each, r.mustShare)
		}
	}
}

// perPacket is all of weft's processor time over the flood's packets, in microseconds:
// floods differ where something else wants the processors, too.
func perPacket(o *outcome) float64 { return 1e6 * o.cpu.Seconds() / max(float64(o.sent), 1) }
