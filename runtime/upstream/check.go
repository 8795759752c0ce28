package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// checks is how a member's checks went; of the goroutine that checks it.
type checks struct {
	first bool // one was made
	fall  int  // failed in a row
	rise  int  // passed in a row
}

// follow starts to check members that are new, and stops where they are gone. The
// keeper's.
func (p *Pool) follow(ctx context.Context, group *sync.WaitGroup, checked map[*Member]bool, slots chan struct{}) {
	for _, m := range p.Members() {
		if checked[m] {
			continue
		}
		checked[m] = true
		ctx, cancel := context.WithCancel(ctx)
		m.stopChecks = cancel
		group.Go(func() {
			defer cancel()
			p.watch(ctx, m, slots)
		})
	}
	for m := range checked {
		if m.Gone() {
			m.stopChecks()
			delete(checked, m)
		}
	}
}

// watch checks one member until the context ends. The first check is at once.
func (p *Pool) watch(ctx context.Context, m *Member, slots chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		err := p.check(ctx, m)
		<-slots
		if ctx.Err() != nil {
			return
		}
		if p.checked(m, err) {
			p.dirty.Store(true)
			p.settle()
		}
		timer.Reset(around(p.options.Check.Interval, 0.2))
	}
}

func (p *Pool) check(ctx context.Context, m *Member) (err error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Check.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the check panicked: %v", r)
		}
	}()
	return p.options.Check.Checker(ctx, m)
}

// checked takes a check's result, and tells whether the member went down or up.
func (p *Pool) checked(m *Member, err error) bool {
	c := &m.checks
	m.counts.checks.Add(1)
	m.counts.checkErr.Store(nil)
	decides := !c.first
	c.first = true
	if err == nil {
		c.rise, c.fall = c.rise+1, 0
		return m.down.Load() && (decides || c.rise >= p.options.Check.Rise) && m.down.CompareAndSwap(true, false)
	}
	m.counts.checksFailed.Add(1)
	m.counts.checkErr.Store(&err)
	c.rise, c.fall = 0, c.fall+1
	return (decides || c.fall >= p.options.Check.Fall) && m.down.CompareAndSwap(false, true)
}

// around is d, more or less by up to that part of it by chance.
func around(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * (1 - part + 2*part*rand.Float64()))
}
