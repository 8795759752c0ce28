// Package server puts weft together: it compiles the configuration, loads the
// plugins, runs the event loops with a path each, serves the API, and ends all of
// it in order. path.go is the way of a message; read it first.
package server

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/logging"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// Options is what a Server is made of.
type Options struct {
	// Config is required and not changed.
	Config *config.Config
	// Logger is required.
	Logger *slog.Logger
	// Driver selects the engine's driver; empty is the best one of the system.
	Driver string
	// Reload reads the configuration again, for Server.Reload and for changes of
	// its file; nil for a configuration that stays as it is.
	Reload func(context.Context) (*config.Config, error)
	// CacheDir keeps compiled plugins between starts; empty keeps none.
	CacheDir string
}

// Server is one weft.
type Server struct {
	log      *slog.Logger
	crowd    *slog.Logger // of lines that clients can cause as often as they like
	cfg      *config.Config
	ctx      context.Context // of plugin calls; never cancelled: metering bounds them
	setup    *setup
	secrets  *secrets
	plugins  *loaded
	rollouts *rollouts
	topics   *router.Trie[router.Subscriber]
	sessions *session.Registry
	requests *delivery.Requests
	mqtt     *mqttShared // nil without MQTT listeners
	engine   *engine.Engine
	paths    []*path
	bus      *bus
	devices  *devices
	keeper   *keeper
	recorder *recorder
	admin    *admin.Server
	life     *life.Life
	seed     maphash.Seed
	timeouts atomic.Uint64 // requests that nobody answered in time
	lost     atomic.Uint64 // requests whose receiver went away
}

// Of each kind of lines that clients can cause, and each listener, so many are logged
// at once, then one in so long.
const (
	crowdLines = 20
	crowdEvery = 5 * time.Second
)

// New compiles the configuration, loads the plugins and opens the listeners'
// addresses. Nothing is accepted before Run. On an error nothing is left behind.
func New(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{
		log: opts.Logger, crowd: logging.Seldom(opts.Logger, crowdLines, crowdEvery), cfg: opts.Config, ctx: context.WithoutCancel(ctx),
		topics:   router.NewTrie[router.Subscriber](),
		requests: delivery.NewRequests(delivery.RequestLimits{}),
		life:     life.New(),
		seed:     maphash.MakeSeed(),
	}
	s.sessions = session.NewRegistry(s.topics, session.Limits{})
	s.bus = newBus(s)
	s.devices = newDevices(opts.Config, opts.Logger, s.bus)
	s.keeper = newKeeper(opts.Config)
	s.mqtt = newMQTTShared(opts.Config)
	var err error
	if s.setup, err = newSetup(opts.Config); err != nil {
		return nil, err
	}
	if s.secrets, err = newSecrets(opts.Config, opts.Logger); err != nil {
		return nil, err
	}
	if s.plugins, err = loadPlugins(ctx, opts.Config, opts.Logger, opts.CacheDir); err != nil {
		return nil, err
	}
	s.rollouts = newRollouts(s, opts)
	s.recorder = &recorder{server: s}
	if err := s.start(opts); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// start makes the engine with a path for each loop, and the API.
func (s *Server) start(opts Options) error {
	c := s.cfg
	listeners, err := engineListeners(c)
	if err != nil {
		return err
	}
	s.secrets.wrap(listeners)
	s.engine, err = engine.New(engine.Config{
		Loops: c.Loops, Driver: opts.Driver, Logger: s.log,
		MaxConnections: c.Limits.Connections, MaxPerSource: c.Limits.PerSource,
	}, listeners, func(l *engine.Loop) (engine.Handler, error) {
		p, err := newPath(s, l)
		if err == nil {
			p.letters = s.keeper.box()
			s.paths = append(s.paths, p)
		}
		return p, err
	})
	if err != nil {
		return err
	}
	if c.API.Address == "" {
		return nil
	}
	s.admin, err = admin.New(admin.Options{
		Address: c.API.Address, AllowRemote: c.API.AllowRemote, Hosts: c.API.Hosts, Logger: s.log,
		Bus: s.bus, Life: s.life, Sources: []admin.Source{admin.SourceFunc(s.metrics)},
		Converters: s.setup.converters, CORS: c.API.CORS,
		DeadLetters: deadLetters{s}, Recorder: s.recorder, Plugins: s.rollouts, TLS: s.secrets.of(-1),
	})
	return err
}

// Run serves until ctx ends, then drains: nothing new is accepted, what was
// accepted is delivered. It returns when everything is closed.
func (s *Server) Run(ctx context.Context) error {
	if s.admin != nil {
		if err := s.admin.Start(ctx); err != nil {
			return errors.Join(err, s.life.To(life.Failed, err.Error()), s.close())
		}
	}
	ended := make(chan error, 1)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() { ended <- s.engine.Run(running) }()
	defer s.keeper.start()()
	defer s.secrets.start()()
	if err := s.life.To(life.Running, ""); err != nil {
		return err
	}
	s.rollouts.start()
	defer s.devices.close()
	if err := s.devices.start(s.ctx); err != nil {
		return err
	}
	s.log.Info("running", "listeners", len(s.setup.listeners), "loops", len(s.paths))
	var err error
	select {
	case err = <-ended:
		s.rollouts.stop()
		err = errors.Join(fmt.Errorf("the engine has ended: %w", err), s.life.To(life.Failed, "the engine has ended"))
	case <-ctx.Done():
		err = s.drain(ended)
	}
	return errors.Join(err, s.close())
}

// drain ends the server without losing what it has accepted.
func (s *Server) drain(ended <-chan error) error {
	if err := s.life.To(life.Draining, "asked to stop"); err != nil {
		return err
	}
	s.rollouts.stop()
	s.devices.quiet()
	s.log.Info("draining", "at_most", s.cfg.Drain)
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Drain.Std())
	defer cancel()
	err := s.engine.Drain(ctx)
	s.bus.drain()
	if err == nil {
		err = <-ended
	}
	for _, p := range s.paths {
		p.dropAllHeld()
	}
	total := s.Ledger()
	s.log.Info("stopped", "in", total.In, "emitted", total.Emitted, "delivered", total.Delivered, "replied", total.Replied,
		"dead", total.Dead, "filtered", total.Filtered(), "lost", total.Lost(), "in_flight", total.InFlight(),
		"undelivered_copies", total.CopiesDropped[delivery.Draining])
	return errors.Join(err, s.life.To(life.Stopped, ""))
}

