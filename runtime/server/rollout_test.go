package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/server"
)

func TestAGenerationComesByItsFile(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		s := open(t, driver, "watch: WATCH\n    grants", "watch: true\n    grants")
		c := s.dial("lines")
		if got := c.ask("x"); got != "one" {
			t.Fatalf("got %q", got)
		}
		was := s.plugin()
		s.write("guest.wasm", module(t, inAssemblyScript))
		p := s.until("generation 2", func(p *weftv1.Plugin) bool { return p.Live.Number == 2 })
		if p.Live.Sha256 == was.Live.Sha256 || p.Live.Source != "file" || p.Previous.GetNumber() != 1 || p.State != weftv1.PluginState_PLUGIN_STATE_WATCHED {
			t.Errorf("it is %v", p)
		}
		if got := c.ask("x"); got != "one" {
			t.Errorf("after the swap: %q", got)
		}
		// Damaged, then half of it, then whole again.
		whole := module(t, inRust)
		s.write("guest.wasm", []byte("no module at all"))
		s.until("a refusal", func(p *weftv1.Plugin) bool { return p.Last.What == "refused" })
		if p = s.plugin(); !strings.Contains(p.Last.Text, "plugin guest (file ") {
			t.Errorf("it does not say which file: %q", p.Last.Text)
		}
		s.write("guest.wasm", whole[:len(whole)/2])
		s.awaitOf("weft_plugin_swaps_total", "refused", 2)
		if p = s.plugin(); p.Live.Number != 2 || p.Candidate != nil || c.ask("x") != "one" {
			t.Errorf("a damaged file changed something: %v", p)
		}
		s.write("guest.wasm", whole)
		// The refused ones have had the numbers 3 and 4.
		p = s.until("generation 5", func(p *weftv1.Plugin) bool { return p.Live.Number == 5 })
		if p.Live.Sha256 != was.Live.Sha256 || p.Previous.GetNumber() != 2 {
			t.Errorf("it is %v", p)
		}
	})
}

func TestAReloadChangesPluginsAndNamesTheRest(t *testing.T) {
	s := open(t, "auto")
	c := s.dial("lines")
	s.reload()
	if p := s.plugin(); p.Live.Number != 1 {
		t.Errorf("an identical configuration made generation %d", p.Live.Number)
	}
	s.configure(`"reply one"`, `"reply two"`, "outbox: {size: 16MiB}", "outbox: {size: 8MiB}", "loops: 2", "loops: 1")
	s.reload()
	if got := c.ask("x"); got != "two" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(s.log.String(), "take effect after a restart") || !strings.Contains(s.log.String(), "keys=loops") {
		t.Errorf("the log does not name what needs a restart:\n%s", s.log)
	}
	for _, wrong := range []string{"reply: [", `{messages: "reply x", error: "no"}`, "nonsense: 1"} {
		s.configure(`{messages: "reply one"}`, wrong)
		if err := s.Reload(t.Context()); err == nil || s.plugin().Live.Number != 2 || c.ask("x") != "two" {
			t.Errorf("%s: %v, %v", wrong, err, s.plugin())
		}
		if s.Metric("weft_config_good") != 0 {
			t.Error("the metric says that the configuration is good")
		}
	}
	s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: canary, weight: 100, promote: manual")
	s.reload()
	if p := s.plugin(); p.Live.Number != 2 || s.Metric("weft_config_good") != 1 {
		t.Errorf("new rules alone made generation %d", p.Live.Number)
	}
	s.configure(`"reply one"`, `"reply three"`, "mode: at-once", "mode: canary, weight: 100, promote: manual")
	s.reload()
	if p := s.plugin(); p.Candidate.GetNumber() != 3 || p.Live.Number != 2 || c.ask("x") != "three" {
		t.Errorf("the new rules have no effect: %v", p)
	}
}

// TestTheConfigurationFileIsWatched changes the file and asks for nothing.
func TestTheConfigurationFileIsWatched(t *testing.T) {
	s := open(t, "auto", "watch: WATCH\nlisteners", "watch: true\nlisteners")
	c := s.dial("lines")
	s.configure("watch: WATCH\nlisteners", "watch: true\nlisteners", `"reply one"`, `"reply two"`)
	s.until("generation 2", func(p *weftv1.Plugin) bool { return p.Live.Number == 2 })
	if got := c.ask("x"); got != "two" {
		t.Errorf("got %q", got)
	}
}

