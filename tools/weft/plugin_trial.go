package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/server"
)

// setup is what a command tries a module with: configuration, grants, limits.
type setup struct {
	from     source // a configuration of weft; empty: none
	name     string // the plugin in it
	settings string // the plugin's own configuration as JSON, or @FILE
}

func (s *setup) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.from.file, "config", "c", "", "configuration `FILE` of weft: the plugin gets the configuration, grants and limits that it has there")
	cmd.Flags().StringVar(&s.name, "plugin", "", "`NAME` of the plugin in the configuration (what its manifest says)")
	cmd.Flags().StringVar(&s.settings, "plugin-config", "", "the plugin's own configuration: `JSON`, or @FILE")
}

// given tells whether the command line says anything of it.
func (s *setup) given() bool { return s.from.file != "" || s.name != "" || s.settings != "" }

// spec is how to load a module. Without a configuration of weft it is granted
// whatever it asks for: on a host of its own that harms nobody.
func (s *setup) spec(sys system, module string, wasm []byte) (plugins.Spec, error) {
	d, err := plugins.Describe(wasm)
	if err != nil {
		return plugins.Spec{}, fail(exitConfig, fmt.Errorf("%s: %w", module, err), "")
	}
	name := s.name
	if name == "" {
		name = d.Manifest.Name
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(module), ".wasm")
	}
	spec := plugins.Spec{Name: name}
	if s.from.file != "" {
		cfg, err := s.from.load(sys)
		if err != nil {
			return spec, err
		}
		if _, ok := cfg.Plugins[name]; !ok {
			return spec, usageError("%s has no plugin %q: expected --plugin %s", s.from.file, name, strings.Join(slices.Sorted(maps.Keys(cfg.Plugins)), ", or "))
		}
		if spec, err = server.PluginSpec(cfg, name); err != nil {
			return spec, fail(exitConfig, err, "")
		}
	} else if spec.Grants, err = askedFor(&d); err != nil {
		return spec, err
	}
	spec.File, spec.Wasm = module, wasm
	spec.SHA256, spec.SignedBy = "", nil // those of the module that the configuration names
	if s.settings != "" {
		spec.Config, err = settingsOf(s.settings)
	}
	return spec, err
}

func settingsOf(given string) (json.RawMessage, error) {
	text := []byte(given)
	if file, ok := strings.CutPrefix(given, "@"); ok {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, usageError("--plugin-config: %w", err)
		}
	}
	if !json.Valid(text) {
		return nil, usageError("--plugin-config: expected JSON, or @ and the name of a file with JSON")
	}
	return text, nil
}

// askedFor is a grant of every capability that a module imports or its manifest
// asks for, with the scope of the example for it; and of every topic, for which a
// module needs no import.
func askedFor(d *plugins.Description) (hostfuncs.Grants, error) {
	given := map[string]map[string]any{}
	for _, c := range append(capabilitiesOf(d), abi.CapPublish, abi.CapSubscribe) {
		scopes := map[string]map[string]any{}
		if err := yaml.Unmarshal([]byte(hostfuncs.Example(c)), &scopes); err != nil {
			return hostfuncs.Grants{}, fmt.Errorf("the example for %s: %w", c, err)
		}
		maps.Copy(given, scopes)
	}
	for _, scope := range given {
		if _, ok := scope["topics"]; ok {
			scope["topics"] = []any{"#", "queue:#"}
		}
	}
	return hostfuncs.ParseGrants(given)
}

// capabilitiesOf lists what a module imports or its manifest asks for, sorted.
func capabilitiesOf(d *plugins.Description) []abi.Capability {
	all := map[abi.Capability]bool{}
	for c := range d.Imports {
		all[c] = true
	}
	for c := range d.Manifest.Capabilities {
		all[c] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// readModule reads a module from a file, or one that ships with weft: std:NAME.
func readModule(name string) ([]byte, error) {
	if short, ok := strings.CutPrefix(name, "std:"); ok {
		wasm, err := std.Open(short)
		if err != nil {
			return nil, usageError("%w", err)
		}
		return wasm, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(exitConfig, err, "weft plugin build makes a module of a project.")
	}
	defer f.Close()
	wasm, err := io.ReadAll(io.LimitReader(f, plugins.MaxFile+1))
	switch {
	case err != nil:
		return nil, fail(exitConfig, err, "weft plugin build makes a module of a project.")
	case len(wasm) > plugins.MaxFile:
		return nil, fail(exitConfig, fmt.Errorf("%s is larger than %d bytes", name, plugins.MaxFile), "")
	}
	return wasm, nil
}

// trial is one plugin on a host of its own, with a clock that is set by hand and
// without a network.
type trial struct {
	clock  *handClock
	env    *plugins.Env
	plugin *plugins.Plugin
	chain  *plugins.Chain
	batch  plugins.Batch
}

func newTrial(ctx context.Context, spec plugins.Spec, listeners []string, env plugins.EnvConfig) (*trial, error) {
	t := &trial{clock: &handClock{}}
	t.clock.set(time.Now().UnixNano())
	if env.Clock == nil {
		env.Clock = t.clock
	}
	env.HTTP, env.Logger = offline{}, slog.New(slog.DiscardHandler)
	var err error
	if t.env, err = plugins.NewEnv(env); err != nil {
		return nil, err
	}
	if t.plugin, err = t.env.Load(ctx, spec); err == nil {
		t.chain, err = plugins.NewChain(ctx, listeners, t.plugin)
	}
	if err != nil {
		return nil, fail(exitConfig, errors.Join(err, t.env.Close(context.WithoutCancel(ctx))), "")
	}
	return t, nil
}

func (t *trial) close(ctx context.Context) error {
	return errors.Join(t.chain.Close(ctx), t.env.Close(context.WithoutCancel(ctx)))
}

// one runs one message by itself and says what it has spent. The message that
// fails puts nobody to rest: the clock goes on.
func (t *trial) one(m abi.Message) (fuel uint64, outcome plugins.Outcome) {
	before := t.plugin.Stats().Fuel
	t.batch.Reset()
	t.batch.Messages = append(t.batch.Messages, m)
	t.chain.Messages(&t.batch)
	for _, o := range t.batch.Outcomes {
		if !o.Emitted {
			outcome = o
		}
	}
	if outcome.Cause != plugins.CauseNone && outcome.Cause != plugins.CausePlugin {
		t.clock.set(t.clock.Wall() + int64(time.Minute))
	}
	return t.plugin.Stats().Fuel - before, outcome
}

// handClock says what it was told.
type handClock struct{ now atomic.Int64 }

func (c *handClock) Wall() int64      { return c.now.Load() }
func (c *handClock) Monotonic() int64 { return c.now.Load() }
func (c *handClock) set(now int64)    { c.now.Store(now) }

// offline fails every request of a plugin on trial.
type offline struct{}

var errOffline = errors.New("a plugin on trial has no network")

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOffline }
