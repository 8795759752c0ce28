package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/tools/load"
)

// lead drives workers.
type lead struct {
	*meeting
	name    string
	silence time.Duration
	workers []crewNote // their offers
	ended   context.CancelFunc
	beats   chan struct{} // closed when they have ended
}

// gather finds the workers.
func (c *crew) gather(cmd *cobra.Command, within time.Duration) (*lead, error) {
	ctx := cmd.Context()
	m, err := c.meet(ctx, "weft bench")
	if err != nil {
		return nil, err
	}
	l := &lead{meeting: m, name: rand.Text(), silence: c.silence}
	if err := l.find(ctx, c.workers, within); err != nil {
		m.close()
		return nil, err
	}
	note(cmd, "%d workers: %s", len(l.workers), strings.Join(l.names(), ", "))
	beating, ended := context.WithCancel(context.Background())
	l.ended, l.beats = ended, make(chan struct{})
	go func() {
		defer close(l.beats)
		tick := time.NewTicker(crewBeat)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
				_ = l.send("all", &crewNote{Kind: crewAlive, From: l.name}) // silence tells the workers
			}
		}
	}()
	return l, nil
}

func (l *lead) names() []string {
	var names []string
	for _, w := range l.workers {
		names = append(names, w.From)
	}
	return names
}

func (l *lead) close() {
	l.ended()
	<-l.beats
	l.meeting.close()
}

// find asks who is there until there are enough.
func (l *lead) find(ctx context.Context, want int, within time.Duration) error {
	if err := l.hear(ctx, "to."+l.name); err != nil {
		return fail(exitRuntime, err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	own := currentVersions()
	tick := time.NewTicker(crewBeat)
	defer tick.Stop()
	for again := true; len(l.workers) < want; {
		if again {
			if err := l.send("all", &crewNote{Kind: crewAsk, From: l.name}); err != nil {
				return fail(exitRuntime, err, "")
			}
		}
		select {
		case <-ctx.Done():
			return fail(exitRuntime, fmt.Errorf("%d of %d workers answered within %s", len(l.workers), want, within),
				"Start more of them: weft bench --worker --backbone URL; one that is busy does not answer.")
		case <-tick.C:
			again = true
		case n := <-l.notes:
			again = false
			known := slices.ContainsFunc(l.workers, func(w crewNote) bool { return w.From == n.From })
			switch {
			case n.Kind != crewOffer || known:
			case n.Protocol != crewProtocol || n.Version != own.Version:
				return fail(exitRuntime, fmt.Errorf("worker %s is weft %s (protocol %d), and this is %s (protocol %d)", n.From, n.Version, n.Protocol, own.Version, crewProtocol),
					"Run the same weft everywhere, or give those that differ another --group.")
			default:
				l.workers = append(l.workers, n)
			}
		}
	}
	slices.SortFunc(l.workers, func(a, b crewNote) int { return strings.Compare(a.From, b.From) })
	return nil
}

// run has one run made by all workers.
func (l *lead) run(ctx context.Context, plan benchPlan) (*load.Result, error) {
	result, err := l.make(ctx, plan)
	if err != nil {
		_ = l.send("all", &crewNote{Kind: crewStop, From: l.name}) // what failed is what matters
		return nil, fail(exitRuntime, err, "")
	}
	return result, nil
}

func (l *lead) make(ctx context.Context, plan benchPlan) (*load.Result, error) {
	job := rand.Text()
	n := len(l.workers)
	for i, w := range l.workers {
		share := plan.share(i, n)
		if err := l.send("to."+w.From, &crewNote{Kind: crewJob, Job: job, From: l.name, Plan: &share}); err != nil {
			return nil, err
		}
	}
	if _, err := l.await(ctx, job, crewReady, plan.Timeout+crewGrace); err != nil {
		return nil, err
	}
	if err := l.send("all", &crewNote{Kind: crewStart, Job: job, From: l.name}); err != nil {
		return nil, err
	}
	within := time.Duration(0)
	if plan.Duration > 0 {
		within = plan.Warmup + plan.Duration + plan.Timeout + crewGrace
	}
	done, err := l.await(ctx, job, crewDone, within)
	if err != nil {
		return nil, err
	}
	var whole *load.Result
	var list []load.Worker
	for _, w := range l.workers {
		r := done[w.From].Result
		if r == nil || r.Histogram == nil {
			return nil, fmt.Errorf("worker %s: its result cannot be read", w.From)
		}
		list = append(list, load.Worker{Name: w.From, Host: w.Host, CPUs: w.CPUs, Rate: r.Measured.Rate})
		if whole == nil {
			whole = r
		} else if err := whole.Merge(r); err != nil {
			return nil, fmt.Errorf("worker %s: %w", w.From, err)
		}
	}
	whole.Workers = list
	return whole, nil
}

// await waits until every worker has said kind. within 0 waits as long as all are alive.
func (l *lead) await(ctx context.Context, job, kind string, within time.Duration) (map[string]crewNote, error) {
	var over <-chan time.Time
	if within > 0 {
		timer := time.NewTimer(within)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(crewBeat)
	defer tick.Stop()
	heard, said := map[string]time.Time{}, map[string]crewNote{}
	for _, w := range l.workers {
		heard[w.From] = time.Now()
	}
	for len(said) < len(l.workers) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			return nil, fmt.Errorf("%d of %d workers were %s within %s", len(said), len(l.workers), kind, within)
		case <-tick.C:
			for _, w := range l.workers {
				if _, ok := said[w.From]; !ok && time.Since(heard[w.From]) > l.silence && len(l.notes) == 0 {
					return nil, fmt.Errorf("worker %s on %s has died: nothing was heard of it for %s", w.From, w.Host, l.silence)
				}
			}
		case n := <-l.notes:
			if _, ok := heard[n.From]; !ok {
				continue
			}
			heard[n.From] = time.Now()
			switch {
			case n.Job != job:
			case n.Kind == kind:
				said[n.From] = n
			case n.Kind == crewFailed:
				return nil, fmt.Errorf("worker %s: %w", n.From, errors.New(n.Error))
			}
		}
	}
	return said, nil
}
