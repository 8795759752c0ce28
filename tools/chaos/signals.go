package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// The longest that a stopped weft stands still: some clients give up and come
// again while it does.
const stillFor = answerWithin + time.Second

// runPause stops weft by SIGSTOP and lets it go on by SIGCONT.
func runPause(ctx context.Context, r *run) error {
	n, err := r.single(ctx, settings{durable: true, sync: "always"})
	if err != nil {
		return err
	}
	return r.under(ctx, traffic{mqtt: []string{n.mqtt}, apis: []string{n.api}}, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			still := r.between(50*time.Millisecond, time.Second)
			if i == 0 && !r.quick {
				still = stillFor
			}
			if err := n.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			wait(ctx, still)
			if err := n.Signal(syscall.SIGCONT); err != nil {
				return err
			}
		}
		wait(ctx, time.Second)
		return n.died()
	})
}

// runTerm asks weft to end and starts it again.
func runTerm(ctx context.Context, r *run) error {
	n, err := r.single(ctx, settings{durable: true, sync: "always"})
	if err != nil {
		return err
	}
	var ends times
	return r.under(ctx, traffic{mqtt: []string{n.mqtt}, apis: []string{n.api}}, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			begun := time.Now()
			if err := n.Stop(); err != nil {
				return fmt.Errorf("SIGTERM %d: %w; its last words:\n%s", i+1, err, n.Tail())
			}
			ends = append(ends, time.Since(begun))
			if err := n.start(ctx); err != nil {
				return fmt.Errorf("start after SIGTERM %d: %w", i+1, err)
			}
		}
		wait(ctx, time.Second)
		r.recovery(n)
		r.figures["end_ms_median"], r.figures["end_ms_max"] = ends.median(), ends.most()
		return n.died()
	})
}
