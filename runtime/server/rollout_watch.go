package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/admin"
)

// watchAll watches the files of the plugins that say so, and that of the
// configuration. It may be called again when they have changed.
func (r *rollouts) watchAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	wanted := map[string][sha256.Size]byte{}
	for _, g := range r.all() {
		if c := &g.section.plugin; c.Watch && c.Path != "" {
			newest := g.live
			if g.candidate != nil {
				newest = g.candidate
			}
			var sum [sha256.Size]byte
			if b, err := hex.DecodeString(newest.sum()); err == nil {
				copy(sum[:], b)
			}
			wanted[c.Path] = sum
		}
	}
	if file := r.applied.File(); r.reread != nil && r.applied.Watch && file != "" {
		if _, err := os.Stat(file); err == nil {
			wanted[file] = r.applied.Sum()
		}
	}
	if len(wanted) > 0 && r.watcher == nil && !r.beginWatch() {
		return
	}
	for path := range r.watched {
		if _, still := wanted[path]; !still {
			r.watcher.Remove(path)
			delete(r.watched, path)
		}
	}
	for path, sum := range wanted {
		if !r.watched[path] {
			r.watched[path] = true
			r.watcher.Add(path, sum)
		}
	}
}

// beginWatch starts the watcher. Hold mu.
func (r *rollouts) beginWatch() bool {
	w, err := watch.New(watch.Options{Logger: r.log, MaxSize: plugins.MaxFile})
	if err != nil {
		r.log.Error("files are not watched: changes need weft plugin swap, or SIGHUP", "error", err)
		return false
	}
	r.watcher, r.watched = w, map[string]bool{}
	r.watching.Go(func() { w.Run(r.ctx, r.changed) })
	return true
}

// changed acts on a file that has new content. What is wrong with it is logged
// once: the next attempt comes with the next change, for the configuration also by itself.
func (r *rollouts) changed(c watch.Change) {
	r.mu.RLock()
	file := r.applied.File()
	var names []string
	for _, name := range sortedKeys(r.all()) {
		if p := &r.all()[name].section.plugin; p.Watch && p.Path == c.Path {
			names = append(names, name)
		}
	}
	r.mu.RUnlock()
	if c.Path == file {
		err := r.reload(r.ctx, admin.ByFile) // it was logged
		if err == nil {
			err = r.refusal() // somebody was asked to read it before it was noticed
		}
		if mayMend(err) {
			r.watching.Go(r.lookAgain)
		}
	}
	for _, name := range names {
		if _, err := r.swap(r.ctx, wish{name: name, source: sourceFile, module: c.Content}); err != nil && !errors.Is(err, admin.ErrRefused) {
			r.log.Warn("a changed plugin was not loaded", "plugin", name, "error", err)
		}
	}
}

// A configuration that was refused is read again after againAfter, and then after twice as
// long as before, so many times.
const (
	againAfter = 2 * time.Second
	againTimes = 5
)

// mayMend tells whether what a reload has failed with may be gone with time: the files that a
// configuration names may be written after it. A plugin that was refused is not tried again,
// nor what has begun to take effect.
func mayMend(err error) bool {
	return err != nil && !errors.Is(err, admin.ErrRefused) && !errors.Is(err, admin.ErrDraining) && !errors.Is(err, errHalf)
}

// lookAgain reads the configuration that was refused again, for about a minute, until it is
// taken or its file changes. What is wrong is said once.
func (r *rollouts) lookAgain() {
	r.mu.RLock()
	sum := r.lastRead
	r.mu.RUnlock()
	for wait, times := againAfter, againTimes; times > 0; wait, times = 2*wait, times-1 {
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(wait):
		}
		if !mayMend(r.readAgain(sum)) {
			return
		}
	}
}

// readAgain reads the configuration once more whose file was refused.
func (r *rollouts) readAgain(sum [sha256.Size]byte) error {
	return r.read(r.ctx, reading{by: admin.ByFile, since: time.Now(), again: &sum})
}
