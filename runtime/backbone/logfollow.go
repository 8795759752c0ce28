package backbone

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Follower reads a log's records from a number on, in order and without a gap but
// for what retention dropped. One goroutine at a time uses it.
type Follower struct {
	l         *Log
	max       int
	gaps      gaps
	place     int // in the first message
	delivered uint64
	rest      []Entry // of a group that was larger than max
	entries   []Entry

	mu       sync.Mutex
	it       jetstream.MessagesContext // nil: to be made
	consumer string
	closed   chan struct{}
}

const (
	followBytes = 1 << 20
	followIdle  = 2 * time.Second // without a sign of life for twice as long: made anew
	// It is looked whether there is nothing to read after followIdle, then seldomer.
	followIdleMost = 16 * time.Second
	followGone     = time.Minute // after which the server forgets the follower
)

// Follow begins with the record from, or with the first behind it that is there; 0
// is the first, and one beyond the last waits for those to come. The follower hands
// out at most max records at a time, and holds a megabyte, or the largest message that
// the backbone takes. It keeps no position: who follows remembers the last Seq, and
// begins with Seq+1. That the backbone is away is no error.
func (l *Log) Follow(ctx context.Context, from uint64, max int) (*Follower, error) {
	f := &Follower{l: l, max: max, gaps: gaps{writers: make(map[uint64]uint64)}, closed: make(chan struct{})}
	f.gaps.next, f.place = placeOf(from)
	if _, err := f.begin(ctx); err != nil && !errors.Is(err, ErrAway) {
		return nil, l.wrap(fmt.Errorf("follow: %w", err))
	}
	return f, nil
}

func orOne(n uint64) uint64 {
	if n == 0 {
		return 1
	}
	return n
}

// begin makes a consumer that goes on where the follower is. The server keeps it in
// memory, and tells it messages in order; which of them got lost on the way shows in
// the numbers that it counts them with.
func (f *Follower) begin(ctx context.Context) (jetstream.MessagesContext, error) {
	s, err := f.l.stream.get(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: orOne(f.gaps.next),
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: followGone,
	})
	if err != nil {
		return nil, known(err)
	}
	most := max(followBytes, int(f.l.b.payload())+messageOverhead)
	it, err := c.Messages(jetstream.PullMaxBytes(most), jetstream.PullExpiry(10*followIdle), jetstream.PullHeartbeat(followIdle), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return nil, known(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		it.Stop()
		return nil, ErrClosed
	default:
	}
	f.it, f.consumer, f.delivered = it, c.CachedInfo().Name, 0
	return it, nil
}

// end gives the consumer up.
func (f *Follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.it == nil {
		return
	}
	f.it.Stop()
	f.it = nil
	if f.l.b.conn.IsConnected() {
		// Without an answer: the server forgets it soon anyway.
		_ = f.l.b.conn.Publish("$JS.API.CONSUMER.DELETE."+f.l.name+"."+f.consumer, nil)
	}
}

// Next waits for records. The error wraps ErrClosed or ctx's; what the backbone
// does meanwhile, coming and going, is no error.
func (f *Follower) Next(ctx context.Context) ([]Entry, error) {
	wait := retryFirst
	for {
		if len(f.rest) > 0 {
			return f.hand(), nil
		}
		m, err := f.message(ctx)
		if err == nil {
			err = f.take(m)
		}
		if err == nil {
			wait = retryFirst
			continue
		}
		f.end()
		select {
		case <-f.closed:
			return nil, f.l.wrap(ErrClosed)
		default:
		}
		if ctx.Err() != nil {
			return nil, f.l.wrap(ctx.Err())
		}
		if f.l.b.conn.IsClosed() {
			return nil, f.l.wrap(ErrClosed)
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		case <-ctx.Done():
		case <-f.closed:
		}
	}
}

// message waits for the next message.
func (f *Follower) message(ctx context.Context) (jetstream.Msg, error) {
	f.mu.Lock()
	it := f.it
	f.mu.Unlock()
	if it == nil {
		began, cancel := context.WithTimeout(ctx, answersIn)
		defer cancel()
		var err error
		if it, err = f.begin(began); err != nil {
			return nil, err
		}
	}
	for wait := followIdle; ; wait = min(2*wait, followIdleMost) {
		waiting, cancel := context.WithTimeout(ctx, wait)
		m, err := it.Next(jetstream.NextContext(waiting))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
		if err := f.stuck(ctx); err != nil {
			return nil, err
		}
	}
}

var errStuck = errors.New("the consumer does not go on")

// stuck looks whether there is something that the follower is not told of: the signs
// of life of a consumer say nothing about that.
func (f *Follower) stuck(ctx context.Context) error {
	list, _, err := f.l.get(ctx, getRequest{Seq: orOne(f.gaps.next), Batch: 1})
	if err != nil || len(list) == 0 {
		return nil // the consumer's own heartbeats tell of what is wrong
	}
	if time.Since(list[0].time) < followIdle {
		return nil // on its way
	}
	return errStuck
}

var errLost = errors.New("a message was lost on the way")

// take reads a message's records into rest.
func (f *Follower) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if meta.Sequence.Consumer != f.delivered+1 {
		return errLost
	}
	f.delivered++
	d, err := decode(m.Data())
	if err != nil {
		f.l.unreadable(meta.Sequence.Stream, err)
		f.gaps.next, f.place = meta.Sequence.Stream+1, 0
		return nil
	}
	place := 0
	if meta.Sequence.Stream == f.gaps.next {
		place = f.place
	}
	f.place = 0
	clear(f.entries)
	f.entries = d.records(f.entries[:0], Entry{Time: meta.Timestamp, Skipped: f.gaps.skipped(meta.Sequence.Stream, d)}, meta.Sequence.Stream, place)
	f.rest = f.entries
	return nil
}

func (f *Follower) hand() []Entry {
	n := min(len(f.rest), max(f.max, 1))
	entries := f.rest[:n:n]
	f.rest = f.rest[n:]
	if skipped := entries[0].Skipped; skipped > 0 {
		f.l.skipped.Add(skipped)
	}
	return entries
}

// Close ends the follower; a Next that waits returns. Any goroutine may call it.
func (f *Follower) Close() {
	f.mu.Lock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	f.mu.Unlock()
	f.end()
}
