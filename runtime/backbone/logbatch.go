package backbone

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/nats-io/nats.go"
)

// From how many messages on an atomic batch costs less than one after the other: a
// server that syncs each write does so once a batch, but stages the batch in files
// first, which costs about twelve such writes; and an external cluster agrees about each
// write. A server in this process that does not sync has nothing to gain by it.
const batchFromSynced = 12

func batchFrom(b *Backbone) int {
	if b.server == nil || b.options.SyncEvery == 0 {
		return batchFromSynced
	}
	return math.MaxInt
}

// batch is messages that are stored together, one directly behind the other, or not at
// all.
type batch struct {
	id      string // no other batch has it
	subject string
	behind  string // the sequence of the subject's newest message, empty for any
	size    int
	// message gives the data of one, and sets the headers of its own.
	message func(i int, h nats.Header) []byte
}

// batch publishes a batch, and waits for the answer: the sequence of the last message.
func (a *asker) batch(ctx context.Context, b batch) (pubAck, error) {
	h := nats.Header{}
	m := &nats.Msg{Subject: b.subject, Header: h}
	for i := range b.size {
		clear(h)
		m.Data = b.message(i, h)
		h[batchHeader+"Id"], h[batchHeader+"Sequence"] = []string{b.id}, []string{strconv.Itoa(i + 1)}
		if i == 0 && b.behind != "" {
			h[headerLast] = []string{b.behind}
		}
		if i == b.size-1 {
			h[batchHeader+"Commit"] = []string{"1"}
			return a.ask(ctx, m)
		}
		if err := a.b.conn.PublishMsg(m); err != nil {
			return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
		}
	}
	return pubAck{}, nil
}

// nextBatch is the id of a batch that nobody else has.
func (l *Log) nextBatch() string {
	l.batches++
	return l.batchID + strconv.FormatUint(l.batches, 36)
}
