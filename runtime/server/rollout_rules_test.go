package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// TestNewRulesHoldForTheTrialThatRuns changes the rules of a trial that would last for ever.
func TestNewRulesHoldForTheTrialThatRuns(t *testing.T) {
	for _, mode := range []string{"canary", "shadow"} {
		begin := func(t *testing.T, rules string) (*site, func(rules string)) {
			s := open(t, "auto")
			change := func(rules string) {
				s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: "+mode+", "+rules)
				s.reload()
			}
			change(rules)
			if p := s.plugin(); p.Candidate.GetNumber() != 2 {
				t.Fatalf("it is %v", p)
			}
			return s, change
		}
		t.Run(mode+" is promoted by shorter ones", func(t *testing.T) {
			s, change := begin(t, "weight: 99, window: 1h, messages: 100000, rollback: {drift: 100%, latency: 0}")
			for range 3 { // a hundredth of the sessions is not the canary's
				c := s.dial("lines")
				for range 20 {
					c.ask("x")
				}
			}
			change("weight: 99, window: 100ms, messages: 20, rollback: {drift: 100%, latency: 0}")
			p := s.until("generation 2", func(p *weftv1.Plugin) bool { return p.Live.Number == 2 })
			if !strings.Contains(s.log.String(), "new rules for the generation on trial") {
				t.Errorf("the log does not say why %v", p)
			}
		})
		t.Run(mode+" waits for a decision", func(t *testing.T) {
			s, change := begin(t, "weight: 99, window: 1h, messages: 10")
			change("weight: 60, window: 2h, messages: 7, promote: manual")
			if p := s.plugin().Trial; !p.GetManual() || p.GetMessages() != 7 || p.GetWindow().AsDuration() != 2*time.Hour || p.GetWeight() != 60 {
				t.Errorf("the trial is %v", p)
			}
			change("weight: 60, window: 2h, messages: 7")
			if p := s.plugin().Trial; p.GetManual() {
				t.Errorf("the trial is %v", p)
			}
		})
	}
	t.Run("drift is no longer allowed", func(t *testing.T) {
		s := open(t, "auto")
		c := s.dial("lines")
		for _, drift := range []string{"100%", "1%"} {
			s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: shadow, weight: 100, window: 1h, messages: 1, rollback: {latency: 0, drift: "+drift+"}")
			s.reload()
			c.ask("x")
		}
		s.until("a rollback", func(p *weftv1.Plugin) bool { return p.Last.What == "rolled-back" && p.Last.Cause == "drift" })
	})
	t.Run("what was asked for by hand stays", func(t *testing.T) {
		s := open(t, "auto", "mode: at-once", "mode: canary, weight: 10, window: 1h")
		s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, inAssemblyScript), Manual: true, Weight: 30})
		s.configure("mode: at-once", "mode: canary, weight: 10, window: 2h")
		s.reload()
		if p := s.plugin().Trial; !p.GetManual() || p.GetWeight() != 30 || p.GetWindow().AsDuration() != 2*time.Hour {
			t.Errorf("the trial is %v", p)
		}
	})
	t.Run("the live one is watched by them", func(t *testing.T) {
		s := open(t, "auto", "mode: at-once", "mode: at-once, window: 1h, messages: 0")
		s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, inAssemblyScript)})
		s.configure("mode: at-once", "mode: at-once, window: 100ms, messages: 0")
		s.reload()
		s.until("steadiness", func(p *weftv1.Plugin) bool { return p.State == weftv1.PluginState_PLUGIN_STATE_STEADY })
	})
}
