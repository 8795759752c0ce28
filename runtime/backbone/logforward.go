package backbone

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// forward is how a log goes on while the external cluster is away. Its messages, as
// they would have gone there, go to a stream of a server in this process, in a folder
// beside the rest; when the cluster is back they are sent in order, and new ones go
// behind them until there are none.
//
// Exactly once: the messages keep the numbers that write counts them with. Those that
// the cluster has by the count of the node's newest message there are left out, also
// the one whose answer did not come when the cluster went away, and those that this
// process had sent when it was killed.
type forward struct {
	l       *Log
	local   *Log // the stream beside; only what get and Purge need
	subject string

	// mu is held while a message is kept here, and while the way is changed.
	mu     sync.Mutex
	active bool // appends go here
	last   uint64
	next   uint64 // record of this node
	sent   uint64 // the newest message that the cluster has
	writer uint64 // of what was here before; 0 for none

	away                    atomic.Bool // active, for who must not wait
	records, bytes, refused atomic.Int64
	since                   atomic.Int64 // when the oldest record was kept, in ns; 0 if there is none
	begun                   chan struct{}
	ended                   chan struct{}
}

const (
	headerID     = "Weft-Id"
	headerDue    = "Weft-Due"
	forwardDir   = "forward"
	forwardSlack = 64 << 20
	defaultKeep  = 1 << 30
	// forwardAfter is how long the cluster may not answer.
	forwardAfter = 2 * time.Second
	// forwardAtOnce is how many messages are read and sent at once; forwardTurn is how
	// many records are kept between two such turns, of those that have a message each.
	forwardAtOnce = 256
	forwardTurn   = forwardAtOnce / 4
)

// beside is the server in this process of a node with an external cluster.
type beside struct {
	mu sync.Mutex
	b  *Backbone
}

// startBeside starts the server that keeps what the cluster does not take.
func (b *Backbone) startBeside(ctx context.Context) (*Backbone, error) {
	b.beside.mu.Lock()
	defer b.beside.mu.Unlock()
	if b.beside.b != nil {
		return b.beside.b, nil
	}
	if b.options.Forward == 0 {
		b.options.Forward = defaultKeep
	}
	// The bound is ours: the server would stop at its own.
	local, err := Open(ctx, Options{
		Node: b.options.Node, Dir: filepath.Join(b.options.Dir, forwardDir), Size: 2*b.options.Forward + forwardSlack,
		SyncEvery: b.options.SyncEvery, Prefix: b.options.Prefix, Logger: b.options.Logger.With("backbone", "beside"),
	})
	if err != nil {
		return nil, fmt.Errorf("this node's own log: %w", err)
	}
	b.beside.b = local
	return local, nil
}

func (b *Backbone) closeBeside(ctx context.Context) error {
	b.beside.mu.Lock()
	defer b.beside.mu.Unlock()
	if b.beside.b == nil {
		return nil
	}
	return b.beside.b.Close(ctx)
}

// newForward opens the stream beside; what it has from before is sent first. away says
// that what the cluster has is not known: everything waits here until it is.
func (l *Log) newForward(ctx context.Context, away bool) (*forward, error) {
	b, err := l.b.startBeside(ctx)
	if err != nil {
		return nil, err
	}
	name := token(b.options.Prefix) + "_forward_" + token(l.options.Name)
	f := &forward{l: l, subject: "forward." + token(l.options.Name), begun: make(chan struct{}, 1), ended: make(chan struct{})}
	stream, err := b.stream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{f.subject}, AllowDirect: true, AllowAtomicPublish: true})
	if err != nil {
		return nil, fmt.Errorf("this node's own log: %w", err)
	}
	f.local = &Log{
		b: b, options: l.options, name: name, stream: opened(b, stream), patience: givesUpIn, batchFrom: batchFrom(b), batchID: l.batchID + "kept-",
		asker: asker{b: b},
	}
	state := stream.CachedInfo().State
	f.sent, f.last = state.LastSeq, state.LastSeq
	if state.Msgs > 0 {
		f.sent = state.FirstSeq - 1
		if err := f.recover(ctx); err != nil {
			return nil, fmt.Errorf("this node's own log: %w", err)
		}
		if err := f.continued(ctx, away); err != nil {
			return nil, err
		}
	}
	if away || state.Msgs > 0 {
		f.activate()
	}
	go f.run()
	return f, nil
}

// continued goes on with the numbers of what is there from before, which the writer
// may have had who was this node then.
func (f *forward) continued(ctx context.Context, away bool) error {
	l := f.l
	if f.writer != 0 && f.writer != l.writer {
		l.writer, l.at.next = f.writer, 0
		if !away {
			if err := l.locate(ctx); err != nil {
				return err
			}
		}
	}
	f.next = max(f.next, l.at.next)
	return nil
}

