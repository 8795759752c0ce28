package server

import (
	"strconv"
	"strings"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/rollout"
)

// generations are those of a plugin that there are, with their parts. Hold mu.
func (g *group) generations(yield func(role string, gen *generation) bool) {
	for _, one := range []struct {
		role string
		gen  *generation
	}{{"live", g.live}, {"candidate", g.candidate}, {"previous", g.previous}} {
		if one.gen != nil && !yield(one.role, one.gen) {
			return
		}
	}
}

// total is what all generations of the plugin have done, those that are gone
// included. A shadow's messages are the live one's.
func (g *group) total() plugins.Stats {
	sum := g.past
	for _, gen := range g.generations {
		if st := gen.stats(); gen.shadow {
			sum.Instances += st.Instances
		} else {
			addStats(&sum, st)
		}
	}
	return sum
}

// totals are those of all plugins by name: one that has several configurations
// counts as one.
func (r *rollouts) totals() map[string]plugins.Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make(map[string]plugins.Stats, len(r.all()))
	for name, g := range r.all() {
		all[name] = g.total()
	}
	return all
}

func (r *rollouts) livePlugins() []*plugins.Plugin {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*plugins.Plugin
	for _, name := range sortedKeys(r.all()) {
		list = append(list, r.all()[name].live.members...)
	}
	return list
}

// metrics are about generations. Those by generation are of the ones that there
// are, at most three a plugin.
func (r *rollouts) metrics() []admin.Metric {
	fault := r.fileFault()
	r.mu.RLock()
	defer r.mu.RUnlock()
	number := newFamily("weft_plugin_generation", "Number of the plugin's generation, by the part that it has: live, candidate, previous.", admin.Gauge, "plugin", "role")
	swaps := newFamily("weft_plugin_swaps_total", "Steps of rollouts, by what became of them.", admin.Counter, "plugin", "result")
	rollbacks := newFamily("weft_plugin_rollbacks_total", "Generations taken back, by the rule that they broke, or by hand.", admin.Counter, "plugin", "cause")
	weight := newFamily("weft_plugin_canary_weight", "Percentage of the sessions that a canary or shadow sees.", admin.Gauge, "plugin")
	drift := newFamily("weft_plugin_drift_total", "Messages that a shadow has answered otherwise, by field; field any counts each once.", admin.Counter, "plugin", "field")
	compared := newFamily("weft_plugin_compared_total", "Messages on which a shadow was compared.", admin.Counter, "plugin")
	messages := newFamily("weft_plugin_generation_messages_total", "Messages handed to a generation.", admin.Counter, "plugin", "generation")
	traps := newFamily("weft_plugin_generation_traps_total", "Calls of a generation that trapped.", admin.Counter, "plugin", "generation")
	failed := newFamily("weft_plugin_generation_failed_total", "Messages that a generation failed on.", admin.Counter, "plugin", "generation")
	fuel := newFamily("weft_plugin_generation_fuel_total", "Fuel that a generation has spent.", admin.Counter, "plugin", "generation")
	for _, name := range sortedKeys(r.all()) {
		g := r.all()[name]
		d := g.drift
		for role, gen := range g.generations {
			n := strconv.FormatUint(gen.number, 10)
			st := gen.stats()
			number.add(gen.number, name, role)
			messages.add(st.Messages, name, n)
			traps.add(st.Traps, name, n)
			failed.add(gen.counts().Failed, name, n)
			fuel.add(st.Fuel, name, n)
			if gen.shadow {
				addDrift(&d, gen.drift())
			}
		}
		for what, n := range g.results {
			swaps.add(n, name, strings.ReplaceAll(what, "-", "_"))
		}
		rollbacks.add(g.causes[causeByHand], name, causeByHand)
		for _, cause := range rollout.Causes() { // those that never happened, too: an increase begins at 0
			rollbacks.add(g.causes[string(cause)], name, string(cause))
		}
		if g.candidate != nil {
			weight.add(uint64(g.trial.weight), name)
		} else {
			weight.add(0, name)
		}
		compared.add(d.Compared, name)
		drift.add(d.Differed, name, "any")
		for _, f := range driftFields(d) {
			drift.add(f.count, name, f.name)
		}
	}
	return append(r.reloads.metrics(fault), number.Metric, swaps.Metric, rollbacks.Metric, weight.Metric, drift.Metric, compared.Metric,
		messages.Metric, traps.Metric, failed.Metric, fuel.Metric)
}

type driftField struct {
	name  string
	count uint64
}

// driftFields are the fields in which a shadow's answers can differ.
func driftFields(d plugins.Drift) []driftField {
	return []driftField{{"verdict", d.Verdict}, {"topic", d.Topic}, {"attributes", d.Attributes}, {"payload", d.Payload}, {"header", d.Header}, {"effects", d.Effects}}
}

// metrics are about the configuration, whose file has that fault or none.
func (c *reloads) metrics(fault string) []admin.Metric {
	results := newFamily("weft_config_reloads_total", "Times that the configuration was read again, by what became of it.", admin.Counter, "result")
	results.add(c.applied, "applied")
	results.add(c.unchanged, "unchanged")
	results.add(c.refused, "refused")
	good := uint64(1)
	if c.refusal != nil || fault != "" {
		good = 0
	}
	return []admin.Metric{results.Metric,
		single("weft_config_last_reload_timestamp_seconds", "When the configuration was read last, the start included.", admin.Gauge, uint64(c.last.At.Unix())),
		single("weft_config_restart_keys", "Keys of the configuration that have changed and wait for a restart.", admin.Gauge, uint64(len(c.restart))),
		single("weft_config_good", "Whether the configuration was in order when it was read last: 0 if it was refused and the former one goes on, or if its file cannot be read any more.", admin.Gauge, good)}
}
