package backbone

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoDocument says that the bucket or the key is not there.
var ErrNoDocument = errors.New("no such document")

// DocumentOptions say where a document is.
type DocumentOptions struct {
	// URLs are the servers', as those of Options.
	URLs []string
	// Access is what the servers ask for.
	Access Access
	// Bucket is a key-value bucket of NATS, as "nats kv add" makes them, Key a key in it.
	Bucket, Key string
}

// Document is a value of a bucket that somebody else writes: with NATS' own tools, not
// with weft's. It has a connection of its own, which it makes when it is needed. When it breaks,
// Next fails at once: a watch would not tell for a while. Its methods are for one goroutine at a time, but for Close.
type Document struct {
	options DocumentOptions
	conn    *nats.Conn
	gone    chan struct{} // closed when conn is
	kv      jetstream.KeyValue
}

// NewDocument connects to nothing yet.
func NewDocument(o DocumentOptions) *Document { return &Document{options: o} }

// connect connects unless it is.
func (d *Document) connect(ctx context.Context) error {
	if d.kv != nil && !d.conn.IsClosed() {
		return nil
	}
	at := strings.Join(d.options.URLs, ",")
	shown, err := d.options.Access.show()
	if err != nil {
		return err
	}
	dials, gone := &dialer{}, make(chan struct{})
	options := append([]nats.Option{
		nats.Name("weft configuration"), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }), nats.Timeout(dialWithin), nats.PingInterval(defaultPatience), nats.MaxPingsOutstanding(pingsOut),
		nats.SetCustomDialer(dials), nats.SkipHostLookup(),
	}, shown...)
	conn, err := nats.Connect(at, options...)
	if err != nil {
		if dialed := dials.last(); dialed != nil {
			err = dialed
		}
		return fmt.Errorf("%w: %s: %w", ErrAway, at, err)
	}
	js, err := jetstream.New(conn)
	if err == nil {
		d.kv, err = js.KeyValue(ctx, d.options.Bucket)
	}
	if err != nil {
		conn.Close()
		return d.fault(err)
	}
	d.conn, d.gone = conn, gone
	return nil
}

// Get is the value and its revision.
func (d *Document) Get(ctx context.Context) (value []byte, revision uint64, err error) {
	if err := d.connect(ctx); err != nil {
		return nil, 0, err
	}
	entry, err := d.kv.Get(ctx, d.options.Key)
	if err != nil {
		return nil, 0, d.fault(err)
	}
	return entry.Value(), entry.Revision(), nil
}

// Next waits for a value with another revision. That the key is deleted is no value: it
// waits for the next one.
func (d *Document) Next(ctx context.Context, after uint64) (value []byte, revision uint64, err error) {
	if err := d.connect(ctx); err != nil {
		return nil, 0, err
	}
	w, err := d.kv.Watch(ctx, d.options.Key, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, 0, d.fault(err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case <-d.gone:
			return nil, 0, fmt.Errorf("%w: the connection is lost", ErrAway)
		case entry, open := <-w.Updates():
			switch {
			case !open:
				return nil, 0, fmt.Errorf("%w: the watch has ended", ErrAway)
			case entry == nil: // all that was there has come
			case entry.Revision() != after:
				return entry.Value(), entry.Revision(), nil
			}
		}
	}
}

// Close closes the connection.
func (d *Document) Close() {
	if d.conn != nil {
		d.conn.Close()
	}
}

func (d *Document) fault(err error) error {
	at := strings.Join(d.options.URLs, ",")
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("%w: %s has no bucket %s: make it by nats kv add %s", ErrNoDocument, at, d.options.Bucket, d.options.Bucket)
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return fmt.Errorf("%w: bucket %s of %s has no key %s: write it by nats kv put %s %s", ErrNoDocument, d.options.Bucket, at, d.options.Key, d.options.Bucket, d.options.Key)
	}
	return fmt.Errorf("%w: %s: %w", ErrAway, at, err)
}
