package backbone

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What an append may be answered with. Other errors are wrapped as they come.
var (
	// ErrBusy: as many appends wait for their answer as LogOptions.Pending allows.
	ErrBusy = errors.New("too many records wait for the log")
	// ErrFull: the log or the bucket holds what its bounds allow, and keeps that.
	ErrFull = errors.New("no room is left")
	// ErrAway: the backbone cannot be reached, and nothing took its place.
	ErrAway = errors.New("the backbone cannot be reached")
	// ErrClosed: the log, or what was made of it, is closed.
	ErrClosed = errors.New("the log is closed")
	// ErrTooLarge: the record is larger than the backbone takes.
	ErrTooLarge = errors.New("the record is too large for the backbone")
)

// LogOptions say what a log keeps.
type LogOptions struct {
	// Name is the log's name, any text: a route's.
	Name string
	// Size and Messages bound the log, in bytes and in records, Age how long a
	// record stays; 0 is no bound of that kind.
	Size, Messages int64
	Age            time.Duration
	// Window is how long an id of Append is remembered.
	Window time.Duration
	// DropOldest makes room for new records by dropping the oldest, which is
	// counted; otherwise new ones are refused with ErrFull.
	DropOldest bool
	// Pending is how many appends may wait for their answer; 0 is 65,536. The
	// bytes of their records may be PendingBytes; 0 is 64 MiB.
	Pending      int
	PendingBytes int64
	// Tries is how often a worker hands an entry out: with that try Entry.Last is
	// set. 0 is no end.
	Tries int
	// Works are the works that share the log from the start. One that is new begins
	// behind what the log has by then, or with its first record if FromFirst is set.
	Works     []string
	FromFirst bool
}

const (
	defaultPending      = 1 << 16
	defaultPendingBytes = 64 << 20
)

// Log is a durable route's log: records in the order in which they were
// acknowledged. Their numbers grow; there are gaps between them. All nodes share
// it. Its methods may be called by any goroutine; all but Append wait.
type Log struct {
	b          *Backbone
	options    LogOptions
	stream     *lazy
	name       string // the stream's
	subject    string // this node's
	subjects   string // all nodes'
	largest    int    // record, with its id
	groupBytes int
	counted    bool // records are counted: each has a message of its own
	writer     uint64
	batchFrom  int // so many records of their own make a batch

	appender appender
	skipped  atomic.Uint64
	opened   atomic.Uint64 // the stream's newest message then
	delays   *delays
	forward  *forward // nil with a server in this process
	patience time.Duration
	running  context.Context // until the log is closed
	stop     context.CancelFunc
	ended    chan struct{}

	// The log's goroutine's.
	at    position
	known bool // at is certain
	fresh bool // nobody has written behind it since, as far as this node knows
	asker asker
	// confirmed: the server has said that it keeps what the stream has up to here.
	confirmed uint64
	located   bool   // it was once
	before    uint64 // whose record was the newest then
	batchID   string
	batches   uint64
}

// Log opens a log, and creates or changes what holds it, if need be when the backbone
// is there. A log must not be open
// twice at a time. It is the caller's to Close, before the backbone.
func (b *Backbone) Log(ctx context.Context, o LogOptions) (*Log, error) {
	if o.Pending == 0 {
		o.Pending = defaultPending
	}
	if o.PendingBytes == 0 {
		o.PendingBytes = defaultPendingBytes
	}
	prefix, name := token(b.options.Prefix), token(o.Name)
	l := &Log{
		b: b, options: o, name: prefix + "_log_" + name,
		subject: prefix + ".log." + name + "." + token(b.options.Node), subjects: prefix + ".log." + name + ".*",
		counted: o.Messages > 0, batchFrom: batchFrom(b), patience: givesUpIn, batchID: nats.NewInbox()[len("_INBOX."):] + "-", ended: make(chan struct{}),
	}
	var err error
	if l.writer, err = b.writerID(); err != nil {
		return nil, fmt.Errorf("log %s: %w", o.Name, err)
	}
	most := int(b.payload())
	l.largest, l.groupBytes = most-messageOverhead, min(groupBytes, most-messageOverhead)
	if o.Size > 0 {
		// A small log is not to lose its all for one group.
		l.groupBytes = int(min(int64(l.groupBytes), o.Size/16))
	}
	if o.Size > 0 && o.DropOldest {
		// A record for which the whole log has no room would be dropped with the oldest,
		// as soon as it is there.
		l.largest = max(int(min(int64(l.largest), o.Size-messageOverhead)), 0)
	}
	l.asker.b = b
	l.appender.wake = make(chan struct{}, 1)
	l.running, l.stop = context.WithCancel(context.Background())
	l.delays = l.newDelays(prefix, name)
	l.stream = &lazy{b: b, open: l.openStream}
	err = l.stream.first(ctx)
	if err == nil && b.server == nil {
		err = l.beside(ctx)
	}
	if err != nil {
		l.stop()
		l.delays.end()
		return nil, fmt.Errorf("log %s: %w", o.Name, err)
	}
	go l.run(l.running)
	if b.server == nil {
		l.delays.moving.Go(func() { l.delays.await(l.running) })
	}
	return l, nil
}

