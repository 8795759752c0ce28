package backbone

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// WorkOptions say how the nodes share a log's records.
type WorkOptions struct {
	// Name is the work's, any text: workers of all nodes with the same name share
	// it, and its position outlives them.
	Name string
	// MaxPending is how many messages of the log may be handed out and not answered,
	// by all nodes together; 0 is 4,096. A message is one record, or a group of up to
	// 512 and 256 KiB which were appended at the same time.
	MaxPending int
	// MaxBytes is how much a worker holds before the work's messages are bounded to 256
	// from then on; 0 is 64 MiB.
	MaxBytes int
	// Batch is how many entries Next returns at most; 0 is 64.
	Batch int
	// Wait is after how long without a sign of life from the node that has it an
	// entry goes to another; 0 is 10 s. A worker gives the signs by itself for as
	// long as it lives.
	Wait time.Duration
	// From is the number of the first record, when the work is new: 0 is where
	// LogOptions say that new ones begin.
	From uint64
}

// Worker hands out each record of a log to one of the nodes that share the work,
// until it is answered with Ack or Drop. Records begin in order; an entry that is
// tried again comes after others that were behind it.
type Worker struct {
	l       *Log
	o       WorkOptions
	from    uint64 // of a new work
	mu      sync.Mutex
	it      jetstream.MessagesContext
	held    map[uint64]*held // by the message's sequence
	bytes   int              // what is held takes
	fewer   bool             // there is too much: no more than fewPending messages from now on
	ready   []Entry          // in order
	later   []retried        // in no order: there are few
	changed chan struct{}    // holds one: ready or later have more
	closed  bool
	closing chan struct{}
	ended   sync.WaitGroup
}

// held is a message of which not all records are answered.
type held struct {
	worker *Worker
	msg    jetstream.Msg
	seq    uint64
	tries  int // of the message
	left   int
	bytes  int
	done   []bool
	again  []int // how often each record was tried again from here
}

type retried struct {
	at    time.Time
	entry Entry
}

const (
	defaultMaxPending = 4096
	fewPending        = 256
	defaultMaxBytes   = 64 << 20
	entryOverhead     = 160 // of a record in memory
	defaultWorkBatch  = 64
	defaultWait       = 10 * time.Second
	minWait           = time.Second
)

