package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/engine"
)

// seating is instances that wait for their places in one chain of one loop.
type seating struct {
	seats
	ready []*plugins.Standby
}

// seatings are those of all loops.
type seatings [][]seating

// close gives back what was not used.
func (s seatings) close() {
	for _, loop := range s {
		for _, at := range loop {
			for _, ready := range at.ready {
				ready.Close()
			}
		}
	}
}

// prepare makes an instance for every place of the plugin on every loop. fresh ones
// take over no state.
func (r *rollouts) prepare(ctx context.Context, g *group, next *generation, fresh bool) (all seatings, err error) {
	defer func() {
		if err != nil {
			all.close()
			all = nil
		}
	}()
	for range r.server.paths {
		var loop []seating
		for _, at := range g.seats {
			s := seating{seats: at}
			for range at.count {
				if err := ctx.Err(); err != nil {
					return append(all, append(loop, s)), err
				}
				ready, err := next.members[at.member].Standby(ctx)
				if err != nil {
					return append(all, append(loop, s)), err
				}
				if fresh {
					ready.Forget()
				}
				s.ready = append(s.ready, ready)
			}
			loop = append(loop, s)
		}
		all = append(all, loop)
	}
	return all, nil
}

// errLoop is wrapped by the error about a step that a loop did not take.
var errLoop = errors.New("a loop did not take the step")

// busyFor is how long a loop may have too much to do to take a step.
const busyFor = 5 * time.Second

// onLoop runs a step on a loop, between two of its turns, and waits for it.
func (r *rollouts) onLoop(i int, step func(p *path) error) error {
	done := make(chan error, 1)
	run := func() {
		err := fmt.Errorf("%w: it panicked", errLoop)
		defer func() { done <- err }()
		err = step(r.server.paths[i])
	}
	var err error
	for end := time.Now().Add(busyFor); ; {
		if err = r.server.engine.Do(i, run); err == nil {
			return <-done
		}
		if !errors.Is(err, engine.ErrBusy) || time.Now().After(end) {
			return fmt.Errorf("%w: loop %d: %w", errLoop, i, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// everywhere runs a step on each loop, one after another, and goes on after an
// error: for what cannot be refused.
func (r *rollouts) everywhere(step func(p *path)) {
	for i := range r.server.paths {
		if err := r.onLoop(i, func(p *path) error { step(p); return nil }); err != nil {
			r.log.Error("a generation was not put away", "loop", i, "error", err)
		}
	}
}

// swapped is what a loop can still take back.
type swapped []*plugins.Swapped

func (s swapped) commit() {
	for _, one := range s {
		one.Commit()
	}
}

func (s swapped) undo() {
	for i := len(s) - 1; i >= 0; i-- {
		s[i].Undo()
	}
}

// exchange changes the live generation on all loops or, if one refuses, on none.
func (r *rollouts) exchange(step func(p *path, loop int) (swapped, error)) error {
	done := make([]swapped, len(r.server.paths))
	for i := range r.server.paths {
		err := r.onLoop(i, func(p *path) (err error) {
			done[i], err = step(p, i)
			return err
		})
		if err != nil {
			for k := range i {
				if undoErr := r.onLoop(k, func(*path) error { done[k].undo(); return nil }); undoErr != nil {
					err = errors.Join(err, undoErr)
				}
			}
			return err
		}
	}
	for i := range r.server.paths {
		if err := r.onLoop(i, func(*path) error { done[i].commit(); return nil }); err != nil {
			r.log.Error("a former generation was not put away", "loop", i, "error", err)
		}
	}
	return nil
}

// chainAt is the chain of that name.
func (p *path) chainAt(key chainKey) *plugins.Chain { return p.chains[key] }

// swap puts the waiting instances where from is live, in all chains or in none.
func (p *path) swap(from *generation, loop []seating) (done swapped, err error) {
	for i := range loop {
		at := &loop[i]
		one, err := p.chainAt(at.chain).Swap(from.members[at.member], at.ready)
		at.ready = nil
		if err != nil {
			done.undo()
			return nil, err
		}
		done = append(done, one)
	}
	return done, nil
}

// try puts the waiting instances beside the live ones, in all chains or in none.
func (p *path) try(g *group, loop []seating, shadow bool, weight int) error {
	for i := range loop {
		at := &loop[i]
		chain, live := p.chainAt(at.chain), g.live.members[at.member]
		begin := chain.Canary
		if shadow {
			begin = chain.Shadow
		}
		err := begin(live, at.ready, weight)
		at.ready = nil
		if err != nil {
			p.withdraw(g)
			return err
		}
	}
	return nil
}

// weigh changes the share of sessions that a trial sees.
func (p *path) weigh(g *group, weight int) error {
	for _, at := range g.seats {
		chain, live := p.chainAt(at.chain), g.live.members[at.member]
		change := chain.Canary
		if g.candidate.shadow {
			change = chain.Shadow
		}
		if err := change(live, nil, weight); err != nil {
			return err
		}
	}
	return nil
}

// withdraw ends a trial.
func (p *path) withdraw(g *group) {
	for _, at := range g.seats {
		p.chainAt(at.chain).Withdraw(g.live.members[at.member])
	}
}

// promote makes a canary live.
func (p *path) promote(g *group) (done swapped, err error) {
	for _, at := range g.seats {
		one, err := p.chainAt(at.chain).Promote(g.live.members[at.member])
		if err != nil {
			done.undo()
			return nil, err
		}
		done = append(done, one)
	}
	return done, nil
}
