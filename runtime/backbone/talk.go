package backbone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/weftrun/weft/runtime/logging"
)

// TalkOptions say where processes meet that are no nodes.
type TalkOptions struct {
	// URLs are the servers, Access what they ask for.
	URLs   []string
	Access Access
	// Name is what the servers call the connection.
	Name string
	// Prefix begins every subject. Empty is "weft".
	Prefix string
	// Within bounds the first connection; 0 is 10 seconds.
	Within time.Duration
	// Logger is required.
	Logger *slog.Logger
}

// Talk is plain messages between processes that meet at a NATS server, at most once,
// for tools: it needs no JetStream, no folder and no name of its own in the cluster.
// Its methods may be called by any goroutine.
type Talk struct {
	b      *Backbone
	prefix string
}

// OpenTalk connects. An error says what could not be done, and what to do; it wraps
// ErrAway where nobody answers and ErrAccess where the servers do not let us in.
func OpenTalk(ctx context.Context, o TalkOptions) (*Talk, error) {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Within == 0 {
		o.Within = defaultWithin
	}
	b := &Backbone{
		options: Options{URLs: o.URLs, Node: o.Name, Prefix: o.Prefix, Access: o.Access, Patience: defaultPatience, Logger: o.Logger},
		tracker: newTracker(), closed: make(chan struct{}), gone: make(chan struct{}),
		seldom: logging.Seldom(o.Logger, linesAtOnce, linesEvery),
	}
	options, dials, err := b.access()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Within, fmt.Errorf("not within %s", o.Within))
	defer cancel()
	for wait := backoffFirst; ; wait = min(2*wait, time.Second) {
		if b.conn, err = nats.Connect(strings.Join(o.URLs, ","), options...); err == nil {
			return &Talk{b, o.Prefix + "."}, nil
		}
		if err = b.explain(err, dials.last()); errors.Is(err, ErrAccess) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// TalkToken spells any text as one level of a subject.
func TalkToken(text string) string { return escapeToken(text) }

// Send hands a message to everybody who hears the subject, which is levels divided by
// dots. The bytes are copied.
func (t *Talk) Send(subject string, body []byte) error {
	if most := t.b.conn.MaxPayload(); int64(len(body)) > most {
		return fmt.Errorf("a message of %d bytes: the servers take %d (max_payload)", len(body), most)
	}
	if err := t.b.conn.Publish(t.prefix+subject, body); err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Hear has every message of a subject handed to f, one at a time, until Close. The
// bytes are f's.
func (t *Talk) Hear(subject string, f func(body []byte)) error {
	if _, err := t.b.conn.Subscribe(t.prefix+subject, func(m *nats.Msg) { f(m.Data) }); err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Flush waits until the servers have everything that was sent and asked for.
func (t *Talk) Flush(ctx context.Context) error {
	if err := t.b.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Close ends the connection, after what was sent, and waits until f of Hear has returned.
func (t *Talk) Close() {
	close(t.b.closed)
	if err := t.b.conn.Drain(); err != nil {
		t.b.conn.Close()
	}
	<-t.b.gone
}
