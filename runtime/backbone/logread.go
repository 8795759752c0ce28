package backbone

import (
	"context"
	"fmt"
	"time"
)

// readBytes is about how much one request of Read brings.
const readBytes = 1 << 20

// Read returns up to max records from a number on, or from the first one behind it
// that is there; none if there is none. It costs the backbone nothing but the
// answer: many may read at once. Less than 512 at a time read groups of records
// more than once. The entries are the caller's.
func (l *Log) Read(ctx context.Context, from uint64, max int) ([]Entry, error) {
	stream, place := placeOf(from)
	g := gaps{next: stream}
	var entries []Entry
	for len(entries) < max {
		list, whole, err := l.get(ctx, getRequest{Seq: orOne(g.next), Batch: max - len(entries), MaxBytes: readBytes})
		if err != nil {
			return entries, l.wrap(err)
		}
		for _, m := range list {
			d, err := decode(m.data)
			if err != nil {
				l.unreadable(m.seq, err)
				g.next = m.seq + 1
				continue
			}
			e := Entry{Time: m.time, Skipped: g.skipped(m.seq, d)}
			if m.seq != stream {
				place = 0
			}
			if entries = d.records(entries, e, m.seq, place); len(entries) >= max {
				return entries[:max], nil
			}
		}
		if whole || len(list) == 0 {
			break
		}
	}
	if len(entries) == 0 && l.b.server == nil {
		// Whichever server has a copy answers, also one that does not have the newest yet:
		// that there is nothing is for the leader to say.
		m, err := l.b.nextOf(ctx, l.name, orOne(g.next), l.subjects)
		if err == nil && m != nil {
			err = fmt.Errorf("%w: the server that was asked does not have record %d yet", ErrAway, m.Seq)
		}
		if err != nil {
			return nil, l.wrap(err)
		}
	}
	return entries, nil
}

// SeqAt returns the number of the first record kept at a time or later, and one
// beyond the last record if there is none.
func (l *Log) SeqAt(ctx context.Context, at time.Time) (uint64, error) {
	list, _, err := l.get(ctx, getRequest{StartTime: &at, Next: l.subjects, Batch: 1})
	if err != nil {
		return 0, l.wrap(err)
	}
	if len(list) > 0 {
		return seqOf(list[0].seq, 0), nil
	}
	s, err := l.stream.get(ctx)
	if err != nil {
		return 0, l.wrap(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return 0, l.wrap(known(err))
	}
	return seqOf(info.State.LastSeq+1, 0), nil
}

// gaps counts what a reader did not get to see.
type gaps struct {
	next    uint64            // the message that comes next, 0 if that is not known
	writers map[uint64]uint64 // by writer: its record that comes next
	owed    uint64            // were missing before marks
}

// skipped returns how many records are missing before a message: as many as its
// writer has written since the message before, and else at least as many as
// messages are missing.
func (g *gaps) skipped(seq uint64, d decoded) uint64 {
	missing := uint64(0)
	if g.next > 0 && seq > g.next {
		missing = seq - g.next
		if expected, ok := g.writers[d.writer]; ok && d.first > expected {
			missing = max(missing, d.first-expected)
		}
	}
	g.next = seq + 1
	if d.count == 0 {
		g.owed += missing
		return 0
	}
	missing, g.owed = missing+g.owed, 0
	if g.writers != nil {
		g.writers[d.writer] = d.first + uint64(d.count)
	}
	return missing
}
