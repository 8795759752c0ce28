package server

import (
	"context"
	"fmt"

	"github.com/weftrun/weft/runtime/rollout"
)

// trade is a generation that comes to the places of another, which stay as they are.
type trade struct {
	group *group
	next  *generation
	ready seatings
	mode  rollout.Mode
	wish  wish
}

// trades are those of one configuration: all of them are made, or none.
type trades []*trade

// close gives back the instances that were not used.
func (all trades) close() {
	for _, t := range all {
		t.ready.close()
	}
}

// atOnce tells whether the generation takes over, and is not on trial first.
func (t *trade) atOnce() bool { return t.mode == rollout.AtOnce || len(t.group.seats) == 0 }

// prepareTrades makes an instance for every place of every generation. On an error nothing
// has changed.
func (pl *plan) prepareTrades(ctx context.Context) (all trades, err error) {
	for _, name := range pl.swaps {
		t := &trade{group: pl.r.all()[name], next: pl.built[name]}
		t.wish = wish{name: name, source: sourceConfig, made: t.next.section}
		t.mode = pl.r.mode(t.group, t.wish)
		if t.ready, err = pl.r.prepare(ctx, t.group, t.next, false); err != nil {
			return all, pl.refuseTrade(t, err)
		}
		all = append(all, t)
	}
	return all, nil
}

// refuseTrade says which plugin it is for which none of them changes.
func (pl *plan) refuseTrade(t *trade, err error) error {
	err = pl.r.refuse(t.group, t.next.number, sourceConfig, err)
	if len(pl.swaps) > 1 {
		err = fmt.Errorf("%w; no other plugin has changed either", err)
	}
	return fmt.Errorf("%w (%s)", err, pl.to.Place("plugins."+t.group.name))
}

// trade has all generations take their places, or begin their trials. On an error nothing
// has changed but that trials were ended which they would have ended. It runs on the
// goroutine of the rollouts.
func (pl *plan) trade(all trades) error {
	r := pl.r
	for _, t := range all {
		if t.group.candidate != nil {
			r.withdraw(t.group, didSupersede, sourceConfig, fmt.Sprintf("generation %d comes", t.next.number))
		}
	}
	var tried trades
	fail := func(t *trade, err error) error {
		for _, t := range tried {
			r.everywhere(func(p *path) { p.withdraw(t.group) })
		}
		return pl.refuseTrade(t, err)
	}
	for _, t := range all {
		if t.atOnce() {
			continue
		}
		if err := r.tryEverywhere(t.group, t.ready, t.next.shadow, r.weight(t.next, t.wish)); err != nil {
			return fail(t, err)
		}
		tried = append(tried, t)
	}
	if len(tried) < len(all) {
		if at, err := pl.exchange(all); err != nil {
			return fail(at, err)
		}
	}
	for _, t := range all {
		delete(pl.built, t.group.name)
		if t.atOnce() {
			r.took(t.group, t.next, t.group.live, sourceConfig)
		} else {
			r.tries(t.group, t.next, t.mode, r.weight(t.next, t.wish), t.wish)
		}
	}
	return nil
}

// exchange has those that take over at once do so, on all loops or on none; at is the one
// that a loop has refused.
func (pl *plan) exchange(all trades) (at *trade, err error) {
	at = all[0]
	err = pl.r.exchange(func(p *path, loop int) (done swapped, err error) {
		for _, t := range all {
			if !t.atOnce() {
				continue
			}
			at = t
			one, err := p.swap(t.group.live, t.ready[loop])
			if err != nil {
				done.undo()
				return nil, err
			}
			done = append(done, one...)
		}
		return done, nil
	})
	return at, err
}
