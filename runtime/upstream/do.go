package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Do takes one message to a member, by the pool's whole policy: it picks, calls, and
// tries again another member; the same ones only when all were tried. call gets a
// context that ends with the try's timeout; its error says how the try ended
// (Classify, As, Final). Without hedging it runs on the caller's goroutine, one try
// after the other; with it on goroutines of its own, up to two at once, which have
// ended when Do returns.
//
// Do returns nil, or the last try's error, wrapped; ErrNoMember, ErrRate or ErrClosed
// when there was none. It waits: never call it from an event loop.
func (p *Pool) Do(ctx context.Context, key []byte, call func(context.Context, *Member) error) error {
	p.counts.calls.Add(1)
	err := p.do(ctx, key, call)
	if err != nil {
		p.counts.failed.Add(1)
		switch {
		case errors.Is(err, ErrRate):
			p.counts.rateLimited.Add(1)
		case errors.Is(err, ErrNoMember):
			p.counts.noMember.Add(1)
		}
	}
	return err
}

func (p *Pool) do(ctx context.Context, key []byte, call func(context.Context, *Member) error) error {
	if p.closed.Load() {
		return fmt.Errorf("upstream %s: %w", p.options.Name, ErrClosed)
	}
	if d := p.options.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if err := p.admit(ctx); err != nil {
		return err
	}
	p.budget.call(p.now())
	a := &attempt{pool: p, key: key, call: call}
	var last error
	for {
		tried, err := a.round(ctx)
		if err == nil {
			return nil
		}
		if !tried {
			if errors.Is(err, ErrNoMember) && restOf(last) > 0 {
				return a.failed(last) // why nobody is there
			}
			return err
		}
		last = err
		switch {
		case ctx.Err() != nil, !again(err), a.tries >= p.options.Retry.Tries:
			return a.failed(err)
		case !p.budget.spend(p.now()):
			p.counts.unbudgeted.Add(1)
			return a.failed(fmt.Errorf("%w; %w", err, ErrBudget))
		}
		if p.await(ctx, p.options.Retry.before(a.rounds), err) != nil {
			return a.failed(err)
		}
		p.counts.retries.Add(1)
	}
}

// admit waits for the call's turn, as long as Rate.Wait allows.
func (p *Pool) admit(ctx context.Context) error {
	if p.limiter == nil {
		return nil
	}
	now := time.Now()
	r := p.limiter.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if !r.OK() || d > p.options.Rate.Wait {
		r.CancelAt(now)
		return fmt.Errorf("upstream %s: %w (%v a second)", p.options.Name, ErrRate, p.options.Rate.PerSecond)
	}
	if err := pause(ctx, d); err != nil {
		r.Cancel()
		return fmt.Errorf("upstream %s: waiting for its rate: %w", p.options.Name, err)
	}
	return nil
}

// before is the pause after so many rounds: by chance, up to a bound that doubles.
func (r *Retry) before(rounds int) time.Duration {
	d := r.Pause
	for range rounds - 1 {
		if d *= 2; d >= r.MaxPause {
			break
		}
	}
	return rand.N(min(d, r.MaxPause) + 1)
}

// pause waits, or tells why not to.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// attempt is one call of Do.
type attempt struct {
	pool   *Pool
	key    []byte
	call   func(context.Context, *Member) error
	tried  Tried
	tries  int // members called
	rounds int // tries without hedges
}

func (a *attempt) failed(err error) error {
	if a.tries == 1 {
		return fmt.Errorf("upstream %s: %w", a.pool.options.Name, err)
	}
	return fmt.Errorf("upstream %s: after %d tries: %w", a.pool.options.Name, a.tries, err)
}

// begin picks a member and begins a call to it.
func (a *attempt) begin() (*Member, Call, error) {
	again := false
	// A breaker may let less through than Pick could know; bounded, as Tried is.
	for range 4 * MaxTries {
		m, err := a.pool.Pick(a.key, &a.tried)
		if err != nil {
			if again || a.tried.n == 0 || !errors.Is(err, ErrNoMember) {
				return nil, Call{}, err
			}
			again = true // everyone was tried: from the beginning
			a.tried = Tried{}
			continue
		}
		a.tried.Add(m)
		if c, err := m.Begin(); err == nil {
			a.tries++
			return m, c, nil
		}
	}
	return nil, Call{}, a.pool.noMember(&a.tried)
}

// round is one try, and its hedge. tried is false when no member could be called.
func (a *attempt) round(ctx context.Context) (tried bool, err error) {
	m, c, err := a.begin()
	if err != nil {
		return false, err
	}
	a.rounds++
	if a.pool.options.Hedge.After > 0 {
		return true, a.hedge(ctx, m, c)
	}
	return true, a.try(ctx, m, c)
}

// try calls the member, and tells its call how it went, also when it panics.
func (a *attempt) try(ctx context.Context, m *Member, c Call) (err error) {
	whole, first := ctx, a.rounds == 1
	limit := a.pool.options.Retry.Timeout
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	o := Failed
	defer func() { c.End(o) }()
	err = a.call(ctx, m)
	o = outcome(ctx, whole, err, first)
	if d := restOf(err); d > 0 {
		a.pool.rest(m, d) // before the call ends: the next one knows
	}
	if err != nil {
		if o == TimedOut && Classify(err) != TimedOut {
			err = &marked{outcome: TimedOut, final: final(err), err: fmt.Errorf("%w (no answer in time)", err)}
		}
		err = fmt.Errorf("%s: %w", m.address, err)
	}
	return err
}

// outcome is how a try ended. What a call says when its context has ended is not
// always why: a connection that was closed for it looks broken.
func outcome(try, whole context.Context, err error, first bool) Outcome {
	o := Classify(err)
	if !o.Failure() && o != Cancelled || try.Err() == nil {
		return o
	}
	switch {
	case whole.Err() == nil:
		return TimedOut // its own time was over
	case errors.Is(whole.Err(), context.Canceled):
		return Cancelled
	case first:
		return TimedOut // it had all the time that there was
	}
	// A later try that was cut short says nothing.
	return Cancelled
}
