// Package remote reads a configuration from where several nodes have it in common: a
// key-value bucket of NATS, Consul, or etcd. It waits for changes, and keeps the last good
// one on the disk, so that a node can start while nobody answers.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/upstream/consul"
)

// ErrNone says that the store answers and has no such document: a copy does not help.
var ErrNone = errors.New("there is no configuration")

// MaxDocument is the largest configuration that is taken, in bytes.
const MaxDocument = 16 << 20

// Document is a configuration as the store has it.
type Document struct {
	Data []byte
	// Revision is the store's number of this content.
	Revision uint64
}

// store is one kind of store. Its methods are for one goroutine at a time, but for Close.
type store interface {
	// Get reads the document.
	Get(ctx context.Context) (data []byte, revision uint64, err error)
	// Next waits for another revision. It may return the same one after a while.
	Next(ctx context.Context, after uint64) (data []byte, revision uint64, err error)
	Close()
}

// Source is a configuration in a store. Its methods are for any goroutine.
type Source struct {
	// Name is the URL without what is between ? and the end, and without a user: what a
	// configuration's file is called in messages.
	Name string
	// Format is yaml, toml or json.
	Format string

	open func() (store, error)
}

const (
	// ReadWithin is how long Read tries.
	ReadWithin = 10 * time.Second
	// watchWithin is how long a watch may say nothing before the document is read again.
	watchWithin = 10 * time.Minute
	pauseFirst  = 500 * time.Millisecond
	pauseMost   = 30 * time.Second
)

// Read reads the document once. The error wraps ErrNone where the store answers that
// there is none.
func (s *Source) Read(ctx context.Context) (Document, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ReadWithin, fmt.Errorf("no answer within %s", ReadWithin))
	defer cancel()
	at, err := s.open()
	if err != nil {
		return Document{}, err
	}
	defer at.Close()
	data, revision, err := at.Get(ctx)
	return s.document(data, revision, err)
}

func (s *Source) document(data []byte, revision uint64, err error) (Document, error) {
	switch {
	case errors.Is(err, backbone.ErrNoDocument), errors.Is(err, consul.ErrNoDocument), errors.Is(err, errNoKey):
		return Document{}, fmt.Errorf("%w at %s: %w", ErrNone, s.Name, err)
	case err != nil:
		return Document{}, fmt.Errorf("reading %s: %w", s.Name, err)
	case len(data) > MaxDocument:
		return Document{}, fmt.Errorf("reading %s: it has %d bytes, at most %d are read", s.Name, len(data), MaxDocument)
	}
	return Document{data, revision}, nil
}

// Follow calls changed with each document that differs from the one before, until ctx
// ends. While the store does not answer it tries again, and says so once.
func (s *Source) Follow(ctx context.Context, last Document, log *slog.Logger, changed func(Document)) {
	var at store
	away, pause := false, pauseFirst
	defer func() {
		if at != nil {
			at.Close()
		}
	}()
	for ctx.Err() == nil {
		next, err := s.next(ctx, &at, last)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !away {
				log.Warn("the configuration's store does not answer; weft goes on with what it has", "source", s.Name, "error", err)
			}
			away = true
			if at != nil {
				at.Close()
				at = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause/2 + rand.N(pause)):
			}
			pause = min(2*pause, pauseMost)
			continue
		case away:
			log.Info("the configuration's store answers again", "source", s.Name)
		}
		away, pause = false, pauseFirst
		same := bytes.Equal(next.Data, last.Data)
		if last = next; !same {
			changed(next)
		}
	}
}

// next waits for a document that is another revision than the last; the same one if none
// has come for a while.
func (s *Source) next(ctx context.Context, at *store, last Document) (Document, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWithin)
	defer cancel()
	if *at == nil {
		opened, err := s.open()
		if err != nil {
			return Document{}, err
		}
		*at = opened
		// It may have changed while nobody watched, and may be one that was started anew.
		data, revision, err := opened.Get(ctx)
		if doc, err := s.document(data, revision, err); err != nil || revision != last.Revision {
			return doc, err
		}
	}
	data, revision, err := (*at).Next(ctx, last.Revision)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		(*at).Close()
		*at = nil
		return last, nil
	}
	return s.document(data, revision, err)
}
