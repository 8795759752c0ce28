package backbone

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is what became of a key.
type Change struct {
	// Key is the key, and Value what it has now, which is the receiver's. Rev is its
	// revision, which grows with each change of the bucket; 0 with Deleted if it is
	// not known.
	Key   string
	Value []byte
	Rev   uint64
	// Deleted says that the key is no more: deleted, or its time was over.
	Deleted bool
	// Ready says that everything which was there at first has been told. It comes
	// once, alone, without a key; with Follow at the end of each list.
	Ready bool
	// Begin comes with Follow alone, without a key: a list of everything begins, and
	// what it does not have until Ready is gone.
	Begin bool
}

const (
	watchAhead     = 256              // changes that wait for the receiver
	watchHeartbeat = 5 * time.Second  // twice that without a word: the consumer is gone
	watchInactive  = time.Minute      // after which the servers forget a consumer
	watchListPause = time.Second      // how long a first value may take before it is asked for
	watchPause     = 15 * time.Second // and a later one
	backoffFirst   = 100 * time.Millisecond
	backoffMost    = 5 * time.Second
)

// Watch tells of the keys with the prefix, the empty one is all: first what is there,
// in any order, then Change.Ready, then each change in its order. Of several changes
// in a row the last one alone may be told. A key that is deleted before it was told of
// is not told at all.
//
// It outlives the loss of the connection: afterwards it tells what has changed
// meanwhile, deletions included, for which it remembers the keys. It ends, and closes
// the channel, when ctx does or the backbone is closed. A receiver that does not read
// holds up itself alone: at most 256 changes wait in this process.
func (k *Bucket) Watch(ctx context.Context, prefix string) (<-chan Change, error) {
	w := &watcher{bucket: k, prefix: prefix, changes: make(chan Change, watchAhead), live: map[string]struct{}{}}
	if err := w.open(ctx); err != nil {
		return nil, k.fault(prefix, err)
	}
	go func() {
		defer close(w.changes)
		w.run(ctx)
	}()
	return w.changes, nil
}

// Follow is Watch for who keeps a copy of all keys, and changes them too. It remembers
// no keys, so that deletions are told also of keys that were not told of; and what is
// there is told again after it was away for too long to know what has changed: each
// such list, the first as well, is between a Change with Begin and one with Ready.
func (k *Bucket) Follow(ctx context.Context, prefix string) (<-chan Change, error) {
	w := &watcher{bucket: k, prefix: prefix, changes: make(chan Change, watchAhead), follow: true}
	if err := w.open(ctx); err != nil {
		return nil, k.fault(prefix, err)
	}
	go func() {
		defer close(w.changes)
		w.run(ctx)
	}()
	return w.changes, nil
}

// watcher reads a bucket's stream by a consumer that the servers forget by themselves.
type watcher struct {
	bucket   *Bucket
	prefix   string
	keysOnly bool
	follow   bool
	changes  chan Change

	consumer jetstream.Consumer
	next     uint64 // the consumer's number of the message to come
	renewed  <-chan struct{}
	last     uint64    // the newest revision that was read
	heard    time.Time // when the consumer was last known to work
	silence  silence

	ready   bool
	relist  bool                // with follow: a list was begun and has not ended
	live    map[string]struct{} // keys that were told of; nil with keysOnly
	listing map[string]struct{} // keys that a further list has; nil while there is none
	pending uint64              // values that the list still has
}

// run reads until ctx ends, and begins again where the consumer was lost.
func (w *watcher) run(ctx context.Context) {
	wait := backoffFirst
	for {
		before := w.last
		if w.consumer != nil {
			_ = w.read(ctx)
			w.forget()
		}
		if ctx.Err() != nil || w.bucket.b.conn.IsClosed() {
			return
		}
		if w.last != before {
			wait = backoffFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-w.bucket.b.closed:
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, backoffMost)
		_ = w.open(ctx) // else again
	}
}

// open makes a consumer: of the newest value of each key the first time and where too
// much may have been missed, else of what came since.
func (w *watcher) open(ctx context.Context) error {
	k := w.bucket
	c := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: watchInactive,
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: w.keysOnly,
	}
	for _, f := range filters(w.prefix) {
		c.FilterSubjects = append(c.FilterSubjects, k.prefix+f)
	}
	resume := w.ready && w.listing == nil && !w.relist && time.Since(w.heard) < markersFor/2
	s, err := k.stream.get(ctx)
	if err != nil {
		return err
	}
	if resume {
		info, err := s.Info(ctx)
		if err != nil {
			return known(err)
		}
		if resume = info.State.LastSeq >= w.last && w.last > 0; resume {
			c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, w.last+1
		}
	}
	w.renewed = k.b.renewed()
	consumer, err := s.CreateConsumer(ctx, c)
	if err != nil {
		return known(err)
	}
	w.consumer, w.next, w.heard, w.silence = consumer, 1, time.Now(), silence{}
	w.pending, w.listing = 0, nil
	if !resume {
		w.pending = consumer.CachedInfo().NumPending
		switch {
		case w.follow:
			w.relist = true
		case w.ready:
			w.listing = map[string]struct{}{}
		}
	}
	return nil
}

