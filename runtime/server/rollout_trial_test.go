package server_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

func TestACanaryIsSticky(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		const connections = 60
		s := open(t, driver)
		canary := []string{`"reply one"`, `"reply two"`, "mode: at-once", "mode: canary, weight: 50, promote: manual"}
		s.configure(canary...)
		s.reload()
		var all []*client
		for range connections {
			all = append(all, s.dial("lines"))
		}
		side := func() (sides []string, two int) {
			for i, c := range all {
				first := c.ask("x")
				for range 3 {
					if again := c.ask("x"); again != first {
						t.Fatalf("connection %d went from %s to %s", i, first, again)
					}
				}
				if sides = append(sides, first); first == "two" {
					two++
				}
			}
			return sides, two
		}
		before, two := side()
		if two < connections/5 || two > connections*4/5 {
			t.Errorf("%d of %d connections are the canary's", two, connections)
		}
		s.must(s.Rollouts().SetWeight(t.Context(), "guest", 80))
		after, more := side()
		if more < two || s.Metric("weft_plugin_canary_weight") != 80 {
			t.Errorf("at 80%% there are %d, at 50%% there were %d", more, two)
		}
		for i := range before {
			if before[i] == "two" && after[i] != "two" {
				t.Errorf("connection %d left the canary", i)
			}
		}
		s.must(s.Rollouts().Promote(t.Context(), "guest"))
		if _, two = side(); two != connections {
			t.Errorf("promoted, and %d of %d have it", two, connections)
		}
		s.must(s.Rollouts().Rollback(t.Context(), "guest"))
		if _, two = side(); two != 0 {
			t.Errorf("rolled back, and %d of %d have it", two, connections)
		}
		if p := s.plugin(); p.Live.Number != 1 || p.Previous != nil || p.Candidate != nil || p.State != weftv1.PluginState_PLUGIN_STATE_STEADY {
			t.Errorf("it is %v", p)
		}
		if _, err := s.Rollouts().Rollback(t.Context(), "guest"); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("a second rollback: %v", err)
		}
	})
}

// trapping lets the guest do what the payload says.
var trapping = []string{`config: {messages: "reply one"}`, "config: {}", "mode: at-once", "mode: MODE, messages: 200, window: 100ms, rollback: {latency: 0}"}

// TestWhatTrapsIsTakenBack swaps in a generation that traps on one message of
// twenty.
func TestWhatTrapsIsTakenBack(t *testing.T) {
	for _, mode := range []string{"at-once", "canary, weight: 99"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, "auto")
			c := s.dial("lines")
			s.configure(append(trapping, "MODE", mode)...)
			s.reload()
			said := 0
			for p := s.plugin(); p.Last.What != "rolled-back"; p = s.plugin() {
				if said++; said%150 == 0 { // seldom enough that it need not rest
					s.dial("lines").say(text("trap"))
				} else if got := c.ask("reply two"); got != "two" && got != "one" {
					t.Fatalf("got %q", got)
				}
				if said > 20000 {
					t.Fatalf("nothing was taken back: %v\n%s", p, s.log)
				}
			}
			p := s.plugin()
			if p.Live.Number != 1 || p.Previous != nil || p.Last.Cause != "traps" || !strings.Contains(p.Last.Text, "it failed on") {
				t.Errorf("it is %v", p)
			}
			if got := c.ask("x"); got != "one" {
				t.Errorf("got %q", got)
			}
			if n := s.MetricOf("weft_plugin_rollbacks_total", "traps"); n != 1 {
				t.Errorf("%v rollbacks are counted", n)
			}
			if !strings.Contains(s.log.String(), "plugin generation rolled-back") {
				t.Errorf("the log says nothing:\n%s", s.log)
			}
		})
	}
}

// Without the rule of latency, which package rollout tests: on a busy machine a generation
// that is no slower seems so for a while.
func TestWhatKeepsTheRulesIsPromoted(t *testing.T) {
	for _, mode := range []string{"canary, weight: 99, rollback: {latency: 0}", "shadow, weight: 100, rollback: {drift: 100%, latency: 0}"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, "auto")
			s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: "+mode+", messages: 20, window: 100ms")
			s.reload()
			for p := s.plugin(); p.Last.What != "promoted" && p.Last.What != "settled"; p = s.plugin() {
				if p.Last.What == "rolled-back" {
					t.Fatalf("what keeps the rules is taken back: %v", p)
				}
				s.dial("lines").ask("x") // a new one each time: one of a hundred is not the canary's
			}
			c := s.dial("lines")
			if p := s.plugin(); p.Live.Number != 2 || p.Candidate != nil || p.Previous.GetNumber() != 1 {
				t.Errorf("it is %v", p)
			}
			if got := c.ask("x"); got != "two" {
				t.Errorf("got %q", got)
			}
			for p := s.plugin(); p.Last.What != "settled"; p = s.plugin() {
				if p.Last.What == "rolled-back" {
					t.Fatalf("what was promoted is taken back: %v", p)
				}
				c.ask("x")
			}
			if p := s.plugin(); p.State != weftv1.PluginState_PLUGIN_STATE_STEADY || p.Trial != nil {
				t.Errorf("it is %v", p)
			}
		})
	}
}

func TestAShadowThatDriftsIsTakenBack(t *testing.T) {
	s := open(t, "auto")
	c := s.dial("lines")
	s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: shadow, weight: 100, messages: 100, window: 1h")
	s.reload()
	if p := s.plugin(); p.State != weftv1.PluginState_PLUGIN_STATE_SHADOW || p.Trial.GetWeight() != 100 {
		t.Errorf("it is %v", p)
	}
	c.ask("x")
	if p := s.plugin(); p.Candidate.GetDrift().GetVerdict() != 1 || p.Candidate.Drift.Samples[0].Shadow.Out != "two" {
		t.Errorf("it is %v", p)
	}
	for s.plugin().Candidate != nil {
		if got := c.ask("x"); got != "one" {
			t.Fatalf("a shadow was obeyed: %q", got)
		}
	}
	p := s.plugin()
	if p.Last.Cause != "drift" || p.Live.Number != 1 || !strings.Contains(p.Last.Text, "; it differed in verdict ") {
		t.Errorf("it is %v", p)
	}
	if d := p.Last.Drift; d.GetVerdict() < 1 || len(d.GetSamples()) == 0 || d.Samples[0].Shadow.Out != "two" {
		t.Errorf("what it answered otherwise is gone with it: %v", d)
	}
	if s.MetricOf("weft_plugin_drift_total", "verdict") < 1 || s.MetricOf("weft_plugin_drift_total", "payload") != 0 {
		t.Errorf("%v messages are counted", s.MetricOf("weft_plugin_drift_total", "verdict"))
	}
}

func TestANewerOneSupersedesACanary(t *testing.T) {
	s := open(t, "auto", "mode: at-once", "mode: canary, weight: 100, promote: manual")
	c := s.dial("lines")
	s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, inAssemblyScript)})
	s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: canary, weight: 100, promote: manual")
	s.reload()
	p := s.plugin()
	if p.Live.Number != 1 || p.Candidate.GetNumber() != 3 || s.MetricOf("weft_plugin_swaps_total", "superseded") != 1 || c.ask("x") != "two" {
		t.Errorf("it is %v", p)
	}
	if live := s.Metric("weft_plugin_instances"); live != 8 { // two chains on two loops, both generations
		t.Errorf("%v instances live", live)
	}
	s.must(s.Rollouts().Rollback(t.Context(), "guest"))
	if got := c.ask("x"); got != "one" {
		t.Errorf("got %q", got)
	}
}
