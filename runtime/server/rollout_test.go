package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/server"
)

// The guests that do what their configuration, or else the payload, says. They are
// the same but for their bytes.
const (
	inRust           = "../../abi/vectors/v1.0/rust.wasm"
	inAssemblyScript = "../../abi/vectors/v1.0/assemblyscript.wasm"
)

func module(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// site is a running server whose configuration and plugin lie in a folder.
type site struct {
	*fixture
	dir string
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const siteYAML = `
loops: 2
watch: WATCH
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: t, acknowledge: "", chain: [guest]}
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: t, chain: [guest], subscribe: ["t"], outbox: {size: 16MiB}}
plugins:
  guest:
    file: guest.wasm
    watch: WATCH
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: ["localhost"]}}
    config: {messages: "reply one"}
    rollout: {mode: at-once}
api: {address: ""}
`

// open starts a server in a folder of its own. changes are pairs of texts that
// replace each other in the configuration.
func open(t *testing.T, driver string, changes ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &lockedBuffer{}}
	s.write("guest.wasm", module(t, inRust))
	s.configure(changes...)
	reload := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: s.path("weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Driver: driver, Reload: reload})
	if err != nil {
		t.Fatal(err)
	}
	s.fixture = running(t, srv)
	return s
}

// running runs a server until the test ends.
func running(t *testing.T, srv *server.Server) *fixture {
	t.Helper()
	f := &fixture{Server: srv, t: t, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	go func() { f.ended <- f.Run(ctx) }()
	t.Cleanup(f.end)
	for f.State() != life.Running {
		select {
		case err := <-f.ended:
			t.Fatalf("the server has ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return f
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write renames a new file into place.
func (s *site) write(name string, content []byte) {
	if err := os.WriteFile(s.path(name+".new"), content, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		panic(err)
	}
}

func (s *site) configure(changes ...string) {
	text := siteYAML
	for i := 0; i < len(changes); i += 2 {
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	s.write("weft.yaml", []byte(strings.ReplaceAll(text, "WATCH", "false")))
}

// plugin is the guest as the API shows it.
func (s *site) plugin() *weftv1.Plugin {
	s.t.Helper()
	list, err := s.Rollouts().List(s.t.Context(), []string{"guest"})
	if err != nil || len(list) != 1 {
		s.t.Fatalf("%v, %v", list, err)
	}
	return list[0]
}

// until waits until the guest is as it should be.
func (s *site) until(what string, is func(p *weftv1.Plugin) bool) *weftv1.Plugin {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		p := s.plugin()
		if is(p) {
			return p
		}
		if time.Now().After(end) {
			s.t.Fatalf("it did not come to %s: %v\n%s", what, p, s.log)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *site) swap(q *weftv1.PluginsSwapRequest) *weftv1.PluginsSwapResponse {
	s.t.Helper()
	q.Name = "guest"
	r, err := s.Rollouts().Swap(s.t.Context(), q)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
	return r
}

// must fails the test where a step was refused.
func (s *site) must(_ *weftv1.Plugin, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) reload() {
	s.t.Helper()
	if err := s.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// ask says something on a connection and returns the answer.
func (c *client) ask(line string) string {
	c.t.Helper()
	c.say(text(line))
	return string(c.hear().Payload)
}

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

// awaitOf waits for one sample of a metric.
func (f *fixture) awaitOf(name, label string, want float64) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); f.MetricOf(name, label) != want; {
		if time.Now().After(end) {
			f.t.Fatalf("%s of %s is %v, not %v", name, label, f.MetricOf(name, label), want)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAReloadChangesPluginsAndNamesTheRest(t *testing.T) {
	s := open(t, "auto")
	c := s.dial("lines")
	s.reload()
	if p := s.plugin(); p.Live.Number != 1 {
		t.Errorf("an identical configuration made generation %d", p.Live.Number)
	}
	s.configure(`"reply one"`, `"reply two"`, "outbox: {size: 16MiB}", "outbox: {size: 8MiB}")
	s.reload()
	if got := c.ask("x"); got != "two" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(s.log.String(), "take effect after a restart") || !strings.Contains(s.log.String(), "keys=listeners.seq") {
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
var trapping = []string{`config: {messages: "reply one"}`, "config: {}", "mode: at-once", "mode: MODE, messages: 200, window: 100ms"}

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

func TestWhatKeepsTheRulesIsPromoted(t *testing.T) {
	for _, mode := range []string{"canary, weight: 99", "shadow, weight: 100, rollback: {drift: 100%}"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, "auto")
			c := s.dial("lines")
			s.configure(`"reply one"`, `"reply two"`, "mode: at-once", "mode: "+mode+", messages: 20, window: 100ms")
			s.reload()
			for p := s.plugin(); p.Last.What != "promoted" && p.Last.What != "settled"; p = s.plugin() {
				c.ask("x")
			}
			if p := s.plugin(); p.Live.Number != 2 || p.Candidate != nil || p.Previous.GetNumber() != 1 {
				t.Errorf("it is %v", p)
			}
			if got := c.ask("x"); got != "two" {
				t.Errorf("got %q", got)
			}
			for s.plugin().Last.What != "settled" {
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

// TestSwapsUnderTraffic swaps all the while messages pass: each arrives once and in
// its connection's order.
func TestSwapsUnderTraffic(t *testing.T) {
	const senders, swaps = 8, 8
	for _, mode := range []weftv1.RolloutMode{weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE, weftv1.RolloutMode_ROLLOUT_MODE_CANARY} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, "auto", `"reply one"`, "continue", "frame: mcp-seq, topic: t, chain: [guest], subscribe: [\"t\"]", "frame: mcp-seq, topic: t, chain: [guest]",
				"plugins:\n", "  - {name: out, address: \"127.0.0.1:0\", frame: mcp-seq, topic: u, subscribe: [t], outbox: {size: 16MiB}}\nplugins:\n")
			out := s.dial("out")
			s.await("weft_subscriptions", 1)
			type result struct {
				count int
				err   error
			}
			window := make(chan struct{}, 500) // of messages under way
			received := make(chan result, 1)
			go func() {
				count, err := out.inOrder(senders, window)
				received <- result{count, err}
			}()
			enough := make(chan struct{})
			var sending sync.WaitGroup
			for id := range senders {
				c := s.dial("seq")
				sending.Go(func() { c.numbered(id, window, enough) })
			}
			for i := range swaps {
				s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, [2]string{inAssemblyScript, inRust}[i%2]), Mode: mode})
				if mode == weftv1.RolloutMode_ROLLOUT_MODE_CANARY {
					s.must(s.Rollouts().SetWeight(t.Context(), "guest", 50))
					s.must(s.Rollouts().Promote(t.Context(), "guest"))
				}
			}
			close(enough)
			sending.Wait()
			got := <-received
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, s.log)
			}
			t.Logf("%d messages", got.count)
			if n := s.Metric("weft_plugin_messages_total"); n < float64(got.count) {
				t.Errorf("the plugin is said to have had %v of %d messages", n, got.count)
			}
			if live := s.Metric("weft_plugin_instances"); live != 4 {
				t.Errorf("%v instances live", live)
			}
			if p := s.plugin(); p.Live.Number != swaps+1 || p.Live.Stats.Failed != 0 {
				t.Errorf("it is %v", p)
			}
		})
	}
}

// numbered sends numbered messages until it is enough, and then one that says so.
func (c *client) numbered(id int, window chan<- struct{}, enough <-chan struct{}) {
	for n := 0; n >= 0; n++ {
		select {
		case <-enough:
			n = -2 // the last one: the loop ends behind it
		case window <- struct{}{}:
		}
		b, err := c.format.Append(nil, &abi.Message{Type: abi.TypeEvent, Payload: fmt.Appendf(nil, "%d.%d", id, n)})
		if err == nil {
			_, err = c.Write(b)
		}
		if err != nil {
			c.t.Error(err)
			return
		}
	}
}

// inOrder reads the messages of all senders until each has said that it is enough.
func (c *client) inOrder(senders int, window <-chan struct{}) (count int, err error) {
	next := make([]int, senders)
	for ended := 0; ended < senders; count++ {
		m, err := c.next()
		if err != nil {
			return count, fmt.Errorf("after %v: %w", next, err)
		}
		var id, n int
		if _, err := fmt.Sscanf(string(m.Payload), "%d.%d", &id, &n); err != nil {
			return count, fmt.Errorf("%q: %w", m.Payload, err)
		}
		if n < 0 {
			ended++
			continue
		}
		if n != next[id] {
			return count, fmt.Errorf("%q came, %d of it was expected", m.Payload, next[id])
		}
		next[id]++
		<-window
	}
	return count, nil
}

// TestAnEndDuringSwaps ends the server while generations come and go.
func TestAnEndDuringSwaps(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		for range 3 {
			s := open(t, driver)
			begun := make(chan struct{}, 4)
			var asking sync.WaitGroup
			for k := range 2 {
				asking.Go(func() {
					for i := 0; ; i++ {
						w := module(t, [2]string{inAssemblyScript, inRust}[(i+k)%2])
						mode := weftv1.RolloutMode(1 + i%3)
						_, err := s.Rollouts().Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "guest", Wasm: w, Mode: mode})
						switch {
						case errors.Is(err, admin.ErrDraining):
							return
						case err != nil:
							t.Errorf("%v", err)
							return
						}
						select {
						case begun <- struct{}{}:
						default:
						}
					}
				})
			}
			for range cap(begun) {
				<-begun
			}
			s.end()
			asking.Wait()
		}
	})
}

func sumOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
