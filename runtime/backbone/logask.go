package backbone

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// asker publishes and waits for JetStream's answers, for one goroutine: they come to
// it directly, not by way of the goroutine that sorts the answers of a whole
// connection.
type asker struct {
	b     *Backbone
	sub   *nats.Subscription
	inbox string
	round uint64
	text  []byte
}

// faultEvery is how often who waits for an answer looks whether there is a reason that
// none comes.
const faultEvery = 250 * time.Millisecond

// ask publishes a message and waits for the answer.
func (a *asker) ask(ctx context.Context, m *nats.Msg) (pubAck, error) {
	if err := a.b.fault(); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, noSentinel{err})
	}
	if err := a.begin(); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
	}
	m.Reply = a.reply(0)
	if err := a.b.conn.PublishMsg(m); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
	}
	_, answer, err := a.answer(ctx)
	if err != nil {
		return pubAck{}, err
	}
	return parseAck(answer)
}

// reply is where the answer to the round's message i is to go.
func (a *asker) reply(i int) string {
	a.text = strconv.AppendUint(append(a.text[:0], a.inbox...), a.round, 36)
	a.text = strconv.AppendInt(append(a.text, '-'), int64(i), 36)
	return string(a.text)
}

// replied is the message of this round that an answer is for.
func (a *asker) replied(subject string) (i int, ok bool) {
	round, place, found := strings.Cut(strings.TrimPrefix(subject, a.inbox), "-")
	if r, err := strconv.ParseUint(round, 36, 64); !found || err != nil || r != a.round {
		return 0, false
	}
	n, err := strconv.ParseInt(place, 36, 32)
	return int(n), err == nil
}

// begin makes the replies of what was asked before those of another round.
func (a *asker) begin() (err error) {
	if a.sub == nil {
		inbox := a.b.conn.NewInbox()
		if a.sub, err = a.b.conn.SubscribeSync(inbox + ".*"); err != nil {
			return err
		}
		a.inbox = inbox + "."
	}
	a.round++
	return nil
}

// answer waits for the next answer of the round. Others are late: who asked has given
// up.
func (a *asker) answer(ctx context.Context) (place int, data []byte, err error) {
	for until := time.Now().Add(a.b.answersIn()); ; {
		m, err := a.sub.NextMsg(min(max(time.Until(until), time.Millisecond), faultEvery))
		switch {
		case err == nil:
			place, ok := a.replied(m.Subject)
			if ok && len(m.Data) == 0 && m.Header.Get(headerStatus) == "503" {
				return 0, nil, fmt.Errorf("%w: %w", errUnknown, nats.ErrNoResponders)
			}
			if ok {
				return place, m.Data, nil
			}
		case !errors.Is(err, nats.ErrTimeout):
			a.end()
			return 0, nil, fmt.Errorf("%w: %w", errUnknown, err)
		case ctx.Err() != nil:
			return 0, nil, fmt.Errorf("%w: %w", errUnknown, ctx.Err())
		case a.b.fault() != nil || time.Now().After(until):
			return 0, nil, fmt.Errorf("%w: %w", errUnknown, err)
		}
	}
}

// end gives the subscription up; the next question makes another one.
func (a *asker) end() {
	if a.sub != nil {
		_ = a.sub.Unsubscribe() // it fails with the connection, which others report
		a.sub = nil
	}
}
