package hostfuncs

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
)

// Calls is the asynchronous calls of one plugin instance. Begin, Given, Take and
// Close belong to the goroutine that owns the instance.
type Calls struct {
	post func(Answer)
	ctx  context.Context
	stop context.CancelFunc
	last uint64 // the token that was given last

	attached bool

	mu      sync.Mutex // guards what follows
	pending map[uint64]*call
	closed  bool
}

// Answer is what one call brought.
type Answer struct {
	Calls *Calls
	Token uint64
	// Status is abi.StatusOK, or why there are no Bytes.
	Status abi.Status
	// Bytes is the answer as the guest reads it (SPEC section 6.1); nobody
	// changes them any more.
	Bytes []byte
}

// call is one call that is under way. It counts against the grant until its
// goroutine has ended and its answer was taken.
type call struct {
	funcs *httpFuncs
	post  func(Answer)
	users atomic.Int32
	done  bool // an answer was posted
}

func (c *call) leave() {
	if c.users.Add(-1) == 0 {
		c.funcs.open.Add(-1)
	}
}

type callsKey struct{}

// NewCalls makes the calls of one instance; nil if the plugin has no capability
// that takes its time. Nothing can be begun before Attach.
func (h *Host) NewCalls() *Calls {
	if h.http == nil {
		return nil
	}
	c := &Calls{pending: make(map[uint64]*call)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// WithCalls is the context that all calls of the instance's functions are made
// with.
func WithCalls(ctx context.Context, c *Calls) context.Context {
	return context.WithValue(ctx, callsKey{}, c)
}

// Attach allows calls until Detach. post gets the answer of each, from a goroutine
// of the call's own; it must not block. There is exactly one answer for each call,
// unless Close comes first.
func (c *Calls) Attach(post func(Answer)) { c.post, c.attached = post, true }

// Detach refuses calls until Attach. Those that are under way go on.
func (c *Calls) Detach() { c.attached = false }

// Given tells whether the instance was given the token.
func (c *Calls) Given(token uint64) bool { return c != nil && token > 0 && token <= c.last }

// Pending tells whether the token's answer is still to be taken.
func (c *Calls) Pending(token uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending[token] != nil
}

// Take takes note that the token's answer was handed on, or thrown away.
func (c *Calls) Take(token uint64) {
	c.mu.Lock()
	one := c.pending[token]
	delete(c.pending, token)
	c.mu.Unlock()
	if one != nil {
		one.leave()
	}
}

// Close cancels what is under way. No answer is posted once it has returned, but
// for one that is being posted right now. It may be called more than once.
func (c *Calls) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	left := c.pending
	c.pending, c.closed = nil, true
	c.mu.Unlock()
	for _, one := range left {
		one.leave()
	}
	c.stop()
}

// begin begins a call for which there is room.
func (c *Calls) begin(f *httpFuncs, r *http.Request, deadline time.Duration) uint64 {
	c.last++
	token, one := c.last, &call{funcs: f, post: c.post}
	one.users.Store(2)
	c.mu.Lock()
	if c.closed {
		one.users.Store(1)
	} else {
		c.pending[token] = one
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, deadline)
	// A transport that does not heed its context is not waited for.
	overdue := context.AfterFunc(ctx, func() { c.finish(one, token, abi.StatusTimeout, nil) })
	go func() {
		defer one.leave()
		defer cancel()
		answer, status := f.do(ctx, r)
		overdue()
		c.finish(one, token, status, answer)
	}()
	return token
}

// finish posts a call's answer, the first that comes.
func (c *Calls) finish(one *call, token uint64, status abi.Status, answer []byte) {
	c.mu.Lock()
	again := one.done || c.closed
	one.done = true
	c.mu.Unlock()
	if again {
		return
	}
	one.funcs.count(status)
	one.post(Answer{Calls: c, Token: token, Status: status, Bytes: answer})
}
