package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"golang.org/x/net/netutil"

	"github.com/weftrun/weft/runtime/admin/console"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/life"
)

// Options is what a Server needs.
type Options struct {
	// Address is the IP address and port to listen on; port 0 lets the system
	// choose.
	Address string
	// Listener, if set, is served instead of Address. New closes it if it fails, and
	// Shutdown otherwise.
	Listener net.Listener
	// Access says who may do what; nil lets everybody who can reach a loopback address do
	// everything.
	Access *Access
	// Calls is how many calls a second each caller may make that are not about messages;
	// 0 is no bound.
	Calls float64
	// MaxConnections is how many there may be at the same time; 0 is 1,024.
	MaxConnections int
	// Hosts are further host names under which clients may address the server,
	// besides IP addresses and localhost.
	Hosts []string
	// TLS serves by HTTPS; nil by HTTP. It must offer h2 and http/1.1.
	TLS *tls.Config
	// Logger gets what goes wrong; required.
	Logger *slog.Logger
	// Bus is what the API publishes to and subscribes at; required.
	Bus Bus
	// Plugins is what weft.v1.Plugins shows and changes; nil serves no such calls.
	Plugins Plugins
	// Life is what /healthz and /readyz follow; required.
	Life *life.Life
	// DeadLetters is what the API shows dead letters of; nil for no such service.
	DeadLetters DeadLetters
	// Logs is what the API shows the logs of durable routes of; nil for no such service.
	Logs Logs
	// Recorder is what the API records traffic by; nil for no such service.
	Recorder Recorder
	// Upstreams are the pools that the API shows; nil for no such service.
	Upstreams Upstreams
	// Backbone is what the API shows the backbone of; nil for no such service.
	Backbone Backbone
	// Cluster is what weft.v1.Cluster shows; nil for no such service.
	Cluster Cluster
	// Connections is who is connected; nil for no such service.
	Connections Connections
	// Overview is how weft is; nil for no such service.
	Overview Overview
	// Config is the configuration and what became of the last reload; nil for no such
	// service.
	Config Configuration
	// Listeners, Routes, Sessions and Subscriptions are what they are called; nil for no
	// such service each.
	Listeners     Listeners
	Routes        Routes
	Sessions      Sessions
	Subscriptions Subscriptions
	// Lifecycle is what ends weft; nil for no such service.
	Lifecycle Lifecycle
	// FastPath is who may speak to listeners; nil for no such service.
	FastPath FastPath
	// Sources are asked for their values at every scrape of /metrics.
	Sources []Source
	// Handlers are further handlers by pattern, as for http.ServeMux. They are
	// behind the same checks as everything else.
	Handlers map[string]http.Handler
	// Converters are what clients can name to convert payloads, by name, until SetConverters
	// says otherwise.
	Converters map[string]*codec.Converter
	// CORS are the origins, each scheme and host, of pages in browsers that may use
	// the API besides its own; "*" is every page.
	CORS []string
	// KeepAlive is how often a stream of events has a comment where nothing else is
	// sent, so that proxies keep the connection and a reader that has gone is found;
	// 0 is 15 s.
	KeepAlive time.Duration
	// HeaderTimeout is how long a request's line and headers may take; 0 is 5 s.
	HeaderTimeout time.Duration
	// BodyTimeout is how long a request's body may take; 0 is 30 s.
	BodyTimeout time.Duration
	// AnswerTimeout is how long a client may take none of an answer; 0 is 30 s.
	AnswerTimeout time.Duration
}

// ErrExposed is wrapped by the error about an address that is not a loopback one and
// where everybody would be let in.
var ErrExposed = errors.New("the API would be open to everybody who can reach the address")

const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	answerTimeout  = 30 * time.Second
	// defaultConnectionsOpen is how many connections there may be.
	defaultConnectionsOpen = 1024
	// maxBodyBytes bounds each message of a call, decompressed.
	maxBodyBytes = 16 << 20
)

// Server is the API's HTTP server.
type Server struct {
	options Options
	http    *http.Server
	gate    *gate
	cross   *crossing
	convert *converters
	drain   context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
	served   chan struct{}
}