// recover counts what is there from before.
func (f *forward) recover(ctx context.Context) error {
	for from := f.sent + 1; ; {
		list, whole, err := f.local.get(ctx, getRequest{Seq: from, Batch: forwardAtOnce, MaxBytes: readBytes})
		if err != nil {
			return err
		}
		for _, m := range list {
			d, err := decode(m.data)
			if err != nil {
				return err
			}
			f.count(d.count, len(m.data))
			if f.since.Load() == 0 {
				f.since.Store(m.time.UnixNano())
			}
			if m.header.Get(headerDue) == "" {
				f.next, f.writer = d.first+uint64(d.count), d.writer
			}
			from = m.seq + 1
		}
		if whole || len(list) == 0 {
			return nil
		}
	}
}

func (f *forward) count(records, bytes int) {
	f.records.Add(int64(records))
	f.bytes.Add(int64(bytes))
	f.l.b.besideBytes.Add(int64(bytes))
}

// activate sends appends here. mu is held, or nobody else is there yet.
func (f *forward) activate() {
	f.active = true
	f.away.Store(true)
	select {
	case f.begun <- struct{}{}:
	default:
	}
	f.l.b.options.Logger.Warn("backbone is away: durable messages wait in this node's own log", "log", f.l.options.Name, "waiting", f.records.Load())
}

// begin changes the way from the cluster to here, with the numbers where they are.
func (f *forward) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.active {
		f.next = f.l.at.next
		f.activate()
	}
}

// take keeps a group here, from record i on, for as long as that is the way. It
// returns the first record that it did not take.
func (f *forward) take(ctx context.Context, g *group, i int) int {
	if f == nil {
		return i
	}
	for i < len(g.records) {
		n := f.takeSome(ctx, g, i)
		if n == 0 {
			break
		}
		i += n
	}
	return i
}

// takeSome keeps a message, or those of several records, and returns how many records
// they have.
func (f *forward) takeSome(ctx context.Context, g *group, i int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch n := min(len(g.records)-i, forwardTurn); {
	case !f.active:
		return 0
	case g.kind == packed:
		g.answer(0, len(g.records), f.keep(ctx, g.data, len(g.records), nil))
		return len(g.records)
	case g.kind == singles && n >= f.local.batchFrom && f.room(g.bytes(i, i+n)):
		g.answer(i, i+n, f.keepBatch(ctx, g, i, n))
		return n
	default:
		for k := range n {
			f.keepSingle(ctx, g, i+k)
		}
		return n
	}
}

// keepSingle stores a record that has a message of its own.
func (f *forward) keepSingle(ctx context.Context, g *group, i int) {
	a, h, numbers := &g.records[i], nats.Header{}, 1
	if a.id != "" {
		h.Set(headerID, a.id)
	}
	if g.kind == delayed {
		numbers = 0
		h.Set(headerDue, strconv.FormatInt(a.due.UnixNano(), 10))
	}
	a.done(f.keep(ctx, g.message(i), numbers, h))
}

// keepBatch stores n records, from i on, at once.
func (f *forward) keepBatch(ctx context.Context, g *group, i, n int) Appended {
	ack, err := f.local.asker.batch(ctx, batch{
		id: f.local.nextBatch(), subject: f.subject, size: n,
		message: func(k int, h nats.Header) []byte {
			if id := g.records[i+k].id; id != "" {
				h[headerID] = []string{id}
			}
			data := g.message(i + k)
			setOrigin(data, f.l.writer, f.next+uint64(k))
			return data
		},
	})
	return f.kept(ack, err, n, n, g.bytes(i, i+n))
}

// room tells whether so many bytes may be kept as well.
func (f *forward) room(bytes int) bool {
	b := f.l.b
	return b.besideBytes.Load()+int64(bytes) <= b.options.Forward
}

// keep stores a message that takes so many of the node's numbers.
func (f *forward) keep(ctx context.Context, data []byte, numbers int, h nats.Header) Appended {
	if !f.room(len(data)) {
		return Appended{Err: f.l.wrap(fmt.Errorf("%w: the backbone is away, and this node's own log has what backbone.forward allows", ErrFull))}
	}
	setOrigin(data, f.l.writer, f.next)
	ack, err := f.local.asker.ask(ctx, &nats.Msg{Subject: f.subject, Header: h, Data: data})
	return f.kept(ack, err, numbers, max(numbers, 1), len(data))
}

// kept counts what was stored, if it was. Whether or not: its numbers are not given again.
func (f *forward) kept(ack pubAck, err error, numbers, records, bytes int) Appended {
	f.next += uint64(numbers)
	if err != nil {
		return Appended{Err: f.l.wrap(fmt.Errorf("this node's own log: %w", err))}
	}
	f.last = ack.Seq
	f.count(records, bytes)
	f.since.CompareAndSwap(0, time.Now().UnixNano())
	return Appended{}
}

// endAsking is called when nothing will be kept any more.
func (f *forward) endAsking() {
	if f != nil {
		f.local.asker.end()
	}
}

// info fills in what is kept here.
func (f *forward) info(i *LogInfo) {
	if f == nil {
		return
	}
	i.Away = f.away.Load()
	i.Backlog, i.BacklogBytes, i.BacklogFailed = uint64(max(f.records.Load(), 0)), uint64(max(f.bytes.Load(), 0)), uint64(f.refused.Load())
	if ns := f.since.Load(); ns != 0 {
		i.BacklogSince = time.Unix(0, ns)
	}
}
