package backbone

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// headerLastAny is the newest message of the whole stream that a message expects.
const headerLastAny = "Nats-Expected-Last-Sequence"

// inFlight publishes the records from i on without waiting for the answer to each: for a
// server that does not sync, the way there and back is what costs.
//
// Each message expects the one before it to be the newest of the node's subject and of
// the whole stream, at the number that follows from the first. So a message is stored
// only if all before it were, at these numbers; when another node's comes between, or
// one is a duplicate, all that follow are refused, and go again. The answers tell how
// many were stored. A cluster does not take the second of two such messages while the
// first is on its way: this is for the server in this process.
func (l *Log) inFlight(ctx context.Context, g *group, i int) (pubAck, error) {
	if err := l.b.fault(); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, noSentinel{err})
	}
	if err := l.asker.begin(); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
	}
	n := len(g.records) - i
	last, id := []string{""}, []string{""}
	h := nats.Header{headerLast: last, headerLastAny: last}
	m := &nats.Msg{Subject: l.subject, Header: h}
	for k := range n {
		m.Data = g.message(i + k)
		setOrigin(m.Data, l.writer, l.at.next+uint64(k))
		last[0] = strconv.FormatUint(l.at.seq+uint64(k), 10)
		if id[0] = g.records[i+k].id; id[0] != "" {
			h[nats.MsgIdHdr] = id
		} else {
			delete(h, nats.MsgIdHdr)
		}
		m.Reply = l.asker.reply(k)
		if err := l.b.conn.PublishMsg(m); err != nil {
			return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
		}
	}
	stored, refused := 0, n // how many were, and the first that was not
	for range n {
		k, answer, err := l.asker.answer(ctx)
		if err != nil {
			return pubAck{}, err
		}
		ack, err := parseAck(answer)
		switch {
		case err == nil && !ack.Duplicate && ack.Seq == l.at.seq+uint64(k)+1:
			stored++
		case err == nil && !ack.Duplicate:
			return pubAck{}, fmt.Errorf("%w: stored as %d", errUnknown, ack.Seq)
		default:
			refused = min(refused, k)
		}
	}
	if stored != refused {
		return pubAck{}, fmt.Errorf("%w: %d are stored, but not number %d", errUnknown, stored, refused)
	}
	seq := l.at.seq + uint64(stored)
	switch stored {
	case n:
		return pubAck{Seq: seq}, nil
	case 0:
		l.fresh = false
		return pubAck{}, errDuplicates
	}
	l.at, l.confirmed, l.fresh = position{seq: seq, next: l.at.next + uint64(stored)}, seq, false
	return pubAck{}, errPart
}