// New returns a server that is not started yet. It fails where an option is
// missing, the address is malformed, or, with ErrExposed, where the address is
// not a loopback one and Access lets in who shows no credential.
func New(o Options) (s *Server, err error) {
	if o.Listener != nil {
		o.Address = o.Listener.Addr().String() // what is true there is what counts
		defer func() {
			if err != nil {
				_ = o.Listener.Close()
			}
		}()
	}
	if o.Logger == nil || o.Bus == nil || o.Life == nil {
		return nil, errors.New("API: Logger, Bus and Life are required")
	}
	at, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("API: address %.80q: expected an IP address and a port, such as 127.0.0.1:7480: %w", o.Address, err)
	}
	if !at.Addr().IsLoopback() && (o.Access == nil || o.Access.Anonymous != NoRole) {
		return nil, fmt.Errorf("%w: %s; set api.address to 127.0.0.1:%d, or name who may use it by api.tokens or api.tls.client_ca", ErrExposed, o.Address, at.Port())
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultConnectionsOpen
	}
	for _, d := range []struct {
		at *time.Duration
		or time.Duration
	}{{&o.HeaderTimeout, headerTimeout}, {&o.BodyTimeout, bodyTimeout}, {&o.AnswerTimeout, answerTimeout}, {&o.KeepAlive, keepAlive}} {
		if *d.at == 0 {
			*d.at = d.or
		}
	}
	draining, drain := context.WithCancel(context.Background())
	gate := newGate(o.Access, o.Calls, o.Logger)
	cross := &crossing{}
	known, err := newOrigins(o.CORS)
	cross.Store(known)
	convert, given := &converters{}, o.Converters
	convert.Store(&given)
	var handler http.Handler
	if err == nil {
		handler, err = newHandler(draining, o, gate, cross, convert)
	}
	if err != nil {
		drain()
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	if o.TLS == nil {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP2(true)
	}
	return &Server{
		options: o,
		drain:   drain,
		gate:    gate,
		cross:   cross,
		convert: convert,
		http: &http.Server{
			Handler:           handler,
			Protocols:         protocols,
			TLSConfig:         o.TLS.Clone(),
			ReadHeaderTimeout: o.HeaderTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

// newHandler puts every endpoint behind the same checks.
func newHandler(draining context.Context, o Options, gate *gate, cross *crossing, convert *converters) (http.Handler, error) {
	service := &messages{bus: o.Bus, logger: o.Logger, draining: draining, converters: convert, keepAlive: o.KeepAlive}
	sources := append([]Source{lifeSource(o.Life), SourceFunc(service.metrics), SourceFunc(gate.metrics)}, o.Sources...)
	scrape, calls, err := metricsHandler(sources, o.Logger)
	if err != nil {
		return nil, err
	}
	service.calls = calls
	settings := []connect.HandlerOption{
		connect.WithReadMaxBytes(maxBodyBytes),
		connect.WithCodec(strictJSON("json")),
		connect.WithCodec(strictJSON("json; charset=utf-8")),
		connect.WithInterceptors(counting{calls}, auditing{o.Logger}),
		connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, cause any) error {
			return toConnect(ctx, o.Logger, fmt.Errorf("%s panicked: %v", spec.Procedure, cause))
		}),
	}
	services := []string{weftv1connect.MessagesName}
	mux := http.NewServeMux()
	if o.Plugins != nil {
		services = append(services, weftv1connect.PluginsName)
		mux.Handle(weftv1connect.NewPluginsHandler(&pluginService{o.Plugins, o.Logger}, settings...))
	}
	if o.Logs != nil {
		mux.Handle(weftv1connect.NewLogsHandler(&logs{o.Logs, o.Logger}, settings...))
		services = append(services, weftv1connect.LogsName)
	}
	if o.DeadLetters != nil {
		mux.Handle(weftv1connect.NewDeadLettersHandler(&deadLetters{o.DeadLetters, o.Logger, draining}, settings...))
		services = append(services, weftv1connect.DeadLettersName)
	}
	if o.Recorder != nil {
		mux.Handle(weftv1connect.NewTrafficHandler(&traffic{o.Recorder, o.Logger, draining}, settings...))
		services = append(services, weftv1connect.TrafficName)
	}
	if o.Upstreams != nil {
		mux.Handle(weftv1connect.NewUpstreamsHandler(&upstreamService{o.Upstreams}, settings...))
		services = append(services, weftv1connect.UpstreamsName)
	}
	if o.Backbone != nil {
		mux.Handle(weftv1connect.NewBackboneHandler(&backboneService{o.Backbone, o.Logger}, settings...))
		services = append(services, weftv1connect.BackboneName)
	}
	if o.Cluster != nil {
		mux.Handle(weftv1connect.NewClusterHandler(&clusterService{o.Cluster}, settings...))
		services = append(services, weftv1connect.ClusterName)
	}
	if o.Connections != nil {
		mux.Handle(weftv1connect.NewConnectionsHandler(&connectionService{o.Connections, o.Logger}, settings...))
		services = append(services, weftv1connect.ConnectionsName)
	}
	if o.FastPath != nil {
		mux.Handle(weftv1connect.NewFastPathHandler(&fastPathService{o.FastPath, o.Logger}, settings...))
		services = append(services, weftv1connect.FastPathName)
	}
	if o.Overview != nil {
		mux.Handle(weftv1connect.NewOverviewHandler(&overviewService{o.Overview, o.Logger, draining}, settings...))
		services = append(services, weftv1connect.OverviewName)
	}
	services = append(services, operatorServices(mux, &o, settings)...)
	reflector := grpcreflect.NewStaticReflector(services...)
	mux.Handle(weftv1connect.NewMessagesHandler(service, settings...))
	mux.Handle(grpcreflect.NewHandlerV1(reflector, settings...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, settings...))
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("POST /v1/publish/{topic...}", service.publishHTTP)
	mux.HandleFunc("POST /v1/request/{topic...}", service.requestHTTP)
	mux.Handle("GET /v1/subscribe", cross.own(http.HandlerFunc(service.subscribeHTTP)))
	mux.Handle("GET /healthz", healthHandler(o.Life, life.State.Live))
	mux.Handle("GET /readyz", healthHandler(o.Life, life.State.Ready))
	page, err := console.New()
	if err != nil {
		return nil, err
	}
	mux.Handle(console.Prefix, page)
	mux.HandleFunc("GET /{$}", indexHandler(services))
	mux.HandleFunc("/", unknownPath(mux))
	for pattern, h := range o.Handlers {
		mux.Handle(pattern, h)
	}
	return guardAnswer(o.AnswerTimeout, guardBody(o.BodyTimeout, guardHost(o.Hosts, cross.guard(gate.guard(mux))))), nil
}

// operatorServices serves what is about this weft's parts, and answers the services' names.
func operatorServices(mux *http.ServeMux, o *Options, settings []connect.HandlerOption) (services []string) {
	if o.Config != nil {
		mux.Handle(weftv1connect.NewConfigHandler(&configService{o.Config, o.Logger}, settings...))
		services = append(services, weftv1connect.ConfigName)
	}
	if o.Listeners != nil {
		mux.Handle(weftv1connect.NewListenersHandler(&listenerService{o.Listeners}, settings...))
		services = append(services, weftv1connect.ListenersName)
	}
	if o.Routes != nil {
		mux.Handle(weftv1connect.NewRoutesHandler(&routeService{o.Routes, o.Logger}, settings...))
		services = append(services, weftv1connect.RoutesName)
	}
	if o.Sessions != nil {
		mux.Handle(weftv1connect.NewSessionsHandler(&sessionService{o.Sessions, o.Logger}, settings...))
		services = append(services, weftv1connect.SessionsName)
	}
	if o.Subscriptions != nil {
		mux.Handle(weftv1connect.NewSubscriptionsHandler(&subscriptionService{o.Subscriptions, o.Logger}, settings...))
		services = append(services, weftv1connect.SubscriptionsName)
	}
	mux.Handle(weftv1connect.NewProfilesHandler(&profilesService{logger: o.Logger}, settings...))
	services = append(services, weftv1connect.ProfilesName)
	if o.Lifecycle != nil {
		mux.Handle(weftv1connect.NewLifecycleHandler(&lifecycleService{o.Lifecycle, o.Logger}, settings...))
		services = append(services, weftv1connect.LifecycleName)
	}
	return services
}

// Start listens and serves in the background until Shutdown. It fails where the
// address cannot be listened on.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("the API server was started already")
	}
	l := s.options.Listener
	if l == nil {
		var lc net.ListenConfig
		var err error
		if l, err = lc.Listen(ctx, "tcp", s.options.Address); err != nil {
			return fmt.Errorf("API: cannot listen on %s: %w; choose another address in api.address", s.options.Address, err)
		}
	}
	l = netutil.LimitListener(l, s.options.MaxConnections)
	s.listener, s.served = l, make(chan struct{})
	go func() {
		defer close(s.served)
		if err := s.serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("the API server ended", "error", err)
		}
	}()
	return nil
}

