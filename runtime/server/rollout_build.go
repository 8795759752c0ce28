package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/rollout"
)

// wish is a new generation that somebody asks for.
type wish struct {
	name   string
	source string   // who asks
	module []byte   // nil: the file, as it is now
	made   *section // nil: that of the plugin
	// mode, weight and manual override the configuration where they are set.
	mode   *rollout.Mode
	weight int
	manual bool
	dryRun bool
}

// granted is what became of a wish.
type granted struct {
	group     *group
	unchanged bool
	checked   *generation // of a dry run; its plugins are closed
}

// swap brings a new generation.
func (r *rollouts) swap(ctx context.Context, w wish) (granted, error) {
	g, err := r.group(w.name)
	if err != nil {
		return granted{}, err
	}
	ctx, done, err := r.beginBuild(ctx)
	if err != nil {
		return granted{}, err
	}
	defer done()
	next, err := r.build(ctx, g, blueprint{made: w.made, module: w.module, sent: w.module != nil && w.source == sourceAPI, shadow: r.shadows(g, w)})
	if err != nil {
		return granted{}, r.refuse(g, r.next(g), w.source, err)
	}
	next.source = w.source
	switch {
	case w.dryRun:
		defer r.put(next)
		return granted{group: g, checked: next}, nil
	case r.same(g, next):
		defer r.put(next)
		kept := granted{group: g}
		err := r.do(ctx, func() error { kept.unchanged = r.keep(g, w.source); return nil })
		return kept, err
	}
	return granted{group: g}, r.bring(ctx, g, next, w)
}

// bring puts a generation that was built into its places, and closes it if that
// fails.
func (r *rollouts) bring(ctx context.Context, g *group, next *generation, w wish) error {
	all, err := r.prepare(ctx, g, next, false)
	if err == nil {
		err = r.do(ctx, func() error { return r.install(g, next, all, w) })
		all.close() // what was not used
	}
	if err != nil {
		r.put(next)
		return r.refuse(g, next.number, w.source, err)
	}
	return nil
}

// next is the number of the next generation.
func (r *rollouts) next(g *group) uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return g.number + 1
}

// mode is how the new generation begins.
func (r *rollouts) mode(g *group, w wish) rollout.Mode {
	if w.mode != nil {
		return *w.mode
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	sec := g.section
	if w.made != nil {
		sec = w.made
	}
	mode, err := rollout.ParseMode(sec.plugin.Rollout.Mode)
	if err != nil {
		return rollout.AtOnce
	}
	return mode
}

// shadows tells whether the new generation begins as a shadow.
func (r *rollouts) shadows(g *group, w wish) bool {
	return !w.dryRun && len(g.seats) > 0 && r.mode(g, w) == rollout.Shadow
}

// blueprint is what a generation is built from.
type blueprint struct {
	made   *section // nil: what the plugin is made of
	module []byte   // nil: the file, as it is now
	number uint64   // 0: the next
	sent   bool     // the module came through the API
	shadow bool
}

// build loads a generation's plugins.
func (r *rollouts) build(ctx context.Context, g *group, b blueprint) (_ *generation, err error) {
	r.mu.RLock()
	made, module, number := b.made, b.module, b.number
	if made == nil {
		made = g.section
	}
	if number == 0 {
		number = g.number + 1
	}
	r.mu.RUnlock()
	next := &generation{number: number, section: made, since: time.Now(), shadow: b.shadow}
	defer func() {
		if err != nil {
			r.put(next)
		}
	}()
	for i := -1; i < len(made.own); i++ {
		var own config.PluginConfig
		if i >= 0 {
			own = made.own[i]
		}
		spec, err := pluginSpec(g.name, made.plugin, own)
		if err != nil {
			return nil, err
		}
		if module == nil && len(spec.Wasm) == 0 {
			if module, err = readModule(spec.File); err != nil {
				return nil, fmt.Errorf("plugin %s: %w", g.name, err)
			}
		}
		if module != nil {
			spec.Wasm, spec.Shipped = module, false // whatever it replaces: these bytes came from outside
		}
		if b.sent {
			spec.File = "" // errors are not about that file
		}
		spec.Generation, spec.Shadow = number, b.shadow
		p, err := r.server.plugins.env.Load(ctx, spec)
		if err != nil {
			return nil, err
		}
		next.members = append(next.members, p)
	}
	if b.shadow {
		next.module = module
	}
	return next, nil
}

// readModule reads a file once for all plugins of a generation.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", plugins.ErrFile, err)
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, plugins.MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", plugins.ErrFile, err)
	case len(module) == 0:
		return nil, fmt.Errorf("%w: %s is empty: is it still being written?", plugins.ErrFile, path)
	case len(module) > plugins.MaxFile:
		return nil, fmt.Errorf("%w: %s is too large", plugins.ErrFile, path)
	}
	return module, nil
}

// same tells whether the running generation is made of the same.
func (r *rollouts) same(g *group, next *generation) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return g.live.section == next.section && g.live.sum() == next.sum()
}

// errOvertaken: what the step was about is not there any more.
var errOvertaken = errors.New("another rollout has overtaken this one")
