package upstream

import (
	"context"
	"errors"
	"time"
)

// RestUntil marks an error of a member that has said when it wants to be asked again
// (HTTP's Retry-After): for so long it gets no call. The outcome, and whether the error
// is final, stay as they are. nil stays nil; a time that is not above 0 says nothing.
// Whoever marks bounds the time: the member chooses it.
func RestUntil(d time.Duration, err error) error {
	if err == nil || d <= 0 {
		return err
	}
	return &resting{after: d, err: err}
}

type resting struct {
	after time.Duration
	err   error
}

func (e *resting) Error() string { return e.err.Error() }
func (e *resting) Unwrap() error { return e.err }

// restOf is how long the member wants to be left alone; 0: it has not said.
func restOf(err error) time.Duration {
	if r, ok := errors.AsType[*resting](err); ok {
		return r.after
	}
	return 0
}

// rest leaves the member alone for so long, or for longer if it has said so before. The
// snapshot follows in settle.
func (p *Pool) rest(m *Member, d time.Duration) {
	until := p.now() + int64(d)
	for {
		old := m.resting.Load()
		if old >= until {
			return
		}
		if m.resting.CompareAndSwap(old, until) {
			break
		}
	}
	m.counts.rests.Add(1)
	p.dirty.Store(true)
}

// awake ends a rest that is over, and tells when to look again.
func (m *Member) awake(now int64) (next int64) {
	until := m.resting.Load()
	switch {
	case until == 0:
		return never
	case now < until:
		return until
	}
	m.resting.CompareAndSwap(until, 0) // unless it was made longer meanwhile
	return never
}

// await is the pause before a call that a member has declined is tried again: where no
// other member is there, as long as it wants to be left alone, if that is no longer than
// a pause may be at all.
func (p *Pool) await(ctx context.Context, d time.Duration, err error) error {
	rest := restOf(err)
	if rest <= d || rest > p.options.Retry.MaxPause || len(p.snap.Load().tiers) > 0 {
		return pause(ctx, d)
	}
	if err := pause(ctx, rest); err != nil {
		return err
	}
	p.refresh() // the keeper may do it a moment later
	return nil
}