// TestStateGoesWithTheSwap counts across generations, and back.
func TestStateGoesWithTheSwap(t *testing.T) {
	s := open(t, "auto", `config: {messages: "reply one"}`, `config: {messages: "count"}`, "loops: 2", "loops: 1")
	c := s.dial("lines")
	for i := range 3 {
		if got := c.ask("x"); got != fmt.Sprintf("count %d", i+1) {
			t.Fatalf("got %q", got)
		}
	}
	s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, inAssemblyScript)})
	if got := c.ask("x"); got != "count 4" {
		t.Errorf("after a swap: %q", got)
	}
	s.must(s.Rollouts().Rollback(t.Context(), "guest"))
	if got := c.ask("x"); got != "count 5" {
		t.Errorf("after a rollback: %q", got)
	}
}

func TestAllLoopsOrNone(t *testing.T) {
	s := open(t, "auto", `config: {messages: "reply one"}`, `config: {messages: "count"}`)
	a, b := s.dial("lines"), s.dial("lines")
	a.ask("x")
	b.ask("x")
	before := s.plugin().Live.Stats.Instances
	for _, failing := range []int{0, 1} {
		if err := s.ExchangeFailing("guest", failing); !errors.Is(err, server.ErrInjected) {
			t.Fatalf("got %v", err)
		}
	}
	if p := s.plugin(); p.Live.Stats.Instances != before {
		t.Errorf("%d instances, %d before", p.Live.Stats.Instances, before)
	}
	a.ask("x")
	b.ask("x")
	if n := s.plugin().Live.Stats.Messages; n != 6 { // the sessions' beginnings are two
		t.Errorf("%d messages", n)
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := open(t, "auto", `file: guest.wasm`, `file: guest.wasm
    sha256: SUM`, "SUM", sumOf(module(t, inRust)))
	c := s.dial("lines")
	r := s.Rollouts()
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || s.plugin().Live.Number != 1 || c.ask("x") != "one" {
			t.Errorf("%s: %v, expected %v", what, err, want)
		}
	}
	_, err := r.Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "gest"})
	check("an unknown plugin", err, admin.ErrUnknownPlugin)
	_, err = r.Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "guest", Wasm: module(t, inAssemblyScript)})
	check("another binary than the pinned one", err, admin.ErrRefused)
	_, err = r.Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "guest", Wasm: []byte("\x00asm\x01\x00\x00\x00")})
	check("a module that is no plugin", err, admin.ErrRefused)
	_, err = r.SetWeight(t.Context(), "guest", 5)
	check("a weight without a trial", err, admin.ErrRefused)
	_, err = r.Promote(t.Context(), "guest")
	check("a promotion without a trial", err, admin.ErrRefused)
	_, err = r.List(t.Context(), []string{"guest", "gest"})
	check("a list of unknown plugins", err, admin.ErrUnknownPlugin)
	if done := s.swap(&weftv1.PluginsSwapRequest{}); !done.Unchanged {
		t.Errorf("the same file: %v", done)
	}
	for range 2 { // that of refused generations is spent, that of a dry run is not
		if done := s.swap(&weftv1.PluginsSwapRequest{DryRun: true}); done.Checked.GetNumber() != 4 || done.Plugin.Live.Number != 1 {
			t.Errorf("a dry run: %v", done)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Swap(ctx, &weftv1.PluginsSwapRequest{Name: "guest"})
	check("a call that nobody waits for", err, context.Canceled)
	s.end()
	if _, err := r.Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "guest"}); !errors.Is(err, admin.ErrDraining) {
		t.Errorf("a server that has ended: %v", err)
	}
}

// TestOwnConfigurationsGoTogether swaps a plugin that stands in two places with
// configurations of their own.
func TestOwnConfigurationsGoTogether(t *testing.T) {
	change := []string{"acknowledge: \"\", chain: [guest]", `acknowledge: "", chain: [{plugin: guest, config: {messages: "payload OWN"}}, {plugin: guest, config: {messages: "attribute x"}}]`}
	s := open(t, "auto", append(change, "OWN", "old")...)
	s.configure(append(change, "OWN", "new")...)
	s.reload()
	p := s.until("generation 2", func(p *weftv1.Plugin) bool { return p.Live.Number == 2 })
	if p.Live.Stats.Instances != 2*3 {
		t.Errorf("%d instances", p.Live.Stats.Instances)
	}
	if got := s.dial("lines").ask("x"); got != "attribute x !none" {
		t.Errorf("got %q", got)
	}
	s.must(s.Rollouts().Rollback(t.Context(), "guest"))
	if p := s.plugin(); p.Live.Number != 1 || p.Live.Stats.Instances != 2*3 {
		t.Errorf("it is %v", p)
	}
}
