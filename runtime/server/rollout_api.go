package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/rollout"
)

// List implements admin.Plugins.
func (r *rollouts) List(_ context.Context, names []string) ([]*weftv1.Plugin, error) {
	if len(names) == 0 {
		names = sortedKeys(r.all())
	}
	list := make([]*weftv1.Plugin, 0, len(names))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		g, err := r.group(name)
		if err != nil {
			return nil, err
		}
		list = append(list, r.show(g))
	}
	return list, nil
}

// modes of requests.
var modes = map[weftv1.RolloutMode]rollout.Mode{
	weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE: rollout.AtOnce,
	weftv1.RolloutMode_ROLLOUT_MODE_CANARY:  rollout.Canary,
	weftv1.RolloutMode_ROLLOUT_MODE_SHADOW:  rollout.Shadow,
}

// Swap implements admin.Plugins.
func (r *rollouts) Swap(ctx context.Context, q *weftv1.PluginsSwapRequest) (*weftv1.PluginsSwapResponse, error) {
	w := wish{name: q.GetName(), source: sourceAPI, module: q.GetWasm(), weight: int(q.GetWeight()), manual: q.GetManual(), dryRun: q.GetDryRun()}
	if len(w.module) == 0 {
		w.module = nil
	}
	if mode, given := modes[q.GetMode()]; given {
		w.mode = &mode
	}
	done, err := r.swap(ctx, w)
	if err != nil {
		return nil, err
	}
	answer := &weftv1.PluginsSwapResponse{Plugin: r.show(done.group), Unchanged: done.unchanged}
	if done.checked != nil {
		answer.Checked = showGeneration(done.checked)
	}
	return answer, nil
}

// step runs a step about one plugin.
func (r *rollouts) step(ctx context.Context, name string, step func(g *group) error) (*weftv1.Plugin, error) {
	g, err := r.group(name)
	if err != nil {
		return nil, err
	}
	ctx, done, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := r.do(ctx, func() error { return step(g) }); err != nil {
		return nil, err
	}
	return r.show(g), nil
}

// SetWeight implements admin.Plugins.
func (r *rollouts) SetWeight(ctx context.Context, name string, weight int) (*weftv1.Plugin, error) {
	return r.step(ctx, name, func(g *group) error { return r.setWeight(g, weight, causeByHand) })
}

// Promote implements admin.Plugins.
func (r *rollouts) Promote(ctx context.Context, name string) (*weftv1.Plugin, error) {
	g, err := r.group(name)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	shadow := g.candidate != nil && g.candidate.shadow
	r.mu.RUnlock()
	if shadow {
		if err := r.promoteShadow(ctx, g, causeByHand); err != nil {
			return nil, err
		}
		return r.show(g), nil
	}
	return r.step(ctx, name, func(g *group) error { return r.promote(g, causeByHand, "promoted") })
}

// Rollback implements admin.Plugins.
func (r *rollouts) Rollback(ctx context.Context, name string) (*weftv1.Plugin, error) {
	return r.step(ctx, name, func(g *group) error { return r.rollBack(g, causeByHand, "taken back") })
}

// show is a plugin as the API has it.
func (r *rollouts) show(g *group) *weftv1.Plugin {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p := &weftv1.Plugin{
		Name: g.name, File: g.section.plugin.File, State: g.state(), Places: slices.Clone(g.places),
		Live: showGeneration(g.live), Candidate: showGeneration(g.candidate), Previous: showGeneration(g.previous),
		MemoryLimitBytes: uint64(g.live.members[0].Spec().Memory),
		CallLimit:        durationpb.New(r.server.plugins.env.CallBudget()), CallFuelLimit: uint64(max(g.live.members[0].CallFuel(), 0)),
	}
	for _, e := range slices.Backward(g.history) {
		p.History = append(p.History, showEvent(&e))
	}
	if t := g.trial; t != nil {
		p.Trial = &weftv1.Trial{
			Weight: uint32(t.weight), Manual: t.manual, Since: timestamppb.New(t.since), Window: durationpb.New(t.rules.Window),
			Messages: t.rules.Messages, Progress: t.progress,
		}
		for shown, mode := range modes {
			if mode == t.mode {
				p.Trial.Mode = shown
			}
		}
	}
	if !g.last.time.IsZero() {
		p.Last = showEvent(&g.last)
	}
	return p
}