func (s *Server) serve(l net.Listener) error {
	if s.options.TLS == nil {
		return s.http.Serve(l)
	}
	return s.http.ServeTLS(l, "", "")
}

// Addr is the address that the server listens on; nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Shutdown stops accepting, ends the subscriptions with the code unavailable,
// lets the other calls finish, and closes what is left when ctx ends. It may be
// called more than once, and without Start.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("API: calls were cut off: %w", err), s.http.Close())
	}
	s.mu.Lock()
	served := s.served
	if served == nil && s.options.Listener != nil {
		_ = s.options.Listener.Close() // nobody else does
	}
	s.mu.Unlock()
	if served != nil {
		<-served
	}
	return err
}

// SetAccess says from now on who may do what. Streams that are open stay open.
func (s *Server) SetAccess(a *Access) { s.gate.access.Store(a) }

// SetConverters has clients name these from now on. Streams that are open, and requests that
// wait, keep the ones that they began with.
func (s *Server) SetConverters(list map[string]*codec.Converter) { s.convert.Store(&list) }

// Prepare makes other bounds of the API: how many calls a second each caller may make, and
// the origins of pages that may use it, both as in Options. They hold from the call of
// apply on; streams that are open stay open.
func (s *Server) Prepare(calls float64, cors []string) (apply func(), err error) {
	known, err := newOrigins(cors)
	if err != nil {
		return nil, err
	}
	return func() {
		s.gate.calls.Store(limitCalls(calls))
		s.cross.Store(known)
	}, nil
}
