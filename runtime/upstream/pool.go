package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Pool is a named set of members. Its methods may be called by any goroutine.
type Pool struct {
	options Options
	epoch   time.Time // what now counts from

	// What Pick reads.
	closed   atomic.Bool
	snap     atomic.Pointer[snapshot]
	turn     atomic.Uint64
	inFlight atomic.Int64

	members atomic.Pointer[[]*Member] // by address
	dirty   atomic.Bool               // a breaker or an ejection has changed: settle
	wake    chan struct{}             // for the keeper: of one, like every bell

	budget  budget
	limiter *rate.Limiter // nil: any number
	counts  poolCounts

	mu        sync.Mutex // what changes the snapshot
	rings     map[int]*ring
	halved    uint // see makeRing
	discovery DiscoveryStats
}

// New makes a pool of Options.Members; nothing is discovered, checked or healed
// before Run. Its errors wrap ErrOptions.
func New(o Options) (*Pool, error) {
	o, err := o.whole()
	if err != nil {
		return nil, err
	}
	p := &Pool{options: o, epoch: time.Now(), wake: make(chan struct{}, 1)}
	p.budget = budget{share: o.Retry.Share, perSecond: o.Retry.PerSecond}
	if o.Rate.PerSecond > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(o.Rate.PerSecond), o.Rate.Burst)
	}
	p.members.Store(&[]*Member{})
	p.replace(o.Members)
	p.refresh()
	return p, nil
}

// Name is the pool's.
func (p *Pool) Name() string { return p.options.Name }

// Members are those that the pool has now, whether they may be picked or not: read
// only.
func (p *Pool) Members() []*Member { return *p.members.Load() }

// now is the pool's clock, in nanoseconds: it goes on evenly whatever is done to the
// system's. It begins at 1, so that 0 is no time.
func (p *Pool) now() int64 { return int64(time.Since(p.epoch)) + 1 }

// when is a moment of the pool's clock as everyone else's.
func (p *Pool) when(t int64) time.Time { return p.epoch.Add(time.Duration(t - 1)) }

// source is what is asked for members.
func (p *Pool) source() string {
	if p.options.Discoverer == nil {
		return "static"
	}
	return p.options.Discoverer.String()
}

// Run discovers, checks and heals until the context ends; then no call may start any
// more, and those in flight go on. Every goroutine that it started has ended when it
// returns, always with nil: a discovery that gives up is logged, and what it found
// stands. Call it once.
func (p *Pool) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	defer p.closed.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.options.Discoverer != nil {
		group.Go(func() { p.discover(ctx) })
	}
	p.keep(ctx, &group)
	return nil
}

func (p *Pool) discover(ctx context.Context) {
	err := p.options.Discoverer.Discover(ctx, p.options.Logger, p.found)
	if err == nil || ctx.Err() != nil {
		return
	}
	p.options.Logger.Error("upstream members are no longer looked for; those that were found stand",
		"upstream", p.options.Name, "discovery", p.source(), "error", err)
	p.found(Found{Err: err})
}

// keep renews the snapshot when it is time to, and checks whoever there is.
func (p *Pool) keep(ctx context.Context, group *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	checked := make(map[*Member]bool)
	slots := make(chan struct{}, p.options.Check.Parallel)
	for {
		next := p.refresh()
		if p.options.Check.Checker != nil {
			p.follow(ctx, group, checked, slots)
		}
		timer.Stop()
		if next != never {
			timer.Reset(time.Duration(max(0, next-p.now())))
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// poke tells the keeper that something is due earlier than it thinks.
func (p *Pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
