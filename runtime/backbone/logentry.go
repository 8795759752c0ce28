package backbone

import (
	"errors"
	"time"
)

// Entry is a record that was read from a log.
type Entry struct {
	// Seq is its number, Time when it was kept.
	Seq  uint64
	Time time.Time
	// Tries is how often a worker has handed it out, this time included; Last says
	// that it does so for the last time. Followers and Read leave them zero.
	Tries int
	Last  bool
	// Skipped is at least how many records between this one and the one that was
	// read before are not in the log any more: retention dropped them.
	Skipped uint64
	// Record is valid until the next Next of what handed it out, a worker's until it
	// is answered.
	Record []byte

	work *held
	at   int // in the group
}

var errNotWork = errors.New("only a worker's entries are answered")

// Ack says that the entry was taken: no worker gets it again. It may be called by
// any goroutine, also after the next Next, and does not wait. Only the first answer
// counts. A worker that dies right behind an Ack may have others get the entry
// again.
func (e *Entry) Ack() error {
	if e.work == nil {
		return errNotWork
	}
	return e.work.worker.answered(e.work, e.at)
}

// Retry has the entry handed out again when delay is over: by this node's worker
// if it was stored in a group with others, by any node's if not, or if this one is
// closed.
func (e *Entry) Retry(delay time.Duration) error {
	if e.work == nil {
		return errNotWork
	}
	return e.work.worker.retry(e, delay)
}

// Drop says that the entry is given up: it is not handed out again.
func (e *Entry) Drop() error { return e.Ack() }
