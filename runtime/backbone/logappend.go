package backbone

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// appender is the way of a log's records from Append to the sender.
type appender struct {
	mu      sync.Mutex
	queue   []*group // closed for the sender but the last one
	free    []*group
	waiting int
	bytes   int64
	closed  bool
	wake    chan struct{} // holds one
}

// Append hands a record over to the log, and copies it. Records are kept in the
// order in which they were handed over. Of those that have the same id within
// Window only the first is kept; an empty id is nobody's. A delay keeps the record
// from followers and workers for as long, or up to a second longer; delayed records
// come behind what was appended until then.
//
// done is called once, on the log's own goroutine, when the record is where the
// backbone's SyncEvery wants it, or cannot be kept; it must not wait. Append never
// waits for the backbone; it fails with ErrBusy, ErrClosed or ErrTooLarge, and then
// done is not called.
func (l *Log) Append(id string, delay time.Duration, record []byte, done func(Appended)) error {
	if size := len(record) + len(id); size > l.largest {
		return fmt.Errorf("log %s: %w: %d bytes, it takes %d", l.options.Name, ErrTooLarge, size, l.largest)
	}
	id = safeID(id)
	a := appending{id: id, done: done}
	kind := packed
	switch {
	case delay > 0:
		kind, a.due = delayed, time.Now().Add(delay)
	case id != "" || l.counted:
		kind = singles
	}
	q := &l.appender
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	if q.waiting >= l.options.Pending || q.bytes+int64(len(record)) > l.options.PendingBytes && q.waiting > 0 {
		q.mu.Unlock()
		return ErrBusy
	}
	q.waiting++
	q.bytes += int64(len(record))
	var g *group
	if n := len(q.queue); n > 0 && q.queue[n-1].takes(kind, len(record), l.groupBytes) {
		g = q.queue[n-1]
	} else {
		g = q.open(kind)
	}
	g.add(a, record)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// open puts an empty group at the queue's end.
func (q *appender) open(kind groupKind) *group {
	var g *group
	if n := len(q.free); n > 0 {
		g, q.free = q.free[n-1], q.free[:n-1]
	} else {
		g = new(group)
	}
	g.reset(kind)
	q.queue = append(q.queue, g)
	return g
}

// next takes the oldest group, which nobody adds to from then on; nil if there is
// none. done says that none will come either.
func (q *appender) next() (g *group, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, q.closed
	}
	g = q.queue[0]
	q.queue = q.queue[:copy(q.queue, q.queue[1:])]
	return g, false
}

const freeGroups = 4

// finished takes a group back after its records were answered.
func (q *appender) finished(g *group) {
	n, bytes := len(g.records), int64(0)
	for i := range g.records {
		bytes += int64(g.records[i].size)
	}
	g.reset(packed)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting -= n
	q.bytes -= bytes
	if len(q.free) < freeGroups && cap(g.data) <= 2*groupBytes {
		q.free = append(q.free, g)
	}
}

func (q *appender) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run is the log's goroutine: it writes group after group until the log is closed.
func (l *Log) run(ctx context.Context) {
	defer close(l.ended)
	defer l.asker.end()
	defer l.forward.endAsking()
	for {
		g, done := l.appender.next()
		switch {
		case done:
			return
		case g == nil:
			<-l.appender.wake
			continue
		}
		l.write(ctx, g)
		l.appender.finished(g)
	}
}
