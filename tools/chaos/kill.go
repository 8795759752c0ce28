package main

import (
	"context"
	"fmt"
	"time"
)

// The longest that weft runs between two faults.
const (
	killAfter = 100 * time.Millisecond
	killUntil = 1500 * time.Millisecond
)

func runKill(ctx context.Context, r *run) error {
	return r.kills(ctx, settings{durable: true, sync: "always"}, traffic{})
}

// runKillInterval is runKill where weft writes to the disk now and then: what the
// kernel has, a killed process cannot lose.
func runKillInterval(ctx context.Context, r *run) error {
	return r.kills(ctx, settings{durable: true, sync: "interval", every: 10 * time.Second}, traffic{})
}

// runMemory is runKill without a log. Its subscribers come back after its
// publishers, so that something is acknowledged in between.
func runMemory(ctx context.Context, r *run) error {
	return r.kills(ctx, settings{}, traffic{absent: 300 * time.Millisecond, settle: 2 * time.Second})
}

func judgeMemory(_ *run, v *verdict) []string {
	if n := v.lostHealed(); n > 0 {
		return []string{fmt.Sprintf("%d lost that came long after the last fault", n)}
	}
	if v.lost() == 0 {
		return []string{"nothing was lost without a log: this checker finds no loss, and its other verdicts are worth nothing"}
	}
	return nil
}

// kills ends weft by SIGKILL at random moments and starts it again.
func (r *run) kills(ctx context.Context, s settings, t traffic) error {
	n, err := r.single(ctx, s)
	if err != nil {
		return err
	}
	t.mqtt, t.apis = []string{n.mqtt}, []string{n.api}
	return r.under(ctx, t, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := n.died(); err != nil {
				return err
			}
			if err := n.Kill(); err != nil {
				return err
			}
			if r.random.IntN(4) == 0 { // once more, while it reads what is there
				if err := n.stillborn(ctx, r.between(time.Millisecond, 150*time.Millisecond)); err != nil {
					return err
				}
				r.figures["kills_while_starting"]++
			}
			if err := n.start(ctx); err != nil {
				return fmt.Errorf("start after kill %d: %w", i+1, err)
			}
		}
		if err := r.heal(ctx); err != nil {
			return err
		}
		wait(ctx, killUntil/2)
		r.recovery(n)
		return n.died()
	})
}

// recovery adds how long the starts after the first one took.
func (r *run) recovery(n *node) {
	r.figures["starts"] = float64(n.starts)
	r.figures["start_ms_median"], r.figures["start_ms_max"] = n.took[1:].median(), n.took[1:].most()
}
