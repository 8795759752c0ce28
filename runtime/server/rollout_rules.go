package server

import (
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/rollout"
)

// rulesOf are the rules of a configuration.
func rulesOf(c *config.Rollout) rollout.Rules {
	r := c.Rollback
	return rollout.Rules{
		Window: c.Window.Std(), Messages: uint64(c.Messages), Traps: r.Traps.Share(), Drift: r.Drift.Share(),
		Fuel: r.Fuel.Float(), Latency: r.Latency.Float(),
	}
}

// ask is what the configuration says of a trial: whether a person decides, which was
// perhaps asked for by hand, and the rules.
func (t *trial) ask(c *config.Rollout) (manual bool, rules rollout.Rules) {
	return t.byHand || t.mode != rollout.AtOnce && c.Promote == config.PromoteManual, rulesOf(c)
}

// rule gives a plugin new rules. A generation that is watched is judged by them from now
// on; its mode stays, and its weight too unless that is among what is new. It runs on the
// goroutine of the rollouts.
func (r *rollouts) rule(g *group, to config.Plugin) error {
	r.mu.Lock()
	c := &g.section.plugin
	weight, t := c.Rollout.Weight, g.trial
	c.Rollout, c.Watch = to.Rollout, to.Watch
	if t != nil {
		t.manual, t.rules = t.ask(&to.Rollout)
		t.judge.Follow(t.rules)
	}
	r.mu.Unlock()
	if t == nil {
		return nil
	}
	watched := g.live
	if g.candidate != nil {
		watched = g.candidate
	}
	r.log.Info("new rules for the generation on trial", "plugin", g.name, "generation", watched.number,
		"window", t.rules.Window, "messages", t.rules.Messages, "manual", t.manual)
	if g.candidate == nil || to.Rollout.Weight == weight || to.Rollout.Weight == t.weight {
		return nil
	}
	return r.setWeight(g, to.Rollout.Weight, sourceConfig)
}
