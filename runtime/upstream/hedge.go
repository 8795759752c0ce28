package upstream

import (
	"context"
	"time"
)

// answer is what a try on its own goroutine came to.
type answer struct {
	hedge    bool
	err      error
	panicked any
}

// hedge calls the member and, when it takes long, another one as well. The first
// that does what it is asked, or declines, ends the other's context. Both have ended
// when hedge returns, so that what they read is the caller's again.
func (a *attempt) hedge(ctx context.Context, m *Member, c Call) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 2)
	start := func(m *Member, c Call, hedge bool) {
		r := answer{hedge: hedge}
		defer func() {
			r.panicked = recover()
			answers <- r
		}()
		r.err = a.try(ctx, m, c)
	}
	go start(m, c, false)
	running := 1
	timer := time.NewTimer(a.pool.options.Hedge.After)
	defer timer.Stop()
	var last, won *answer
	for running > 0 {
		select {
		case <-timer.C:
			if won == nil && len(answers) == 0 && a.another(start) { // an answer that is there comes first
				running++
			}
		case r := <-answers:
			running--
			if r.panicked != nil {
				won = &r // wait for the other one, then tell
			}
			if won == nil && (r.err == nil || !Classify(r.err).Failure() && ctx.Err() == nil) {
				won = &r
				if r.hedge {
					a.pool.counts.hedgesWon.Add(1)
				}
			}
			if won != nil {
				cancel()
			} else {
				timer.Stop() // failed before it was slow: that is for a retry
			}
			last = &r
		}
	}
	if won == nil {
		won = last
	}
	if won.panicked != nil {
		panic(won.panicked)
	}
	return won.err
}

// another starts the hedge, if there is a member for it and budget.
func (a *attempt) another(start func(*Member, Call, bool)) bool {
	p := a.pool
	if a.tries >= p.options.Retry.Tries {
		return false
	}
	m, err := p.Pick(a.key, &a.tried)
	if err != nil {
		return false
	}
	if !p.budget.spend(p.now()) {
		p.counts.unbudgeted.Add(1)
		return false
	}
	a.tried.Add(m)
	c, err := m.Begin()
	if err != nil {
		return false
	}
	a.tries++
	p.counts.hedges.Add(1)
	go start(m, c, true)
	return true
}