func showEvent(e *event) *weftv1.RolloutEvent {
	shown := &weftv1.RolloutEvent{Time: timestamppb.New(e.time), What: e.what, Generation: e.generation, Cause: e.cause, Text: utf8(e.text)}
	if e.drift != nil {
		shown.Drift = showDrift(*e.drift)
	}
	return shown
}

// Logs implements admin.Plugins.
func (r *rollouts) Logs(name string, after uint64, limit int) (*weftv1.PluginsLogsResponse, error) {
	if _, err := r.group(name); err != nil {
		return nil, err
	}
	return r.server.lines.after(name, after, limit), nil
}

func (g *group) state() weftv1.PluginState {
	switch {
	case g.candidate != nil && g.candidate.shadow:
		return weftv1.PluginState_PLUGIN_STATE_SHADOW
	case g.candidate != nil:
		return weftv1.PluginState_PLUGIN_STATE_CANARY
	case g.trial != nil:
		return weftv1.PluginState_PLUGIN_STATE_WATCHED
	}
	return weftv1.PluginState_PLUGIN_STATE_STEADY
}

func showGeneration(g *generation) *weftv1.Generation {
	if g == nil {
		return nil
	}
	st := g.stats()
	shown := &weftv1.Generation{
		Number: g.number, Sha256: g.sum(), Source: g.source, Since: timestamppb.New(g.since),
		Stats: &weftv1.PluginStats{
			Messages: st.Messages, Drops: st.Drops, Replies: st.Replies, Routes: st.Routes, Closes: st.Closes, Emitted: st.Emitted,
			Failed: g.counts().Failed, Traps: st.Traps, FuelTraps: st.FuelTraps, DepthTraps: st.DepthTraps, Faults: st.Faults,
			Rebuilds: st.Rebuilds, Denied: st.Denied, Fuel: st.Fuel, FuelMost: st.FuelMost, BusySeconds: time.Duration(st.BusyNanoseconds).Seconds(),
			Instances: uint32(max(st.Instances, 0)), Resting: uint32(max(st.Resting, 0)),
		},
	}
	shown.Stats.Calls, shown.Stats.MemoryBytes = st.Calls, st.Memory
	if c := g.calls(); c.Count() > 0 {
		shown.Stats.P50, shown.Stats.P95 = durationpb.New(c.Quantile(0.5)), durationpb.New(c.Quantile(0.95))
		shown.Stats.P99, shown.Stats.Longest = durationpb.New(c.Quantile(0.99)), durationpb.New(c.Max())
	}
	if g.shadow {
		shown.Drift = showDrift(g.drift())
	}
	return shown
}

func showDrift(d plugins.Drift) *weftv1.Drift {
	shown := &weftv1.Drift{
		Compared: d.Compared, Differed: d.Differed, Verdict: d.Verdict, Topic: d.Topic, Attributes: d.Attributes,
		Payload: d.Payload, Header: d.Header, Effects: d.Effects,
	}
	for i := range d.Samples {
		s := &d.Samples[i]
		shown.Samples = append(shown.Samples, &weftv1.DriftSample{
			Time: timestamppb.New(s.Time), Session: s.Session, Hook: s.Hook, Fields: s.Fields, Topic: s.Topic, Payload: s.Payload,
			Live: showAnswer(&s.Live), Shadow: showAnswer(&s.Shadow),
		})
	}
	return shown
}

func showAnswer(a *plugins.SampleAnswer) *weftv1.SampleAnswer {
	return &weftv1.SampleAnswer{Verdict: a.Verdict, Out: a.Out, Topic: a.Topic, Attributes: a.Attributes, Payload: a.Payload, Emitted: uint32(a.Emitted)}
}

func utf8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
