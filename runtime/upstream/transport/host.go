package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/upstream"
)

const (
	// anySlot: any of a member's connections will do.
	anySlot = -1

	firstBackoff = 10 * time.Millisecond
	mostBackoff  = time.Second
)

// host is a member's connections: a bounded number of slots, each with a link or
// none. A message takes up a place of a link, of which there are as many as the
// pipeline allows.
type host struct {
	transport *Stream
	address   string

	mu      sync.Mutex
	links   []*link // nil: no connection there
	waiting []*waiter
	closed  bool
	backoff time.Duration // after the next failure
	until   time.Time     // nothing is dialled before
	last    error         // why
}

// waiter waits for a place.
type waiter struct {
	at  int
	got chan *link // has room for the one
}

// acquire takes up a place of a link that is connected, of the slot or of any.
func (h *host) acquire(ctx context.Context, at int) (*link, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, upstream.As(upstream.Refused, ErrClosed)
	}
	l := h.place(at)
	if l == nil {
		w := &waiter{at: at, got: make(chan *link, 1)}
		h.waiting = append(h.waiting, w)
		h.mu.Unlock()
		select {
		case l = <-w.got:
		case <-ctx.Done():
			h.cancel(w)
			return nil, upstream.As(upstream.TimedOut, fmt.Errorf("no connection was free in time: %w", ctx.Err()))
		}
		if l == nil {
			return nil, upstream.As(upstream.Cancelled, ErrClosed)
		}
	} else {
		h.mu.Unlock()
	}
	if err := h.connected(ctx, l); err != nil {
		h.release(l)
		return nil, err
	}
	return l, nil
}

// place takes up a place if there is one. A connection of which all places are taken
// is joined by a further one.
func (h *host) place(at int) *link {
	if at != anySlot {
		return h.placeAt(at)
	}
	best, empty := anySlot, anySlot
	for i, l := range h.links {
		switch {
		case l == nil:
			if empty == anySlot {
				empty = i
			}
		case l.used < h.transport.options.Pipeline && (best == anySlot || l.used < h.links[best].used):
			best = i
		}
	}
	if best == anySlot {
		best = empty
	}
	if best == anySlot {
		return nil
	}
	return h.placeAt(best)
}

func (h *host) placeAt(i int) *link {
	l := h.links[i]
	if l == nil {
		l = newLink(h, i)
		h.links[i] = l
	}
	if l.used >= h.transport.options.Pipeline {
		return nil
	}
	l.used++
	return l
}

// release gives a place back, to who waits for one.
func (h *host) release(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.used--
	l.worked()
	h.serve()
}

// serve gives places to who waits.
func (h *host) serve() {
	for i := 0; i < len(h.waiting); {
		w := h.waiting[i]
		l := h.place(w.at)
		if l == nil {
			if w.at == anySlot {
				return // nor is there one for any of the others
			}
			i++
			continue
		}
		h.waiting = slices.Delete(h.waiting, i, i+1)
		w.got <- l
	}
}

// cancel takes back a wait; a place that it got meanwhile is given back.
func (h *host) cancel(w *waiter) {
	h.mu.Lock()
	i := slices.Index(h.waiting, w)
	if i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
	h.mu.Unlock()
	if i < 0 {
		if l := <-w.got; l != nil {
			h.release(l)
		}
	}
}

// connected waits until the link is connected; who comes first connects it.
func (h *host) connected(ctx context.Context, l *link) error {
	if l.claimed.Swap(true) {
		select {
		case <-l.ready:
			return l.dialled
		case <-ctx.Done():
			return upstream.As(upstream.TimedOut, fmt.Errorf("no connection in time: %w", ctx.Err()))
		}
	}
	if err := h.mayDial(); err != nil {
		l.fail(err)
		h.drop(l)
		return err
	}
	// Others wait for this connection as well: it does not end with who began it.
	c, err := h.transport.dial(context.WithoutCancel(ctx), h.address)
	if err != nil {
		h.missed(err)
		l.fail(err)
		h.drop(l)
		return err
	}
	h.welcome()
	if !l.start(c) {
		h.drop(l)
		return upstream.As(upstream.Cancelled, ErrClosed)
	}
	return nil
}

func (h *host) mayDial() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil && time.Now().Before(h.until) {
		return upstream.As(upstream.Refused, fmt.Errorf("%w: %w", errBackoff, h.last))
	}
	return nil
}

// missed notes that the member could not be reached: for a while it is not tried.
func (h *host) missed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backoff = min(max(2*h.backoff, firstBackoff), mostBackoff)
	h.until = time.Now().Add(h.backoff/2 + rand.N(h.backoff/2+1))
	h.last = err
}

// welcome notes that the member can be reached.
func (h *host) welcome() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backoff, h.last = 0, nil
}

// drop takes a link out of its slot: the next message there makes a new one.
func (h *host) drop(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.links[l.slot] == l {
		h.links[l.slot] = nil
		h.serve()
	}
}

// leave closes the links without work; true if nothing is left.
func (h *host) leave() bool {
	h.mu.Lock()
	var idle []*link
	for _, l := range h.links {
		if l != nil && l.used == 0 {
			idle = append(idle, l)
		}
	}
	empty := len(h.waiting) == 0
	for _, l := range h.links {
		empty = empty && (l == nil || l.used == 0)
	}
	h.closed = empty
	h.mu.Unlock()
	for _, l := range idle {
		l.close(ErrClosed)
	}
	return empty
}

// close closes every link, and sends away who waits.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	links := slices.Clone(h.links)
	for _, w := range h.waiting {
		w.got <- nil
	}
	h.waiting = nil
	h.mu.Unlock()
	for _, l := range links {
		if l != nil {
			l.close(ErrClosed)
		}
	}
}
