package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// overview shows how weft is to those who look. All who watch at one interval share one
// computation; while nobody does, there is no goroutine and nothing is computed.
type overview struct {
	server *Server

	mu     sync.Mutex
	paces  map[time.Duration]*pace
	count  int
	taken  uint64  // samples
	latest *sample // the last one that was taken, for whoever is next
}

const (
	// maxWatchers is how many may watch at once.
	maxWatchers = 64
	// freshSample is how old a sample may be to be taken for a new one.
	freshSample = 100 * time.Millisecond
	// leastSpan and mostSpan bound what rates are about where nobody watches.
	leastSpan = 250 * time.Millisecond
	mostSpan  = 10 * time.Second
)

// pace is those who watch at one interval.
type pace struct {
	owner    *overview
	interval time.Duration
	watchers map[*watching]bool
	last     *sample
	shown    *weftv1.Snapshot
	end      chan struct{}
}

// watching is one of them. What it has not taken when the next one is there, it misses.
type watching struct {
	pace *pace
	out  chan *weftv1.Snapshot
	late *sample // it came between two snapshots: its first one is since this
	once sync.Once
}

func newOverview(s *Server) *overview { return &overview{server: s, paces: map[time.Duration]*pace{}} }

// take takes a sample, or the last one if that is young enough.
func (o *overview) take() *sample {
	o.mu.Lock()
	latest := o.latest
	o.mu.Unlock()
	if latest != nil && time.Since(latest.at) < freshSample {
		return latest
	}
	now := o.server.sample()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken++
	if o.latest == nil || o.latest.at.Before(now.at) {
		o.latest = now
	}
	return now
}

// Look implements admin.Overview.
func (o *overview) Look(ctx context.Context) (*weftv1.Snapshot, error) {
	o.mu.Lock()
	from := o.latest
	o.mu.Unlock()
	age := time.Duration(0)
	if from != nil {
		age = time.Since(from.at)
	}
	if from == nil || age > mostSpan {
		from, age = o.take(), 0
	}
	if age < leastSpan {
		timer := time.NewTimer(leastSpan - age)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return o.server.snapshot(from, o.take()), nil
}

// Watch implements admin.Overview.
func (o *overview) Watch(interval time.Duration) (admin.Watching, error) {
	o.mu.Lock()
	if o.count >= maxWatchers {
		o.mu.Unlock()
		return nil, fmt.Errorf("%w: %d watch already, which is the most", admin.ErrBusy, maxWatchers)
	}
	o.count++
	p := o.paces[interval]
	if p == nil {
		p = &pace{owner: o, interval: interval, watchers: map[*watching]bool{}, end: make(chan struct{})}
		o.paces[interval] = p
		go p.run()
	}
	w := &watching{pace: p, out: make(chan *weftv1.Snapshot, 1)}
	p.watchers[w] = true
	if p.shown != nil && time.Since(p.last.at) < leastSpan {
		w.out <- p.shown
	} else if p.shown != nil {
		w.late = p.last
	}
	o.mu.Unlock()
	return w, nil
}

// run shows one snapshot after another until the last watcher has gone.
func (p *pace) run() {
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		p.show()
		select {
		case <-ticker.C:
		case <-p.end:
			return
		}
	}
}

// show makes the next snapshot and hands it out.
func (p *pace) show() {
	o := p.owner
	from := p.last
	if from == nil { // rates at once, where somebody else has looked lately
		o.mu.Lock()
		if l := o.latest; l != nil && time.Since(l.at) >= leastSpan && time.Since(l.at) < mostSpan {
			from = l
		}
		o.mu.Unlock()
	}
	now := o.take()
	shown := o.server.snapshot(from, now)
	o.mu.Lock()
	defer o.mu.Unlock()
	p.last, p.shown = now, shown
	for w := range p.watchers {
		select {
		case <-w.out: // it was not taken
		default:
		}
		w.out <- shown
	}
}

// Next implements admin.Watching.
func (w *watching) Next(ctx context.Context) (*weftv1.Snapshot, error) {
	if from := w.late; from != nil {
		w.late = nil
		o := w.pace.owner
		return o.server.snapshot(from, o.take()), nil
	}
	select {
	case shown := <-w.out:
		return shown, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close implements admin.Watching.
func (w *watching) Close() {
	w.once.Do(func() {
		p := w.pace
		o := p.owner
		o.mu.Lock()
		defer o.mu.Unlock()
		o.count--
		delete(p.watchers, w)
		if len(p.watchers) == 0 {
			close(p.end)
			delete(o.paces, p.interval)
		}
	})
}
