package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/weftrun/weft/runtime/rollout"
)

// anyWatched tells whether a generation is to be judged.
func (r *rollouts) anyWatched() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, g := range r.all() {
		if g.trial != nil {
			return true
		}
	}
	return false
}

// judge looks at every generation that is watched, and promotes, settles or takes
// it back.
func (r *rollouts) judge(now time.Time) {
	for _, name := range sortedKeys(r.all()) {
		g := r.all()[name]
		if g.trial == nil || g.trial.ending {
			continue
		}
		watched, beside := g.live, g.previous
		if g.candidate != nil {
			watched, beside = g.candidate, g.live
		}
		var compared rollout.Counts
		if beside != nil {
			compared = beside.counts()
		}
		j := g.trial.judge.Judge(now, compared, watched.counts())
		r.mu.Lock()
		g.trial.progress = j.Text
		r.mu.Unlock()
		switch j.Decision {
		case rollout.Bad:
			r.condemn(g, j)
		case rollout.Good:
			r.acquit(g, j)
		}
	}
}

// condemn takes a generation back that has broken a rule.
func (r *rollouts) condemn(g *group, j rollout.Judgement) {
	if g.candidate == nil && g.previous == nil {
		r.mu.Lock()
		g.trial = nil
		r.mu.Unlock()
		r.note(slog.LevelError, g, didSettle, g.live.number, string(j.Cause), j.Text+"; there is none before it to go back to")
		return
	}
	if err := r.rollBack(g, string(j.Cause), j.Text); err != nil {
		r.mu.Lock()
		g.trial = nil
		r.mu.Unlock()
		r.note(slog.LevelError, g, didRefuse, g.live.number, string(j.Cause), "it was not taken back: "+err.Error())
	}
}

// acquit ends the watch over a generation that has kept the rules.
func (r *rollouts) acquit(g *group, j rollout.Judgement) {
	switch {
	case g.candidate == nil:
		r.mu.Lock()
		g.trial = nil
		r.mu.Unlock()
		r.note(slog.LevelInfo, g, didSettle, g.live.number, "rules", j.Text)
	case g.trial.manual:
	case g.candidate.shadow:
		r.mu.Lock()
		if !r.stopped {
			g.trial.ending = true
			r.busy.Go(func() { r.promoteByItself(g) })
		}
		r.mu.Unlock()
	default:
		if err := r.promote(g, "rules", j.Text); err != nil {
			r.log.Error("a canary was not promoted", "plugin", g.name, "error", err)
		}
	}
}

// promoteByItself loads a shadow anew and puts it into its place. One that cannot
// be stays on trial until somebody decides.
func (r *rollouts) promoteByItself(g *group) {
	if err := r.promoteShadow(r.ctx, g, "rules"); err != nil {
		r.log.Error("a shadow was not promoted", "plugin", g.name, "error", err)
		_ = r.do(r.ctx, func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if g.candidate != nil {
				g.trial.manual, g.trial.byHand, g.trial.ending = true, true, false
			}
			return nil
		})
	}
}

// promoteShadow makes the generation live that a shadow has tried. A shadow itself
// cannot be: it was loaded so that nothing of what it does is seen.
func (r *rollouts) promoteShadow(ctx context.Context, g *group, cause string) error {
	ctx, done, err := r.beginBuild(ctx)
	if err != nil {
		return err
	}
	defer done()
	r.mu.RLock()
	shadow := g.candidate
	r.mu.RUnlock()
	if shadow == nil || !shadow.shadow {
		return errOvertaken
	}
	next, err := r.build(ctx, g, blueprint{made: shadow.section, module: shadow.module, sent: shadow.source == sourceAPI, number: shadow.number})
	if err != nil {
		return r.refuse(g, shadow.number, cause, err)
	}
	next.source = shadow.source
	all, err := r.prepare(ctx, g, next, false)
	if err == nil {
		err = r.do(ctx, func() error { return r.replaceShadow(g, shadow, next, all, cause) })
		all.close()
	}
	if err != nil {
		r.put(next)
		return r.refuse(g, next.number, cause, err)
	}
	return nil
}
