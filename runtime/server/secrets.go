package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// secrets are the TLS configurations of listeners and of the API, which follow their
// files.
type secrets struct {
	log  *slog.Logger
	list []*secret   // of those that have TLS
	soon *time.Timer // reads the files again
	mu   sync.Mutex  // held while they are read
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
	s := &secrets{log: log}
	var faults []error
	add := func(name, key string, index int, t *config.TLS, alpn []string) {
		if t == nil {
			return
		}
		source, err := newSource(t, alpn, log.With("listener", name))
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w (%s)", key, err, cfg.Place(key)))
			return
		}
		s.list = append(s.list, &secret{name, index, source})
	}
	for i := range cfg.Listeners {
		c := &cfg.Listeners[i]
		add(c.Name, "listeners."+c.Name+".tls", i, c.TLS, alpnOf(c.TLS))
	}
	if cfg.API.Address != "" {
		add(apiName, "api.tls", -1, cfg.API.TLS, []string{"h2", "http/1.1"})
	}
	return s, errors.Join(faults...)
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
func (s *secrets) of(index int) *tls.Config {
	for _, at := range s.list {
		if at.index == index {
			return at.source.TLS()
		}
	}
	return nil
}

// wrap puts TLS on the engine's listeners.
func (s *secrets) wrap(listeners []engine.Listener) {
	for i := range listeners {
		if t := s.of(i); t != nil {
			listeners[i].Wrap = func(c net.Conn) net.Conn { return tls.Server(c, t) }
		}
	}
}

// start begins to watch the files, until what it returns is called.
func (s *secrets) start() (stop func()) {
	if len(s.list) == 0 {
		return func() {}
	}
	w, err := watch.New(watch.Options{Logger: s.log})
	if err != nil {
		s.log.Error("certificates are not watched: new ones are taken up at SIGHUP", "error", err)
		return func() {}
	}
	added := map[string]bool{}
	for _, at := range s.list {
		for _, f := range at.source.Files() {
			if !added[f.Path] {
				added[f.Path] = true
				w.Add(f.Path, f.Sum)
			}
		}
	}
	s.soon = time.AfterFunc(time.Hour, s.reload)
	s.soon.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		w.Run(ctx, func(watch.Change) { s.soon.Reset(together) })
	})
	return func() {
		cancel()
		watching.Wait()
		s.soon.Stop()
		_ = w.Close()
	}
}

// reload reads all files again. What does not load stays as it was.
func (s *secrets) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.list {
		before := at.source.Stats().Reloads
		if err := at.source.Reload(); err != nil {
			s.log.Error("changed TLS files were not taken up: those before stay in use", "listener", at.name, "error", err)
		} else if now := at.source.Stats(); now.Reloads > before {
			s.log.Info("TLS files were read again", "listener", at.name, "expires", now.NotAfter.UTC())
		}
	}
}
