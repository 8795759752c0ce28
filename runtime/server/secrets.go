package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// secrets are the TLS configurations of listeners, of the API, and of whom weft connects
// to, and the tokens of the API's callers, which follow their files.
type secrets struct {
	log *slog.Logger
	all atomic.Pointer[secretSet]
	tokens
	refused atomic.Pointer[[]refusal]
	mu      sync.Mutex     // held while the files are read; guards what follows
	soon    *time.Timer    // reads them again
	watcher *watch.Watcher // nil: nothing is watched
	watched map[string]bool
}

// secretSet is those that there are now.
type secretSet struct {
	cfg     *config.Config
	list    []*secret // of those that have TLS
	clients []*clientSecret
}

// secret is the TLS of one listener or of the API.
type secret struct {
	name   string // of the listener, or apiName
	index  int    // of the listener; -1 is the API
	source *tlsconf.Source
}

// together is how long weft waits for further files after one has changed: a
// certificate and its key are two.
const together = 250 * time.Millisecond

// newSecrets reads all certificates, keys and CAs. All faults are reported at once.
func newSecrets(cfg *config.Config, log *slog.Logger) (*secrets, error) {
	s := &secrets{log: log, tokens: tokens{cfg: cfg}}
	indices := make([]int, len(cfg.Listeners))
	for i := range indices {
		indices[i] = i
	}
	set, err := s.read(cfg, indices, &secretSet{cfg: &config.Config{}})
	s.all.Store(set)
	return s, err
}

// read reads what a configuration names, whose listeners have these indices; what is as
// in the former set is taken from there.
func (s *secrets) read(cfg *config.Config, indices []int, former *secretSet) (*secretSet, error) {
	set, log := &secretSet{cfg: cfg}, s.log
	var faults []error
	add := func(name, key string, index int, t *config.TLS, alpn []string) {
		if t == nil {
			return
		}
		if was := former.find(name); was != nil && reflect.DeepEqual(former.tls(name), t) {
			set.list = append(set.list, &secret{name, index, was.source})
			return
		}
		source, err := newSource(t, alpn, log.With("listener", name))
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w (%s)", key, err, cfg.Place(key)))
			return
		}
		set.list = append(set.list, &secret{name, index, source})
	}
	for i := range cfg.Listeners {
		c := &cfg.Listeners[i]
		add(c.Name, "listeners."+c.Name+".tls", indices[i], c.TLS, alpnOf(c.TLS))
	}
	if cfg.API.Address != "" {
		add(apiName, "api.tls", -1, cfg.API.TLS, []string{"h2", "http/1.1"})
	}
	return set, errors.Join(append(faults, s.addClients(cfg, set, former)...)...)
}

// now are those that there are; none without a configuration that has any.
func (s *secrets) now() *secretSet {
	if s == nil || s.all.Load() == nil {
		return &secretSet{}
	}
	return s.all.Load()
}

// find is the secret of that name; nil if there is none.
func (set *secretSet) find(name string) *secret {
	for _, at := range set.list {
		if at.name == name {
			return at
		}
	}
	return nil
}

// tls is what the configuration says of it.
func (set *secretSet) tls(name string) *config.TLS {
	if name == apiName {
		return set.cfg.API.TLS
	}
	for i := range set.cfg.Listeners {
		if c := &set.cfg.Listeners[i]; c.Name == name {
			return c.TLS
		}
	}
	return nil
}

func alpnOf(t *config.TLS) []string {
	if t == nil {
		return nil
	}
	return t.ALPN
}

func newSource(t *config.TLS, alpn []string, log *slog.Logger) (*tlsconf.Source, error) {
	auth, err := tlsconf.ParseAuth(t.ClientAuth)
	if err != nil {
		return nil, err
	}
	c := tlsconf.Config{ClientAuth: auth, ALPN: alpn, MinVersion: tls.VersionTLS12, Logger: log}
	if t.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	for _, p := range t.Pairs {
		c.Pairs = append(c.Pairs, tlsconf.Pair{Cert: p.Cert, Key: p.Key})
	}
	if t.CA != "" {
		c.ClientCAs = []string{t.CA}
	}
	return tlsconf.New(c)
}

// of is the TLS of a listener, by index, or of the API by -1; nil for none.
func (s *secrets) of(index int) *tls.Config { return s.now().of(index) }

