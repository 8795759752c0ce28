package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/router"
)

// Bounds of tails.
const (
	// maxTails is how many may run at once.
	maxTails = 8
	// tailQueue is how many messages wait for the reader of one.
	tailQueue = 256
)

// tailing is one tail: it gets what the loops follow and shows some of it.
type tailing struct {
	owner     *recorder
	options   admin.TailOptions
	listener  int                    // -1: any
	session   uint64                 // 0: any
	selective bool                   // it chooses by what becomes of a message
	topics    *router.Trie[struct{}] // nil: all

	limit                  *rate.Limiter
	out                    chan *weftv1.TailMessage
	passed, looked, missed atomic.Uint64
	once                   sync.Once
}

// Tail implements admin.Recorder.
func (r *recorder) Tail(_ context.Context, o admin.TailOptions) (admin.Tailing, error) {
	s := r.server
	if state, _ := s.life.State(); state != life.Running {
		return nil, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	t := &tailing{
		owner: r, options: o, listener: -1, selective: len(o.Topics) > 0 || o.Plugin != "" || o.Troubled || o.Connection != "",
		limit: rate.NewLimiter(rate.Limit(o.Rate), o.Rate), out: make(chan *weftv1.TailMessage, tailQueue),
	}
	var err error
	if t.listener, err = r.listenerOf(o.Listener); err != nil {
		return nil, err
	}
	if err := r.stands(admin.RecordOptions{Listener: o.Listener, Plugin: o.Plugin}, t.listener); err != nil {
		return nil, err
	}
	if o.Connection != "" {
		id, ok := engine.ParseConnID(o.Connection)
		if !ok {
			return nil, fmt.Errorf("%w: connection %.40q; weft connection list shows them", admin.ErrUnknown, o.Connection)
		}
		t.session = uint64(id)
	}
	for _, text := range o.Topics {
		if t.topics == nil {
			t.topics = router.NewTrie[struct{}]()
		}
		if _, err := t.topics.Add(text, struct{}{}); err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalidPattern, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tails) >= maxTails {
		return nil, fmt.Errorf("%w: %d tails run, which is the most; end one", admin.ErrBusy, maxTails)
	}
	r.tails = append(r.tails, t)
	if err := r.install(); err != nil {
		r.tails = r.tails[:len(r.tails)-1]
		return nil, fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	return t, nil
}

// listenerOf is the index of a listener, -1 for an empty name.
func (r *recorder) listenerOf(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	now := r.server.setup()
	if at, ok := now.index[name]; ok && at != apiListener {
		return int(at), nil
	}
	return -1, fmt.Errorf("%w: listener %.80q; the listeners are %v", admin.ErrUnknown, name, now.listening())
}

// offer shows a message to the tail's reader, if it is a chosen one and not too many.
func (t *tailing) offer(m *weftv1.TailMessage) {
	if !t.chosen(m) {
		return
	}
	if !t.limit.Allow() {
		t.missed.Add(1)
		return
	}
	select {
	case t.out <- m:
	default:
		t.missed.Add(1)
	}
}

func (t *tailing) chosen(m *weftv1.TailMessage) bool {
	o := &t.options
	switch {
	case o.Listener != "" && m.GetListener() != o.Listener, o.Connection != "" && m.GetConnection() != o.Connection:
		return false
	case o.Plugin != "" && !slices.ContainsFunc(m.GetSteps(), func(s *weftv1.TailStep) bool { return s.GetPlugin() == o.Plugin }):
		return false
	case o.Troubled && !troubled(m):
		return false
	case t.topics == nil:
		return true
	}
	return t.matches(m.GetTopic()) || m.GetTopicAfter() != "" && t.matches(m.GetTopicAfter())
}

func (t *tailing) matches(topic string) bool {
	return len(t.topics.Match([]byte(topic), nil)) > 0
}

// troubled tells whether a message was not delivered, or a plugin failed on it.
func troubled(m *weftv1.TailMessage) bool {
	return m.GetResult() == "dropped" || m.GetResult() == "dead" || slices.ContainsFunc(m.GetSteps(), func(s *weftv1.TailStep) bool {
		return s.GetCause() != "" && s.GetCause() != "plugin" || s.GetVerdict() == abi.VerdictDrop.String() || s.GetVerdict() == abi.VerdictClose.String()
	})
}

// Next implements admin.Tailing.
func (t *tailing) Next(ctx context.Context, quiet time.Duration) (*weftv1.TailMessage, error) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	select {
	case m := <-t.out:
		return m, nil
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Counts implements admin.Tailing.
func (t *tailing) Counts() (passed, looked, missed uint64) {
	return t.passed.Load(), t.looked.Load(), t.missed.Load()
}

// Close implements admin.Tailing.
func (t *tailing) Close() {
	t.once.Do(func() {
		r := t.owner
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tails = slices.DeleteFunc(r.tails, func(other *tailing) bool { return other == t })
		if err := r.install(); err != nil {
			// Nothing is shown any more; the taps go with the next change.
			r.server.log.Debug("taps were not taken out", "error", err)
		}
	})
}