// forget lets the servers forget the consumer at once, if they can be reached.
func (w *watcher) forget() {
	c := w.consumer
	w.consumer = nil
	if !w.bucket.b.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := w.bucket.stream.get(ctx)
	if err != nil {
		return
	}
	_ = s.DeleteConsumer(ctx, c.CachedInfo().Name) // they do it after watchInactive else
}

var errWatchAgain = fmt.Errorf("%w: a consumer has to be made again", ErrAway)

// read hands on what the consumer has, until it or ctx ends.
func (w *watcher) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	iter, err := w.consumer.Messages(jetstream.PullMaxMessages(watchAhead), jetstream.PullHeartbeat(watchHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() { // what was on its way to a connection that is no more is lost
		defer close(stopped)
		select {
		case <-w.renewed:
			cancel()
		case <-w.bucket.b.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		iter.Stop()
		<-stopped
	}()
	if w.relist && !w.send(ctx, Change{Begin: true}) || w.pending == 0 && !w.listed(ctx) {
		return ctx.Err()
	}
	for {
		m, err := w.take(ctx, iter)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != w.next {
			return errWatchAgain
		}
		w.next++
		if !w.tell(ctx, m, meta.Sequence.Stream) {
			return ctx.Err()
		}
		w.last, w.heard = meta.Sequence.Stream, time.Now()
		if w.pending > 0 {
			if w.pending--; meta.NumPending == 0 {
				w.pending = 0
			}
			if w.pending == 0 && !w.listed(ctx) {
				return ctx.Err()
			}
		}
	}
}

// take waits for a message; none if it took long.
func (w *watcher) take(ctx context.Context, iter jetstream.MessagesContext) (jetstream.Msg, error) {
	pause := w.silence.pause()
	if w.pending > 0 {
		pause = watchListPause
	}
	short, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	m, err := iter.Next(jetstream.NextContext(short))
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		w.silence = silence{}
		return m, err
	}
	info, err := w.consumer.Info(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	if err != nil { // its answer may be behind values that take their time
		info = nil
	}
	nothing, lost := w.silence.explained(info, w.next)
	if lost {
		return nil, errWatchAgain
	}
	if nothing {
		w.heard = time.Now()
	}
	if nothing && w.pending > 0 { // a list's last values may have been deleted under its hands
		w.pending = 0
		if !w.listed(ctx) {
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// silence is of a consumer that has sent nothing for a while. That it lives, which its
// heartbeats say, is not all: the question for messages, or one of them, may have been
// lost between servers that have just met. So it is asked what it has told.
type silence struct {
	since time.Time // it has told, or has, more than came; zero while all came
}

// pause is how long to wait before it is asked.
func (s *silence) pause() time.Duration {
	if s.since.IsZero() {
		return watchPause
	}
	return watchListPause
}

// explained takes what the consumer says, or nil if it does not answer, and the number of
// the message to come: nothing says that there is none yet, lost that it does not come.
func (s *silence) explained(info *jetstream.ConsumerInfo, next uint64) (nothing, lost bool) {
	if info != nil {
		told := info.Delivered.Consumer >= next
		switch {
		case info.Delivered.Consumer+1 < next: // its server has begun again, and made it anew
			return false, true
		case !told && info.NumPending == 0:
			s.since = time.Time{}
			return true, false
		case !told && info.NumWaiting == 0: // nobody asks it
			return false, true
		}
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	return false, time.Since(s.since) > 2*watchHeartbeat
}

// tell hands on one message; false if ctx ended.
func (w *watcher) tell(ctx context.Context, m jetstream.Msg, rev uint64) bool {
	k := w.bucket
	key, ok := keyOfSubject(m.Subject()[len(k.prefix):])
	if !ok || len(key) < len(w.prefix) || key[:len(w.prefix)] != w.prefix {
		return true
	}
	c := Change{Key: key, Rev: rev, Deleted: isMarker(m.Headers())}
	if w.live != nil {
		if _, there := w.live[key]; c.Deleted && !there {
			return true
		}
		if c.Deleted {
			delete(w.live, key)
		} else {
			w.live[key] = struct{}{}
			if w.listing != nil {
				w.listing[key] = struct{}{}
			}
		}
	}
	if !c.Deleted && !w.keysOnly {
		c.Value = m.Data()
	}
	return w.send(ctx, c)
}

// listed is the end of a list: what it did not have any more is gone.
func (w *watcher) listed(ctx context.Context) bool {
	if w.listing != nil {
		for key := range w.live {
			if _, there := w.listing[key]; there {
				continue
			}
			delete(w.live, key)
			if !w.send(ctx, Change{Key: key, Deleted: true}) {
				return false
			}
		}
		w.listing = nil
	}
	if w.ready && !w.relist {
		return true
	}
	w.ready, w.relist = true, false
	return w.send(ctx, Change{Ready: true})
}

func (w *watcher) send(ctx context.Context, c Change) bool {
	select {
	case w.changes <- c:
		return true
	case <-ctx.Done():
		return false
	}
}
