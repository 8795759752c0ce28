// Package server puts weft together: it compiles the configuration, loads the
// plugins, runs the event loops with a path each, serves the API, and ends all of
// it in order. path.go is the way of a message; read it first.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
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
	// Version is this weft's, for those who look.
	Version string
	// Level, if set, is the logger's lowest level: it follows log.level.
	Level *slog.LevelVar
	// Reload reads the configuration again, for Server.Reload and for changes of
	// its file; nil for a configuration that stays as it is.
	Reload func(context.Context) (*config.Config, error)
	// CacheDir keeps compiled plugins between starts; empty keeps none.
	CacheDir string
	// Compiler starts the process that compiles plugins, where the configuration
	// wants one: a program and its arguments that end up in compiler.Serve. Empty
	// compiles them in this process.
	Compiler []string
	// Sockets are sockets that are open already, by a service manager, each listener's
	// under its name and the API's under "api": they are served instead of addresses. They
	// must stay open for as long as the process lives.
	Sockets map[string][]*os.File

	// patience is how long a server of the backbone may take nothing, and another node
	// say nothing, before they count as gone; 0 is what the backbone has. Tests set it
	// that need both to stay for as long as a slow machine takes.
	patience time.Duration
}

// Server is one weft.
type Server struct {
	log      *slog.Logger
	crowd    *slog.Logger // of lines that clients can cause as often as they like
	cfg      *config.Config
	ctx      context.Context // of plugin calls; never cancelled: metering bounds them
	current  atomic.Pointer[setup]
	secrets  *secrets
	plugins  *loaded
	rollouts *rollouts
	orders   *sanctions
	offences *offenders
	topics   *router.Trie[router.Subscriber]
	sessions *session.Registry
	requests *delivery.Requests
	mqtt     *mqttShared        // nil without MQTT listeners
	node     string             // what this weft is called among others
	backbone *backbone.Backbone // nil where nothing needs it
	durable  *durables          // nil without durable routes
	lasting  *lasting           // nil where no session of frames outlives its connection
	retained *retainedKeeper    // nil where retained messages do not outlive the process
	shared   *sharedKeys
	engine   *engine.Engine
	paths    []*path
	bus      *bus
	cluster  *cluster // nil where there can be no other nodes
	devices  *devices
	pools    *upstreams
	services *registrations
	keeper   *keeper
	fastPath *fastPath
	recorder *recorder
	tracer   *tracer // nil where nothing is traced
	admin    *admin.Server
	life     *life.Life
	journal  *journal
	overview *overview
	lines    *lineRings
	version  string
	toDrain  chan time.Duration // by the API, at most once
	started  time.Time
	level    *slog.LevelVar // nil: the log's level stays as it is
	retiring sync.WaitGroup // listeners that end
	seed     maphash.Seed
	timeouts atomic.Uint64 // requests that nobody answered in time
	lost     atomic.Uint64 // requests whose receiver went away
	unrouted uint64        // entries of logs without a route here, at the start
	// awaitUntil is until when a drain waits for clients' acknowledgements, in nanoseconds
	// since 1970.
	awaitUntil atomic.Int64
	hurry      hurry
	passed     handed
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
		log: opts.Logger, crowd: logging.Seldom(opts.Logger, crowdLines, crowdEvery), cfg: opts.Config, level: opts.Level, ctx: context.WithoutCancel(ctx),
		topics:   router.NewTrie[router.Subscriber](),
		requests: delivery.NewRequests(delivery.RequestLimits{}),
		life:     life.New(),
		seed:     maphash.MakeSeed(),
		hurry:    newHurry(),
		passed:   opts.Sockets,
	}
	s.journal, s.version, s.started = &journal{}, cmp.Or(opts.Version, "development"), time.Now()
	s.overview = newOverview(s)
	s.toDrain = make(chan time.Duration, 1)
	s.life.OnChange(s.journal.state)
	s.lines = newLineRings(sortedKeys(opts.Config.Plugins))
	s.sessions = session.NewRegistry(s.topics, session.Limits{})
	s.cluster = newCluster(s, opts.patience)
	s.cluster.observe()
	s.bus = newBus(s)
	s.devices = newDevices(opts.Config, opts.Logger, s.bus)
	s.keeper = newKeeper(opts.Config)
	s.mqtt = newMQTTShared(opts.Config)
	first, err := newSetup(opts.Config)
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	s.lasting = newLasting(s, opts.Config)
	if s.secrets, err = newSecrets(opts.Config, opts.Logger); err != nil {
		return nil, err
	}
	if s.fastPath, err = newFastPath(opts.Config, opts.Logger); err != nil {
		return nil, err
	}
	if s.pools, err = newUpstreams(opts.Config, opts.Logger, first.formats, s.secrets); err != nil {
		return nil, err
	}
	s.shared = newSharedKeys(s)
	s.orders = newSanctions(opts.Config, s.fastPath.book, s.log)
	s.offences = newOffenders(s)
	if err = s.openBackbone(ctx, opts.patience); err == nil { // plugins may ask for what it has as soon as they are loaded
		logged := opts
		logged.Logger = slog.New(s.lines.handler(opts.Logger.Handler()))
		s.plugins, err = loadPlugins(ctx, logged, s.shared.store(), s.orders.filter)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.rollouts = newRollouts(s, opts)
	s.recorder = &recorder{server: s}
	if s.tracer, err = newTracer(s, opts.Version); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.durable, err = newDurables(ctx, s, s.backbone)
	if err == nil {
		s.retained, err = newRetainedKeeper(ctx, s)
	}
	if err == nil {
		err = s.start(opts)
	}
	if err != nil {
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
	s.secrets.all.Load().wrap(listeners, s.fastPath.indices)
	if err = s.passed.check(c); err != nil {
		return err
	}
	s.passed.fill(listeners)
	s.engine, err = engine.New(engine.Config{
		Loops: c.Loops, Driver: opts.Driver, Logger: s.log,
		MaxConnections: c.Limits.Connections, MaxPerSource: c.Limits.PerSource,
	}, listeners, func(l *engine.Loop) (engine.Handler, error) {
		p, err := newPath(s, l)
		if err == nil {
			p.letters = s.keeper.box()
			s.durable.attach(p)
			if p.trace = s.tracer.path(p); p.trace != nil {
				p.tail = newPathTail(p, nil, p.trace)
				p.tapChains(nil)
			}
			s.paths = append(s.paths, p)
		}
		return p, err
	})
	if err != nil {
		return err
	}
	s.passed.tell(listeners, s.engine.Addrs(), s.log)
	if err = s.fastPath.open(c, s.engine.Addrs()); err != nil {
		return err
	}
	if s.services, err = newRegistrations(c, s.engine.Addrs(), s.log, s.secrets.all.Load()); err != nil {
		return err
	}
	if c.API.Address == "" {
		return nil
	}
	access, err := s.secrets.access()
	if err != nil {
		return err
	}
	listening, err := s.passed.api()
	if err != nil {
		return err
	}
	s.admin, err = admin.New(admin.Options{
		Listener: listening,
		Address:  c.API.Address, Access: access, Calls: c.API.Rate.Float(), MaxConnections: c.API.Connections, Hosts: c.API.Hosts, Logger: s.log,
		Bus: s.bus, Life: s.life, Sources: []admin.Source{admin.SourceFunc(s.metrics)},
		Converters: s.setup().converters, CORS: c.API.CORS,
		DeadLetters: deadLetters{s}, Logs: logsAPI{s}, Recorder: s.recorder, Backbone: spine{s}, Cluster: clusterNodes{s}, Plugins: s.rollouts, TLS: s.secrets.of(-1),
		Upstreams: s.pools, Connections: connections{s}, FastPath: s.fastPath, Overview: s.overview,
		Config: s, Listeners: s, Routes: s, Lifecycle: s, Sessions: sessionsAPI{s}, Subscriptions: subscriptions{s},
	})
	if err == nil {
		s.secrets.set = s.admin.SetAccess
	}
	return err
}

// Run serves until ctx ends, then drains: nothing new is accepted, what was
// accepted is delivered. It returns when everything is closed.
func (s *Server) Run(ctx context.Context) error {
	if err := s.cluster.start(ctx); err != nil {
		return errors.Join(err, s.life.To(life.Failed, err.Error()), s.close())
	}
	if s.admin != nil {
		if err := s.admin.Start(ctx); err != nil {
			return errors.Join(err, s.life.To(life.Failed, err.Error()), s.close())
		}
	}
	if err := s.durable.start(s.ctx); err != nil {
		return errors.Join(err, s.life.To(life.Failed, err.Error()), s.close())
	}
	s.retained.start(s.ctx)
	ended := make(chan error, 1)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() { ended <- s.engine.Run(running) }()
	defer s.keeper.start()()
	defer s.fastPath.start()()
	defer s.startCutoff()()
	defer s.secrets.start()()
	defer s.orders.start()()
	missing := s.missing()
	if err := s.life.To(life.Running, missing); err != nil {
		return err
	}
	defer s.explain(missing)()
	s.rollouts.start()
	s.pools.start(s.ctx)
	defer s.pools.close()
	defer s.devices.close()
	if err := s.devices.start(s.ctx); err != nil {
		return err
	}
	defer s.services.close()
	s.services.start(s.ctx)
	s.log.Info("running", "listeners", len(s.setup().listeners), "loops", len(s.paths))
	var err error
	select {
	case err = <-ended:
		s.rollouts.stop()
		s.services.close()
		err = errors.Join(fmt.Errorf("the engine has ended: %w", err), s.life.To(life.Failed, "the engine has ended"))
	case <-ctx.Done():
		err = s.drain(ended, s.setup().cfg.Drain.Std(), "asked to stop")
	case within := <-s.toDrain:
		err = s.drain(ended, within, "asked to stop by the API")
	}
	return errors.Join(err, s.close())
}

// drain ends the server without losing what it has accepted.
func (s *Server) drain(ended <-chan error, within time.Duration, why string) error {
	if err := s.life.To(life.Draining, why); err != nil {
		return err
	}
	s.rollouts.stop()
	s.devices.quiet()
	s.durable.quiet()
	s.log.Info("draining", "at_most", within)
	if n := s.keeper.kept(); n > 0 {
		s.log.Warn("dead letters are kept in memory and end with this process, as those do that come until then", "dead_letters", n)
	}
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	defer s.hurry.cuts(cancel)()
	// Clients that take their time do not make a drain that was cut short of it.
	s.awaitUntil.Store(time.Now().Add(within - within/4).UnixNano())
	s.services.leave(ctx)
	s.cluster.withdraw(ctx)
	before := s.unwritten()
	err := s.engine.Drain(ctx)
	s.bus.drain()
	if err == nil {
		if err = <-ended; errors.Is(err, engine.ErrStopped) {
			err = nil // it had not begun when it was drained
		}
	}
	s.pools.close()
	for _, p := range s.paths {
		p.dropAllHeld()
		p.strand()
	}
	s.durable.finish()
	total, letters, level := s.Ledger(), s.keeper.end(), slog.LevelInfo
	if letters > 0 {
		level = slog.LevelWarn
	}
	said := []any{"in", total.In, "emitted", total.Emitted, "recalled", total.Recalled, "delivered", total.Delivered, "logged", total.Logged, "replied", total.Replied,
		"dead", total.Dead, "filtered", total.Filtered(), "lost", total.Lost(), "in_flight", total.InFlight(),
		"undelivered_copies", total.CopiesDropped[delivery.Draining], "dead_letters_discarded", letters}
	if total.Lost() > 0 {
		said = append(said, "lost_by", lostBy(&total))
	}
	s.log.Log(s.ctx, level, "stopped", said...)
	if err != nil {
		err = cutShort(err, total, s.unwritten()-before)
	}
	return errors.Join(err, s.life.To(life.Stopped, ""))
}

// close gives back what New has made.
func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	defer s.hurry.cuts(cancel)()
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Shutdown(ctx))
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	s.retiring.Wait()
	if s.fastPath != nil {
		errs = append(errs, s.fastPath.close())
	}
	errs = append(errs, s.cluster.close(ctx))
	for _, p := range s.paths {
		errs = append(errs, p.close(ctx))
	}
	if s.plugins != nil {
		errs = append(errs, s.plugins.env.Close(ctx))
	}
	s.tracer.close()
	errs = append(errs, s.durable.close(ctx))
	s.retained.close()
	s.shared.close()
	if s.backbone != nil {
		errs = append(errs, s.backbone.Close(ctx))
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
	for i, l := range s.setup().each {
		if !l.gone {
			list = append(list, Address{l.name, l.protocol, s.engine.Addr(i)})
		}
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

// KeptLetters is how many dead letters are kept in memory. Any goroutine may call it.
func (s *Server) KeptLetters() uint64 { return s.keeper.kept() }

// DeadLetters are the messages that could not be handled, as the API shows them.
func (s *Server) DeadLetters() admin.DeadLetters { return deadLetters{s} }

// FastPath is where the process itself can block sources, as the API does.
func (s *Server) FastPath() admin.FastPath { return s.fastPath }

// Recorder shows messages on their way through the plugins, as the API does.
func (s *Server) Recorder() admin.Recorder { return s.recorder }

// Plugins are the plugins of the live generations, by name.
func (s *Server) Plugins() []*plugins.Plugin { return s.rollouts.livePlugins() }

// Reload reads the configuration again and puts it into effect, with the files of
// certificates: everything that is needed is made first, then the loops take it up between
// two turns, and no connection notices that is not concerned. What needs a restart is
// named in the log and by ConfigStatus. On an error everything is as it was.
func (s *Server) Reload(ctx context.Context) error {
	_, err := s.ReloadConfig(ctx, admin.BySignal)
	return err
}

// setup is what the configuration that runs has become. A loop has it as its own, which
// may be the one before for a moment.
func (s *Server) setup() *setup { return s.current.Load() }

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

// Overview shows how weft is, as the API does.
func (s *Server) Overview() admin.Overview { return s.overview }
