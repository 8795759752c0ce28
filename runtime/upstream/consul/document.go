package consul

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoDocument says that the key is not there.
var ErrNoDocument = errors.New("no such key in Consul")

// Document is a value of Consul's key-value store. Its methods are for one goroutine at a
// time.
type Document struct {
	client *client
	key    string
}

// NewDocument asks nothing yet. key is without a slash before it.
func NewDocument(key string, o Options) (*Document, error) {
	c, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &Document{c, key}, nil
}

// Get is the value and its index.
func (d *Document) Get(ctx context.Context) (value []byte, index uint64, err error) {
	return d.ask(ctx, 0)
}

// Next waits until the key has another index, for as long as Options.Wait; then it answers
// with what is there.
func (d *Document) Next(ctx context.Context, after uint64) (value []byte, index uint64, err error) {
	return d.ask(ctx, after)
}

func (d *Document) ask(ctx context.Context, after uint64) (value []byte, index uint64, err error) {
	q, err := d.client.query()
	if err != nil {
		return nil, 0, err
	}
	if after > 0 {
		q.WaitIndex, q.WaitTime = after, d.client.options.Wait
	}
	pair, _, err := d.client.KV().Get(d.key, q.WithContext(ctx))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("asking Consul: %w", err)
	case pair == nil:
		return nil, 0, fmt.Errorf("%w: %s: write it by consul kv put %s @weft.yaml", ErrNoDocument, d.key, d.key)
	}
	return pair.Value, pair.ModifyIndex, nil
}

// Close closes what is kept of connections.
func (d *Document) Close() { d.client.transport.CloseIdleConnections() }
