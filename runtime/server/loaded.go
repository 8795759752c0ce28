package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
)

// loaded is the plugins of a configuration: each declared one, and one more for
// each place in a chain that gives it a configuration of its own.
type loaded struct {
	env    *plugins.Env
	guest  *guestMetrics
	groups map[string]*group
	chains map[chainKey][]*plugins.Plugin // as they begin; of listeners, and of routes that have one
}

// keepMemory is how many bytes of memory of plugins' former instances are kept for those
// of the next generation.
const keepMemory = 32 << 20

// loadPlugins loads every plugin that the configuration declares, whether or not
// a chain names it. All faults are reported at once.
func loadPlugins(ctx context.Context, opts Options, kv *hostfuncs.KV, filter *hostfuncs.Filter) (*loaded, error) {
	cfg, guest := opts.Config, &guestMetrics{}
	made := plugins.EnvConfig{Logger: opts.Logger, CacheDir: opts.CacheDir, Metrics: guest, KV: kv, Filter: filter, KeepMemory: keepMemory}
	if cfg.Compile == "child" {
		made.Compiler = opts.Compiler
	}
	if err := trust(cfg, &made); err != nil {
		return nil, err
	}
	env, err := plugins.NewEnv(made)
	if err != nil {
		return nil, err
	}
	l := &loaded{env: env, guest: guest, groups: map[string]*group{}, chains: map[chainKey][]*plugins.Plugin{}}
	var faults []error
	for _, name := range sortedKeys(cfg.Plugins) {
		p, err := l.load(ctx, cfg, name, nil)
		faults = append(faults, err)
		sec := &section{plugin: cfg.Plugins[name]}
		l.groups[name] = &group{
			name: name, section: sec, number: 1, results: map[string]uint64{}, causes: map[string]uint64{},
			live: &generation{number: 1, members: []*plugins.Plugin{p}, section: sec, source: sourceStart, since: time.Now()},
		}
	}
	chainsOf(cfg, func(key chainKey, entries []config.ChainEntry) {
		var list []*plugins.Plugin
		for _, entry := range entries {
			p, err := l.place(ctx, cfg, key, entry)
			faults = append(faults, err)
			list = append(list, p)
		}
		if _, listens := strings.CutPrefix(string(key), "listener "); listens || len(list) > 0 {
			l.chains[key] = list
		}
	})
	if err := errors.Join(faults...); err != nil {
		return nil, errors.Join(err, env.Close(ctx))
	}
	return l, nil
}

// place puts a plugin into a chain.
func (l *loaded) place(ctx context.Context, cfg *config.Config, chain chainKey, entry config.ChainEntry) (*plugins.Plugin, error) {
	g := l.groups[entry.Plugin]
	member, p := 0, g.live.members[0]
	if entry.Config != nil && p != nil {
		var err error
		if p, err = l.load(ctx, cfg, entry.Plugin, entry.Config); err != nil {
			return nil, err
		}
		member = len(g.live.members)
		g.live.members = append(g.live.members, p)
		g.section.own = append(g.section.own, entry.Config)
	}
	if place := string(chain); !slices.Contains(g.places, place) {
		g.places = append(g.places, place)
	}
	for i := range g.seats {
		if s := &g.seats[i]; s.chain == chain && s.member == member {
			s.count++
			return p, nil
		}
	}
	g.seats = append(g.seats, seats{chain: chain, member: member, count: 1})
	return p, nil
}

// load loads one plugin, with the configuration of a place in a chain if own is
// not nil.
func (l *loaded) load(ctx context.Context, cfg *config.Config, name string, own config.PluginConfig) (*plugins.Plugin, error) {
	key := "plugins." + name
	spec, err := pluginSpec(name, cfg.Plugins[name], own)
	if err != nil {
		return nil, fmt.Errorf("%s.file: %w (%s)", key, err, cfg.Place(key+".file"))
	}
	spec.Generation = 1
	p, err := l.env.Load(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, cfg.Place(key))
	}
	return p, nil
}

func pluginSpec(name string, c config.Plugin, own config.PluginConfig) (plugins.Spec, error) {
	policy, err := plugins.ParsePolicy(c.OnFailure)
	if err != nil {
		return plugins.Spec{}, err
	}
	if own == nil {
		own = c.Config
	}
	spec := plugins.Spec{
		Name: name, File: c.Path, SHA256: c.SHA256, SignedBy: c.SignedBy, Config: json.RawMessage(own), Grants: grants(name, c.Grants),
		Memory: int64(c.Memory), OnFailure: policy, Tick: c.Tick.Std(), CPU: c.CPU.Std(),
		StartCPU: c.StartCPU.Std(), Deadline: c.Deadline.Std(),
	}
	if stdName, ok := c.Std(); ok {
		spec.File, spec.Shipped = c.File, true
		spec.Wasm, err = std.Open(stdName)
	}
	return spec, err
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// CheckSetup compiles a configuration's frames, templates and routes, reads the files of
// TLS and makes the pools of upstreams, as New does.
func CheckSetup(cfg *config.Config) error {
	log := slog.New(slog.DiscardHandler)
	made, err := newSetup(cfg)
	trust, tlsErr := newSecrets(cfg, log)
	if err = errors.Join(err, tlsErr); err == nil {
		_, err = newUpstreams(cfg, log, made.formats, trust)
	}
	return err
}

// CheckPlugins loads every declared plugin as New does, one after another, and
// gives everything back. It yields each one's name with what is wrong with it.
func CheckPlugins(ctx context.Context, cfg *config.Config, log *slog.Logger) iter.Seq2[CheckedPlugin, error] {
	return func(yield func(checked CheckedPlugin, err error) bool) {
		made := plugins.EnvConfig{Logger: log}
		err := trust(cfg, &made)
		if err != nil {
			yield(CheckedPlugin{Name: "trust"}, err)
			return
		}
		env, err := plugins.NewEnv(made)
		if err != nil {
			yield(CheckedPlugin{}, err)
			return
		}
		defer func() { _ = env.Close(ctx) }()
		l := &loaded{env: env}
		for _, name := range sortedKeys(cfg.Plugins) {
			p, err := l.load(ctx, cfg, name, nil)
			if !yield(CheckedPlugin{Name: name, Warnings: unusedGrants(name, p)}, err) {
				return
			}
		}
		for place, entry := range ownConfigs(cfg) {
			name := entry.Plugin + " in the chain of " + place
			if _, err := l.load(ctx, cfg, entry.Plugin, entry.Config); !yield(CheckedPlugin{Name: name}, err) {
				return
			}
		}
	}
}

// ownConfigs yields the places in chains that give a plugin a configuration of
// its own.
func ownConfigs(cfg *config.Config) iter.Seq2[string, config.ChainEntry] {
	return func(yield func(place string, entry config.ChainEntry) bool) {
		chain := func(place string, entries []config.ChainEntry) bool {
			for _, entry := range entries {
				if entry.Config != nil && !yield(place, entry) {
					return false
				}
			}
			return true
		}
		for i := range cfg.Listeners {
			if !chain("listener "+cfg.Listeners[i].Name, cfg.Listeners[i].Chain) {
				return
			}
		}
		for i := range cfg.Routes {
			if !chain("route "+cfg.Routes[i].Name, cfg.Routes[i].Chain) {
				return
			}
		}
	}
}