// fill puts the defaults in place.
func (o *WorkOptions) fill() {
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Batch <= 0 {
		o.Batch = defaultWorkBatch
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	o.Wait = max(o.Wait, minWait)
}

// Work joins a work, and creates it if it is new.
func (l *Log) Work(ctx context.Context, o WorkOptions) (*Worker, error) {
	o.fill()
	w := &Worker{l: l, o: o, held: make(map[uint64]*held), changed: make(chan struct{}, 1), closing: make(chan struct{})}
	if err := w.begin(ctx); err != nil {
		return nil, l.wrap(fmt.Errorf("work %s: %w", o.Name, err))
	}
	w.ended.Add(2)
	go w.pull()
	go w.signs()
	return w, nil
}

func (w *Worker) begin(ctx context.Context) error {
	c, err := w.consumer(ctx)
	if err != nil {
		return known(err)
	}
	it, err := c.Messages(jetstream.PullMaxMessages(min(w.o.MaxPending, fewPending)), jetstream.PullExpiry(10*followIdle), jetstream.PullHeartbeat(followIdle), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return known(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		it.Stop()
		return ErrClosed
	}
	w.it = it
	return nil
}

func (w *Worker) consumer(ctx context.Context) (jetstream.Consumer, error) {
	s, err := w.l.stream.get(ctx)
	if err != nil {
		return nil, err
	}
	most := w.o.MaxPending
	w.mu.Lock()
	if w.fewer {
		most = min(most, fewPending)
	}
	w.mu.Unlock()
	there, err := s.Consumer(ctx, token(w.o.Name))
	if err == nil {
		c := there.CachedInfo().Config
		if c.MaxAckPending == most && c.AckWait == w.o.Wait {
			return there, nil
		}
		c.MaxAckPending, c.AckWait = most, w.o.Wait
		return s.UpdateConsumer(ctx, c)
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	from := w.o.From
	if from == 0 {
		from = w.l.worksFrom()
	}
	w.from = from
	return newWork(ctx, s, w.o, from)
}

// pull takes messages over as they come. How many come the server bounds.
func (w *Worker) pull() {
	defer w.ended.Done()
	wait := retryFirst
	for {
		w.mu.Lock()
		it := w.it
		w.mu.Unlock()
		m, err := it.Next()
		if err == nil {
			wait = retryFirst
			w.take(m)
			w.bound()
			continue
		}
		w.mu.Lock()
		closed := w.closed
		w.mu.Unlock()
		if closed {
			return
		}
		it.Stop()
		for {
			select {
			case <-w.closing:
				return
			case <-time.After(wait):
				wait = min(2*wait, retryMost)
			}
			ctx, cancel := context.WithTimeout(context.Background(), answersIn)
			err := w.begin(ctx)
			cancel()
			if err == nil {
				break
			}
		}
	}
}

// take holds a message, and makes its records ready.
func (w *Worker) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	seq := meta.Sequence.Stream
	d, err := decode(m.Data())
	if err != nil {
		w.l.b.options.Logger.Error("a record of the log cannot be read, and is left out", "log", w.l.options.Name, "record", seqOf(seq, 0), "error", err)
		_ = m.Term()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.held[seq]; h != nil {
		// The signs of life did not get there in time: it is still here.
		h.msg = m
		return
	}
	h := &held{worker: w, msg: m, seq: seq, tries: int(meta.NumDelivered), left: d.count, bytes: len(m.Data()) + d.count*entryOverhead, done: make([]bool, d.count), again: make([]int, d.count)}
	w.held[seq] = h
	w.bytes += h.bytes
	from := 0
	if stream, place := placeOf(w.from); stream == seq {
		from = place
	}
	for i := range from {
		h.done[i] = true
		h.left--
	}
	if h.left <= 0 {
		_ = w.release(h) // what is not heard of comes again
		return
	}
	tried := Entry{Time: meta.Timestamp, Tries: h.tries, work: h}
	tried.Last = w.last(h.tries)
	n := len(w.ready)
	w.ready = d.records(w.ready, tried, seq, from)
	for i := n; i < len(w.ready); i++ {
		w.ready[i].at = from + i - n
	}
	w.wake()
}

// bound has the server hand out fewer messages once what is held takes too much. What
// is on its way by then comes all the same: it is no more than one pull asks for.
func (w *Worker) bound() {
	w.mu.Lock()
	now := !w.fewer && w.bytes > w.o.MaxBytes
	w.fewer = w.fewer || now
	w.mu.Unlock()
	if !now {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answersIn)
	defer cancel()
	if _, err := w.consumer(ctx); err != nil {
		w.mu.Lock()
		w.fewer = false // the next message has it tried again
		w.mu.Unlock()
	}
}

func (w *Worker) last(tries int) bool { return w.l.options.Tries > 0 && tries >= w.l.options.Tries }

func (w *Worker) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Next waits for entries. The error wraps ErrClosed or ctx's.
func (w *Worker) Next(ctx context.Context) ([]Entry, error) {
	for {
		entries, due := w.due()
		if len(entries) > 0 {
			return entries, nil
		}
		var timer <-chan time.Time
		if due > 0 {
			timer = time.After(due)
		}
		select {
		case <-w.changed:
		case <-timer:
		case <-w.closing:
			return nil, w.l.wrap(ErrClosed)
		case <-ctx.Done():
			return nil, w.l.wrap(ctx.Err())
		}
	}
}

// due takes what can be handed out: what is tried again first. If there is nothing
// it tells in how long there is; 0 is not known.
func (w *Worker) due() (entries []Entry, in time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, 0
	}
	now := time.Now()
	for i := 0; i < len(w.later) && len(entries) < w.o.Batch; {
		if left := w.later[i].at.Sub(now); left > 0 {
			if in == 0 || left < in {
				in = left
			}
			i++
			continue
		}
		entries = append(entries, w.later[i].entry)
		last := len(w.later) - 1
		w.later[i], w.later[last] = w.later[last], retried{}
		w.later = w.later[:last]
	}
	n := min(w.o.Batch-len(entries), len(w.ready))
	entries = append(entries, w.ready[:n]...)
	clear(w.ready[:n])
	if w.ready = w.ready[n:]; len(w.ready) == 0 {
		w.ready = nil
	}
	return entries, in
}
