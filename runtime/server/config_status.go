package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
)

// reloads is what became of configurations that were read again. rollouts.mu guards it.
type reloads struct {
	applied, unchanged, refused uint64
	refusal                     error // why the last one was refused; nil if it was not
	last                        admin.ConfigReload
	since                       time.Time // when what runs took effect
	restart                     []string  // keys that wait for a restart
}

// newReloads is what is to be said when the configuration has been read for the first
// time.
func newReloads() reloads {
	now := time.Now()
	return reloads{since: now, last: admin.ConfigReload{At: now, By: admin.ByStart, Result: admin.ReloadApplied}}
}

// ConfigStatus implements admin.Configuration.
func (s *Server) ConfigStatus() admin.ConfigStatus {
	r, fault := s.rollouts, s.rollouts.fileFault()
	r.mu.RLock()
	defer r.mu.RUnlock()
	c := &r.reloads
	status := admin.ConfigStatus{
		File: r.applied.File(), Since: c.since, Good: c.refusal == nil && fault == "", FileFault: fault, SecretFaults: s.secrets.refusals(), Last: c.last, Restart: slices.Clone(c.restart),
		Applied: c.applied, Unchanged: c.unchanged, Refused: c.refused,
	}
	status.Last.Problems, status.Last.Changed = slices.Clone(c.last.Problems), slices.Clone(c.last.Changed)
	if sum := r.applied.Sum(); sum != [len(sum)]byte{} {
		status.Sum = hex.EncodeToString(sum[:])
	}
	return status
}

// fileFault is why the file of the configuration that runs cannot be read any more; empty if
// it can, or if none is read.
func (r *rollouts) fileFault() string {
	if r.reread == nil {
		return ""
	}
	if err := r.server.running().FileFault(); err != nil {
		return err.Error()
	}
	return ""
}

// ReloadConfig implements admin.Configuration.
func (s *Server) ReloadConfig(ctx context.Context, by string) (admin.ConfigStatus, error) {
	s.secrets.reload()
	err := s.rollouts.reload(ctx, by)
	return s.ConfigStatus(), err
}

var _ admin.Configuration = (*Server)(nil)

// reading is one time that the configuration is read.
type reading struct {
	by    string
	since time.Time
	again *[sha256.Size]byte // of the file that was refused and is read once more; nil if it was asked for
}

// reloaded notes what became of it.
func (r *rollouts) reloaded(at reading, result string, changed []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.reloads
	c.last = admin.ConfigReload{At: at.since, Took: time.Since(at.since), By: at.by, Result: result, Changed: changed}
	c.refusal = err
	switch result {
	case admin.ReloadApplied:
		c.applied++
		c.since = time.Now()
	case admin.ReloadUnchanged:
		c.unchanged++
	default:
		c.refused++
		c.last.Problems = strings.Split(err.Error(), "\n")
	}
	r.server.journal.config(r.applied.File(), &c.last)
}

// awaitsRestart notes which keys of the file take effect after a restart, and says so
// if they are others than before.
func (r *rollouts) awaitsRestart(to *config.Config, keys []string) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	r.mu.Lock()
	same := slices.Equal(keys, r.reloads.restart)
	r.reloads.restart = keys
	r.mu.Unlock()
	if len(keys) > 0 && !same {
		r.log.Warn("the configuration has changes that take effect after a restart", "file", to.File(), "keys", strings.Join(keys, " "))
	}
}
