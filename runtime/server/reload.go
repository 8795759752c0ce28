package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
)

// errNoReload: the configuration did not come from anywhere that can be read again.
var errNoReload = errors.New("the configuration cannot be read again: it is the built-in one, or was handed over")

// reload reads the configuration again. Everything that it changes about plugins is
// built before anything is put into effect: if one does not load, all stays. watched:
// not because somebody has asked for it, but because the file has changed.
func (r *rollouts) reload(ctx context.Context, watched bool) error {
	if r.reread == nil {
		return errNoReload
	}
	ctx, done, err := r.beginBuild(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.readAlready(watched) {
		return nil
	}
	to, err := r.reread(ctx)
	if err != nil {
		return r.refuseConfig(fmt.Errorf("the configuration is wrong: %w", err))
	}
	r.mu.RLock()
	from := r.applied
	r.mu.RUnlock()
	changes := from.Changes(to)
	if restart := r.server.cfg.Changes(to).Restart; len(restart) > 0 {
		r.log.Warn("the configuration has changes that take effect after a restart", "file", to.File(), "keys", strings.Join(restart, " "))
	}
	if len(changes.Plugins) == 0 && len(changes.Rules) == 0 {
		r.reloaded(func(c *reloads) { c.unchanged++ })
		r.log.Info("the configuration was read again; nothing about plugins has changed", "file", to.File())
		return nil
	}
	built, err := r.buildAll(ctx, to, changes)
	if err != nil {
		return r.refuseConfig(err)
	}
	return r.apply(ctx, to, changes, built)
}

// readAlready tells whether the file is as it was last read, so that a change of which
// SIGHUP tells as well is not logged twice. Whoever asks for it is answered in any case,
// and can have one read again that was refused: what it names may have been mended.
func (r *rollouts) readAlready(watched bool) bool {
	r.mu.RLock()
	file := r.applied.File()
	r.mu.RUnlock()
	sum, ok := sumOfFile(file) // before it is read: should it change meanwhile, it is read once more
	r.mu.Lock()
	same, bad := ok && sum == r.lastRead, r.reloads.bad
	r.lastRead = sum
	r.mu.Unlock()
	switch {
	case !same:
		return false
	case watched:
		r.log.Debug("the configuration's file is as it was last read", "file", file)
		return true
	case bad:
		return false
	}
	r.reloaded(func(c *reloads) { c.unchanged++ })
	r.log.Info("the configuration's file is as it was last read; nothing has changed", "file", file)
	return true
}

// sumOfFile is the SHA-256 of a file; false if it cannot be had.
func sumOfFile(name string) (sum [sha256.Size]byte, ok bool) {
	if name == "" {
		return sum, false
	}
	f, err := os.Open(name)
	if err != nil {
		return sum, false
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, plugins.MaxFile)); err != nil {
		return sum, false
	}
	return [sha256.Size]byte(h.Sum(nil)), true
}

// buildAll builds a generation of each plugin that has changed, or none.
func (r *rollouts) buildAll(ctx context.Context, to *config.Config, changes config.Changes) (map[string]*generation, error) {
	built := map[string]*generation{}
	own := to.OwnConfigs()
	var faults []error
	for _, name := range changes.Plugins {
		g := r.groups[name]
		r.mu.RLock()
		made := &section{plugin: to.Plugins[name], own: g.section.own}
		r.mu.RUnlock()
		if changes.SameChains {
			made.own = own[name]
		}
		next, err := r.build(ctx, g, blueprint{made: made, shadow: r.shadows(g, wish{made: made})})
		if err != nil {
			faults = append(faults, fmt.Errorf("%w (%s)", err, to.Place("plugins."+name)))
			continue
		}
		next.source = sourceConfig
		built[name] = next
	}
	if err := errors.Join(faults...); err != nil {
		for _, next := range built {
			r.put(next)
		}
		return nil, err
	}
	return built, nil
}

// apply puts the generations into their places, and new rules into effect.
func (r *rollouts) apply(ctx context.Context, to *config.Config, changes config.Changes, built map[string]*generation) error {
	var faults []error
	for _, name := range changes.Plugins {
		next := built[name]
		faults = append(faults, r.bring(ctx, r.groups[name], next, wish{name: name, source: sourceConfig, made: next.section}))
	}
	for _, name := range changes.Rules {
		faults = append(faults, r.do(ctx, func() error { return r.rule(r.groups[name], to.Plugins[name]) }))
	}
	if err := errors.Join(faults...); err != nil {
		return r.refuseConfig(err)
	}
	r.mu.Lock()
	r.applied = to
	r.mu.Unlock()
	r.reloaded(func(c *reloads) { c.applied++ })
	about := []any{"file", to.File()}
	if len(changes.Plugins) > 0 {
		about = append(about, "plugins", strings.Join(changes.Plugins, " "))
	}
	if len(changes.Rules) > 0 {
		about = append(about, "rules", strings.Join(changes.Rules, " "))
	}
	r.log.Info("the configuration was read again", about...)
	r.watchAll()
	return nil
}

// refuseConfig notes that a configuration is not put into effect.
func (r *rollouts) refuseConfig(err error) error {
	if err = r.ending(err); errors.Is(err, admin.ErrDraining) {
		return err
	}
	r.reloaded(func(c *reloads) { c.refused++; c.bad = true })
	r.log.Error("the configuration was refused; the former one goes on", "error", err)
	return err
}

func (r *rollouts) reloaded(count func(*reloads)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reloads.bad, r.reloads.last = false, time.Now()
	count(&r.reloads)
}