// openStream creates or changes the stream, and begins to look after delayed records.
func (l *Log) openStream(ctx context.Context) (jetstream.Stream, error) {
	s, err := l.b.stream(ctx, l.options.stream(l.name, l.subjects))
	if err == nil {
		l.opened.Store(s.CachedInfo().State.LastSeq)
		err = l.openWorks(ctx, s)
	}
	if err == nil {
		err = l.delays.begin(ctx, false)
	}
	return s, err
}

// beside makes the log go on while the cluster is away. From which number on it must
// know before; if it cannot, it begins with the first as a writer that is new.
func (l *Log) beside(ctx context.Context) error {
	err := l.b.again(ctx, func(ctx context.Context) error {
		if _, err := l.stream.get(ctx); err != nil { // the cluster may be there only now
			return err
		}
		return l.locate(ctx)
	})
	if err != nil && !l.b.excused(err) {
		return err
	}
	l.patience = forwardAfter
	l.forward, err = l.newForward(ctx, err != nil)
	return err
}

// messageOverhead is what a record's message has beside the record and its id, and
// more.
const messageOverhead = 1 << 10

// stream is the configuration of what holds the log.
func (o *LogOptions) stream(name, subjects string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: name, Subjects: []string{subjects}, Discard: jetstream.DiscardNew,
		MaxBytes: orNone(o.Size), MaxMsgs: orNone(o.Messages), MaxAge: o.Age, Duplicates: o.Window,
		AllowDirect: true, AllowAtomicPublish: true,
	}
	if o.DropOldest {
		c.Discard = jetstream.DiscardOld
	}
	if o.Age > 0 && c.Duplicates > o.Age {
		c.Duplicates = o.Age
	}
	return c
}

func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// Appended is what became of a record.
type Appended struct {
	// Seq is the record's number in the log, 0 if it has none yet: it is delayed,
	// or in this node's own log until the backbone is back.
	Seq uint64
	// Duplicate says that a record with this id was there already.
	Duplicate bool
	// Err says why the record was not kept, or is not known to be: ErrFull, ErrAway,
	// ErrClosed or another. One that came to an end in the middle of a fault can turn up
	// all the same.
	Err error
}

// Close ends the log on this node. Records that were handed over are written
// before, until ctx is done: then they are answered with ErrClosed. The caller
// closes its followers and workers.
func (l *Log) Close(ctx context.Context) error {
	l.appender.close()
	select {
	case <-l.ended:
	case <-ctx.Done():
	}
	l.stop()
	<-l.ended
	if l.forward != nil {
		<-l.forward.ended
	}
	l.delays.end()
	return nil
}

// LogInfo is a log's state.
type LogInfo struct {
	// First and Last are the numbers of the oldest and the newest record; of an
	// empty log First is larger. Records is how many there are, exactly if one node
	// writes to the log, Bytes what they take.
	First, Last    uint64
	Records, Bytes uint64
	// Oldest and Newest are when those records were kept.
	Oldest, Newest time.Time
	// Waiting is how many appends wait for their answer, WaitingBytes their size.
	Waiting      int
	WaitingBytes int64
	// Delayed is how many records wait for their time.
	Delayed uint64
	// Skipped counts the records that retention dropped before this node's
	// followers had read them.
	Skipped uint64
	// Away says that the backbone cannot be reached and that appends go to this
	// node's own log, where Backlog records of BacklogBytes wait, the oldest since
	// BacklogSince.
	Away          bool
	Backlog       uint64
	BacklogBytes  uint64
	BacklogSince  time.Time
	BacklogFailed uint64 // records of the backlog which the backbone refused
}