func (set *secretSet) of(index int) *tls.Config {
	for _, at := range set.list {
		if at.index == index {
			return at.source.TLS()
		}
	}
	return nil
}

// wrap puts TLS on the engine's listeners, which have these indices.
func (set *secretSet) wrap(listeners []engine.Listener, indices []int) {
	for i := range listeners {
		if t := set.of(indices[i]); t != nil {
			listeners[i].Wrap = func(c net.Conn) net.Conn { return tls.Server(c, t) }
		}
	}
}

// wrapOne puts TLS on one listener.
func (set *secretSet) wrapOne(l *engine.Listener, name string) {
	if at := set.find(name); at != nil && name != apiName {
		t := at.source.TLS()
		l.Wrap = func(c net.Conn) net.Conn { return tls.Server(c, t) }
	}
}

// renumber gives the TLS of a listener the index that it has got.
func (set *secretSet) renumber(name string, index int) {
	if at := set.find(name); at != nil {
		at.index = index
	}
}

// start begins to watch the files, until what it returns is called.
func (s *secrets) start() (stop func()) {
	w, err := watch.New(watch.Options{Logger: s.log})
	if err != nil {
		s.log.Error("certificates and tokens are not watched: new ones are taken up at SIGHUP", "error", err)
		return func() {}
	}
	s.mu.Lock()
	s.watcher, s.watched = w, map[string]bool{}
	s.follow()
	s.watch(w)
	s.soon = time.AfterFunc(time.Hour, s.reload)
	s.soon.Stop()
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		w.Run(ctx, func(watch.Change) { s.soon.Reset(together) })
	})
	return func() {
		cancel()
		watching.Wait()
		s.soon.Stop()
		s.mu.Lock()
		s.watcher = nil
		s.mu.Unlock()
		_ = w.Close()
	}
}

// follow watches the files that there are now. Hold mu.
func (s *secrets) follow() {
	if s.watcher == nil {
		return
	}
	wanted := map[string]bool{}
	watched := func(files []tlsconf.File) {
		for _, f := range files {
			if wanted[f.Path] = true; !s.watched[f.Path] {
				s.watched[f.Path] = true
				s.watcher.Add(f.Path, f.Sum)
			}
		}
	}
	set := s.all.Load()
	for _, at := range set.list {
		watched(at.source.Files())
	}
	for _, at := range set.clients {
		watched(at.client.Files())
	}
	for path := range s.watched {
		if !wanted[path] {
			s.watcher.Remove(path)
			delete(s.watched, path)
		}
	}
}

// take puts others into the place of those that there are.
func (s *secrets) take(set *secretSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Store(set)
	s.outdated(set)
	s.follow()
}

// reload reads all files again. What does not load stays as it was.
func (s *secrets) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	set, refused := s.all.Load(), []refusal(nil)
	defer func() { s.refused.Store(&refused) }()
	note := func(of any, what string, err error) {
		if err != nil {
			refused = append(refused, refusal{of, what + " were refused; those before stay in use: " + strings.ReplaceAll(err.Error(), "\n", "; ")})
		}
	}
	for _, at := range set.list {
		note(at.source, "the changed TLS files of "+at.name, s.reread(at.source, "listener", at.name))
	}
	for _, at := range set.clients {
		note(at.client, "the changed TLS files of "+at.name, s.reread(at.client, "of", at.name))
	}
	if s.set == nil || len(s.cfg.API.Tokens) == 0 {
		return
	}
	if access, err := s.access(); err != nil {
		s.log.Error("the API's tokens were not taken up: those before stay in use", "error", err)
		note(nil, "the API's changed tokens", err)
	} else {
		s.set(access)
	}
}

// reread reads the files of a source or of a client again.
func (s *secrets) reread(of interface {
	Reload() error
	Stats() tlsconf.Stats
}, what, name string) error {
	before := of.Stats().Reloads
	err := of.Reload()
	if err != nil {
		s.log.Error("changed TLS files were not taken up: those before stay in use", what, name, "error", err)
	} else if now := of.Stats(); now.Reloads > before {
		s.log.Info("TLS files were read again", what, name, "expires", now.NotAfter.UTC())
	}
	return err
}
