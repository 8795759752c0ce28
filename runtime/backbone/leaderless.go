package backbone

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A cluster that chooses the leader of a stream, or whose servers have not yet told
// each other where it is, answers at once that nobody is there. Nothing was done then,
// and a moment later it is: what asks a stream for one thing waits for that.
const (
	leaderWithin = 4 * time.Second
	leaderAgain  = 100 * time.Millisecond
	// aloneWithin is leaderWithin where the server is in this process.
	aloneWithin = 500 * time.Millisecond
)

// led does something until it is not for want of a leader that it fails, leaderWithin
// at most, and no longer than ctx.
func (b *Backbone) led(ctx context.Context, do func() error) error {
	within := leaderWithin
	if b.server != nil {
		within = aloneWithin
	}
	again := time.NewTimer(leaderAgain)
	defer again.Stop()
	for begun := time.Now(); ; again.Reset(leaderAgain) {
		err := do()
		if !leaderless(err) || !b.conn.IsConnected() || time.Since(begun) > within {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		case <-b.closed:
			return err
		}
	}
}

// leaderless tells whether an error says that nobody has heard the question.
func leaderless(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.As(err, &api) && api.ErrorCode == codeUnavailable
}

// publish has a stream take a message.
func (b *Backbone) publish(ctx context.Context, m *nats.Msg, opts []jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	opts = append(opts, jetstream.WithRetryAttempts(0)) // led tries again
	err = b.led(ctx, func() (err error) {
		ack, err = b.js.PublishMsg(ctx, m, opts...)
		return err
	})
	return ack, err
}

// newestOf asks a stream for the newest message of a subject.
func (b *Backbone) newestOf(ctx context.Context, s jetstream.Stream, subject string) (m *jetstream.RawStreamMsg, err error) {
	err = b.led(ctx, func() (err error) {
		m, err = s.GetLastMsgForSubject(ctx, subject)
		return err
	})
	return m, err
}