// close gives back what New has made.
func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Shutdown(ctx))
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	for _, p := range s.paths {
		errs = append(errs, p.close(ctx))
	}
	if s.plugins != nil {
		errs = append(errs, s.plugins.env.Close(ctx))
	}
	return errors.Join(errs...)
}

// Address is one address that the server listens on.
type Address struct {
	// Name is the listener's name, "api" for the API.
	Name string
	// Protocol is the frame format's name; "http" for the API, "https" with TLS.
	Protocol string
	Addr     net.Addr
}

// Addresses are those of the listeners, in the order of the configuration, and
// that of the API once Run has begun.
func (s *Server) Addresses() []Address {
	var list []Address
	for i, a := range s.engine.Addrs() {
		list = append(list, Address{s.setup.listeners[i].name, s.setup.listeners[i].protocol, a})
	}
	if s.admin != nil && s.admin.Addr() != nil {
		protocol := "http"
		if s.secrets.of(-1) != nil {
			protocol = "https"
		}
		list = append(list, Address{apiName, protocol, s.admin.Addr()})
	}
	return list
}

// State is where the server stands in its life.
func (s *Server) State() life.State {
	state, _ := s.life.State()
	return state
}

// Ledger adds up what became of all messages.
func (s *Server) Ledger() delivery.Ledger {
	var total delivery.Ledger
	for _, p := range s.paths {
		total.Add(p.published.Snapshot())
	}
	return total
}

// Bus is where the process itself can publish and subscribe, as the API does.
func (s *Server) Bus() admin.Bus { return s.bus }

// DeadLetters are the messages that could not be handled, as the API shows them.
func (s *Server) DeadLetters() admin.DeadLetters { return deadLetters{s} }

// Recorder shows messages on their way through the plugins, as the API does.
func (s *Server) Recorder() admin.Recorder { return s.recorder }

// Plugins are the plugins of the live generations, by name.
func (s *Server) Plugins() []*plugins.Plugin { return s.rollouts.livePlugins() }

// Reload reads the configuration again and puts into effect what concerns plugins,
// and the files of certificates.
// What else has changed is named in the log. On an error everything is as it was.
func (s *Server) Reload(ctx context.Context) error {
	s.secrets.reload()
	return s.rollouts.reload(ctx, false)
}

// debugging tells whether debug lines are written: the path asks before it makes
// their arguments, which would allocate for each message.
func (s *Server) debugging() bool { return s.log.Enabled(s.ctx, slog.LevelDebug) }

// publishTo is the loop that takes the API's messages of a topic: always the same
// one, so that they stay in order.
func (s *Server) publishTo(topic []byte) int {
	return int(maphash.Bytes(s.seed, topic) % uint64(len(s.paths)))
}

// Rollouts are where the process itself can change generations of plugins, as the
// API does.
func (s *Server) Rollouts() admin.Plugins { return s.rollouts }
