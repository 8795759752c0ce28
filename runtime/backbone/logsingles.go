package backbone

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go"
)

// writeSingles keeps a group whose records have a message each, from record i on.
func (l *Log) writeSingles(ctx context.Context, g *group, i int) int {
	for i < len(g.records) {
		left := len(g.records) - i
		var send func() (pubAck, error)
		switch {
		case i == 0 && left >= l.batchFrom:
			send = func() (pubAck, error) { return l.batch(ctx, g) }
		case l.b.server != nil && l.fresh && left > 1:
			send = func() (pubAck, error) { return l.inFlight(ctx, g, i) }
		}
		if send != nil {
			n, err := l.writeMany(ctx, g, i, send)
			i += n
			if l.goesBeside(err) {
				return i
			}
			if err != nil {
				g.answer(i, len(g.records), Appended{Err: l.wrap(err)})
				return len(g.records)
			}
		}
		if i == len(g.records) {
			break
		}
		a, err := l.writeSingle(ctx, g.message(i), g.records[i].id)
		if l.goesBeside(err) {
			return i
		}
		if err != nil {
			a.Err = l.wrap(err)
		}
		g.records[i].done(a)
		i++
	}
	return i
}

// writeMany sends the records from i on together, answers those that are kept, and tells
// how many. Without an error the next one is to be sent alone: it is a duplicate, or
// there is no room.
func (l *Log) writeMany(ctx context.Context, g *group, i int, send func() (pubAck, error)) (n int, err error) {
	left, next := len(g.records)-i, l.at.next
	_, err = l.insist(ctx, left, func() (pubAck, error) { next = l.at.next; return send() })
	switch {
	case err == nil:
		n = left
	case errors.Is(err, errPart):
		n = int(l.at.next - next)
	case !errors.Is(err, errDuplicates) && !errors.Is(err, ErrFull), errors.Is(err, errFault):
		return 0, err
	}
	for k := range n {
		g.records[i+k].done(Appended{Seq: seqOf(l.at.seq-uint64(n-1-k), 0)})
	}
	return n, nil
}

// writeSingle keeps one record.
func (l *Log) writeSingle(ctx context.Context, message []byte, id string) (Appended, error) {
	duplicate := false
	seq, err := l.insist(ctx, 1, func() (pubAck, error) {
		setOrigin(message, l.writer, l.at.next)
		ack, err := l.request(ctx, message, id)
		duplicate = ack.Duplicate
		return ack, err
	})
	if err != nil {
		return Appended{}, err
	}
	return Appended{Seq: seqOf(seq, 0), Duplicate: duplicate}, nil
}

// batch publishes a group as one atomic batch: all of its records are stored, one
// behind the other, or none.
func (l *Log) batch(ctx context.Context, g *group) (pubAck, error) {
	return l.asker.batch(ctx, batch{
		id: l.nextBatch(), subject: l.subject, behind: strconv.FormatUint(l.at.seq, 10), size: len(g.records),
		message: func(i int, h nats.Header) []byte {
			if id := g.records[i].id; id != "" {
				h[nats.MsgIdHdr] = []string{id}
			}
			data := g.message(i)
			setOrigin(data, l.writer, l.at.next+uint64(i))
			return data
		},
	})
}
