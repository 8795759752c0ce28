package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
)

// errNoReload: the configuration did not come from anywhere that can be read again.
var errNoReload = errors.New("the configuration cannot be read again: it is the built-in one, or was handed over")

// reload reads the configuration again. Everything that it changes about plugins is
// built before anything is put into effect: if one does not load, all stays. by is who
// or what has asked for it.
func (r *rollouts) reload(ctx context.Context, by string) error {
	return r.read(ctx, reading{by: by, since: time.Now()})
}

// read is reload at a time, or once more.
func (r *rollouts) read(ctx context.Context, at reading) error {
	if r.reread == nil {
		return errNoReload
	}
	ctx, done, err := r.beginBuild(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.readAlready(at) {
		return nil
	}
	from := r.server.running()
	to, err := r.reread(ctx)
	if err == nil {
		err = to.Emptied(from)
	}
	if err == nil && !reflect.DeepEqual(to.API.Tokens, r.server.cfg.API.Tokens) {
		err = CheckAccess(to) // they hold from the restart on, which must not fail by them
	}
	if err != nil {
		return r.refuseConfig(at, fmt.Errorf("the configuration is wrong: %w", err))
	}
	to, restart := to.Reloadable(r.server.cfg, from)
	r.awaitsRestart(to, restart)
	changes := from.Changes(to)
	if !changes.Any() {
		r.putIn(to)
		r.reloaded(at, admin.ReloadUnchanged, nil, nil)
		r.log.Info("the configuration was read again; nothing has changed that can take effect", "file", to.File())
		return nil
	}
	err = r.changeOver(ctx, from, to, changes)
	if err != nil {
		return r.refuseConfig(at, err)
	}
	r.putIn(to)
	r.reloaded(at, admin.ReloadApplied, changes.Keys(), nil)
	r.log.Info("the configuration was read again", "file", to.File(), "by", at.by, "changed", strings.Join(changes.Keys(), " "), "took", time.Since(at.since))
	return nil
}

// changeOver has one configuration take the place of another, or changes nothing. It
// begins again where a rollout has come between.
func (r *rollouts) changeOver(ctx context.Context, from, to *config.Config, changes config.Changes) error {
	for tries := 3; ; tries-- {
		pl, err := r.newPlan(ctx, from, to, changes)
		if err == nil {
			err = pl.carryOut(ctx)
		}
		if tries == 1 || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

// putIn notes which configuration runs.
func (r *rollouts) putIn(to *config.Config) {
	r.mu.Lock()
	r.applied = to
	r.mu.Unlock()
	r.watchAll()
}

// readAlready tells whether the file, and those of its secrets and descriptor sets, are as
// they were last read, so that a change of which SIGHUP tells as well is not logged twice. Whoever asks for it is answered in any case,
// and can have one read again that was refused: what it names may have been mended. Where it is
// read once more by itself, it is to be the one that was refused.
func (r *rollouts) readAlready(at reading) bool {
	r.mu.RLock()
	applied := r.applied
	r.mu.RUnlock()
	file, others := applied.File(), applied.FilesChanged()
	sum, ok := sumOfFile(file) // before it is read: should it change meanwhile, it is read once more
	r.mu.Lock()
	same, bad := ok && sum == r.lastRead && !others, r.reloads.refusal != nil
	if at.again != nil {
		defer r.mu.Unlock()
		return !ok || sum != *at.again || sum != r.lastRead || !bad
	}
	r.lastRead = sum
	r.mu.Unlock()
	switch {
	case !same:
		return false
	case at.by == admin.ByFile:
		r.log.Debug("the configuration's file is as it was last read", "file", file)
		return true
	case bad:
		return false
	}
	r.reloaded(at, admin.ReloadUnchanged, nil, nil)
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

// refusal is why the file was refused when it was read last; nil if it was not.
func (r *rollouts) refusal() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.reloads.refusal
}

// refuseConfig notes that a configuration is not put into effect.
func (r *rollouts) refuseConfig(at reading, err error) error {
	if err = r.ending(err); errors.Is(err, admin.ErrDraining) {
		return err
	}
	if former := r.refusal(); at.again != nil && former != nil && former.Error() == err.Error() {
		return err // it was said
	}
	r.reloaded(at, admin.ReloadRefused, nil, err)
	said := "the configuration was refused; the former one goes on"
	if errors.Is(err, errHalf) {
		said = "the configuration could not take the place of the former one"
	}
	r.log.Error(said, "error", err)
	return err
}
