package server

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/rollout"
)

// Everything here runs on the goroutine of the rollouts.

// install puts a new generation into its places, or on trial. On an error nothing
// has changed but that a trial was ended.
func (r *rollouts) install(g *group, next *generation, all seatings, w wish) error {
	mode, weight := r.mode(g, w), r.weight(next, w)
	if g.candidate != nil {
		r.withdraw(g, didSupersede, w.source, fmt.Sprintf("generation %d comes", next.number))
	}
	if mode == rollout.AtOnce || len(g.seats) == 0 {
		return r.takeOver(g, next, all, w.source)
	}
	if err := r.tryEverywhere(g, all, next.shadow, weight); err != nil {
		return err
	}
	r.tries(g, next, mode, weight, w)
	return nil
}

// weight is how many sessions a trial sees.
func (r *rollouts) weight(next *generation, w wish) int {
	if w.weight != 0 {
		return w.weight
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return next.section.plugin.Rollout.Weight
}

// tries notes that a generation is on trial.
func (r *rollouts) tries(g *group, next *generation, mode rollout.Mode, weight int, w wish) {
	r.mu.Lock()
	g.section, g.number, g.candidate = next.section, max(g.number, next.number), next
	g.watch(mode, weight, w.manual, next)
	r.mu.Unlock()
	r.granted(g)
	r.note(slog.LevelInfo, g, didTry, next.number, w.source, fmt.Sprintf("%s beside generation %d, %d%% of the sessions", mode, g.live.number, weight))
}

// tryEverywhere puts a generation beside the live one on all loops or on none.
func (r *rollouts) tryEverywhere(g *group, all seatings, shadow bool, weight int) error {
	for i := range r.server.paths {
		if err := r.onLoop(i, func(p *path) error { return p.try(g, all[i], shadow, weight) }); err != nil {
			r.everywhere(func(p *path) { p.withdraw(g) })
			return err
		}
	}
	return nil
}

// takeOver puts a generation in the place of the live one, which is kept to go back
// to.
func (r *rollouts) takeOver(g *group, next *generation, all seatings, cause string) error {
	from := g.live
	if err := r.exchange(func(p *path, loop int) (swapped, error) { return p.swap(from, all[loop]) }); err != nil {
		return err
	}
	r.took(g, next, from, cause)
	return nil
}

// took notes that a generation is where another was.
func (r *rollouts) took(g *group, next, from *generation, cause string) {
	r.settleIn(g, next)
	r.note(slog.LevelInfo, g, didSwap, next.number, cause, fmt.Sprintf("in the place of generation %d", from.number))
}

// granted says whether the plugin may filter now. One that may no longer loses its rules.
func (r *rollouts) granted(g *group) {
	may := func(of *generation) bool { return of != nil && !of.shadow && of.members[0].Spec().Grants.Filter != nil }
	r.server.orders.filter.Grant(g.name, may(g.live) || may(g.candidate))
}

// settleIn notes that a generation is live now, and keeps the one before it.
func (r *rollouts) settleIn(g *group, next *generation) {
	r.mu.Lock()
	old := g.previous
	g.retire(old)
	g.previous, g.live, g.candidate, g.trial = g.live, next, nil, nil
	g.section, g.number = next.section, max(g.number, next.number)
	next.since = time.Now()
	if len(g.seats) > 0 {
		g.watch(rollout.AtOnce, 100, false, next)
	}
	r.mu.Unlock()
	r.granted(g)
	r.put(old)
}

// withdraw ends a trial.
func (r *rollouts) withdraw(g *group, what, cause, text string) {
	candidate := g.candidate
	r.everywhere(func(p *path) { p.withdraw(g) })
	e := event{what: what, generation: candidate.number, cause: cause, text: text}
	if candidate.shadow {
		e.differed(candidate.drift())
	}
	r.mu.Lock()
	g.retire(candidate)
	g.candidate, g.trial = nil, nil
	r.mu.Unlock()
	r.granted(g)
	r.put(candidate)
	level := slog.LevelInfo
	if what == didRollBack {
		level = slog.LevelWarn
	}
	r.noteEvent(level, g, e)
}

// differed keeps what a shadow that is over answered otherwise: who reads why it is
// over wants to see that, and the shadow is gone.
func (e *event) differed(d plugins.Drift) {
	e.drift = &d
	if d.Differed == 0 {
		return
	}
	e.text += "; it differed in"
	for _, f := range driftFields(d) {
		if f.count > 0 {
			e.text += fmt.Sprintf(" %s %d", f.name, f.count)
		}
	}
}

// keep ends a trial because what runs is what was asked for. It tells whether there
// was none, so that nothing has changed.
func (r *rollouts) keep(g *group, cause string) (unchanged bool) {
	if g.candidate == nil {
		return true
	}
	r.withdraw(g, didSupersede, cause, fmt.Sprintf("generation %d is what is wanted again", g.live.number))
	return false
}

// setWeight changes how many sessions a trial sees.
func (r *rollouts) setWeight(g *group, weight int, cause string) error {
	if g.candidate == nil {
		return fmt.Errorf("%w: no generation of %s is on trial: begin with weft plugin canary %s", admin.ErrRefused, g.name, g.name)
	}
	for i := range r.server.paths {
		if err := r.onLoop(i, func(p *path) error { return p.weigh(g, weight) }); err != nil {
			return err
		}
	}
	r.mu.Lock()
	g.trial.weight = weight
	r.mu.Unlock()
	r.note(slog.LevelInfo, g, didWeight, g.candidate.number, cause, fmt.Sprintf("%d%% of the sessions", weight))
	return nil
}

// promote makes a canary live.
func (r *rollouts) promote(g *group, cause, text string) error {
	if g.candidate == nil || g.candidate.shadow {
		return fmt.Errorf("%w: no canary of %s is on trial", admin.ErrRefused, g.name)
	}
	next := g.candidate
	if err := r.exchange(func(p *path, _ int) (swapped, error) { return p.promote(g) }); err != nil {
		r.withdraw(g, didWithdraw, cause, err.Error())
		return err
	}
	r.settleIn(g, next)
	r.note(slog.LevelInfo, g, didPromote, next.number, cause, text)
	return nil
}

// replaceShadow makes the generation live that a shadow has tried, loaded anew.
func (r *rollouts) replaceShadow(g *group, shadow, next *generation, all seatings, cause string) error {
	if g.candidate != shadow {
		return errOvertaken
	}
	r.everywhere(func(p *path) { p.withdraw(g) })
	r.mu.Lock()
	g.retire(shadow)
	g.candidate, g.trial = nil, nil
	r.mu.Unlock()
	drift := shadow.drift()
	r.put(shadow)
	from := g.live
	if err := r.exchange(func(p *path, loop int) (swapped, error) { return p.swap(from, all[loop]) }); err != nil {
		return err
	}
	r.settleIn(g, next)
	e := event{what: didPromote, generation: next.number, cause: cause, text: fmt.Sprintf("in the place of generation %d", from.number)}
	e.differed(drift)
	r.noteEvent(slog.LevelInfo, g, e)
	return nil
}

// rollBack ends a trial, or brings the former generation back.
func (r *rollouts) rollBack(g *group, cause, text string) error {
	if g.candidate != nil {
		r.mu.Lock()
		g.causes[cause]++
		r.mu.Unlock()
		r.withdraw(g, didRollBack, cause, text)
		return nil
	}
	if g.previous == nil {
		return fmt.Errorf("%w: generation %d of %s has none before it", admin.ErrRefused, g.live.number, g.name)
	}
	bad := g.live
	if err := r.goBack(g); err != nil {
		return err
	}
	r.mu.Lock()
	g.retire(bad)
	g.live, g.previous, g.trial = g.previous, nil, nil
	g.live.since, g.live.source = time.Now(), sourceFormer
	g.causes[cause]++
	back := g.live.number
	r.mu.Unlock()
	r.granted(g)
	r.put(bad)
	r.note(slog.LevelWarn, g, didRollBack, bad.number, cause, fmt.Sprintf("%s; generation %d is back", text, back))
	return nil
}

// goBack exchanges the live generation for the one before. If that does not take
// over the state of the one that is to go, it begins without.
func (r *rollouts) goBack(g *group) (err error) {
	for _, fresh := range []bool{false, true} {
		all, prepareErr := r.prepare(r.server.ctx, g, g.previous, fresh)
		if prepareErr != nil {
			return prepareErr
		}
		if err = r.exchange(func(p *path, loop int) (swapped, error) { return p.swap(g.live, all[loop]) }); err == nil {
			return nil
		}
		all.close()
		r.log.Warn("the former generation does not take over the state", "plugin", g.name, "generation", g.previous.number, "error", err)
	}
	return err
}
