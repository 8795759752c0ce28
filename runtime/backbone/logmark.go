package backbone

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// A server that keeps a stream alone shows what it was sent before it is on the disk,
// and goes on showing it when the disk refuses: to find a record there, or to be told
// that it is a duplicate, is not to have it kept. But after such a failure the server
// stores nothing more in the stream, and answers nobody. So a record that was found is
// confirmed by any other that the server has acknowledged since; where there is none,
// by a mark, which is a message of a stream's log that holds no record and that all who
// read pass over. There is at most one for each record.
const markNode = "_mark" // no node's token is like it

func (l *Log) markSubject() string { return l.subjects[:len(l.subjects)-1] + markNode }

// marksPassed is how many marks may follow one another before Info gives up looking for
// the oldest or the newest record.
const marksPassed = 16

// confirm returns when the server keeps what the stream has up to seq. The error wraps
// ErrAway, errFault or ErrClosed: it is not known.
func (l *Log) confirm(ctx context.Context, p *patience, seq uint64) error {
	for l.confirmed < seq {
		message := make([]byte, oneHead)
		message[0] = kindMark
		ack, err := l.asker.ask(ctx, &nats.Msg{Subject: l.markSubject(), Data: message})
		switch {
		case err == nil:
			l.confirmed = max(l.confirmed, ack.Seq)
		case errors.Is(err, errUnknown):
			if err := l.patient(ctx, p, err); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: whether a record is kept: %w", ErrAway, noSentinel{err})
		}
	}
	return nil
}

// noSentinel is an error's text alone.
type noSentinel struct{ error }
