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

	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/life"
)

// Options is what a Server needs.
type Options struct {
	// Address is the IP address and port to listen on; port 0 lets the system
	// choose.
	Address string
	// AllowRemote permits an address that is not a loopback one.
	AllowRemote bool
	// Hosts are further host names under which clients may address the server,
	// besides IP addresses and localhost.
	Hosts []string
	// TLS serves by HTTPS; nil by HTTP. If it lets in only clients with a verified
	// certificate, any address is permitted. It must offer h2 and http/1.1.
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
	// Recorder is what the API records traffic by; nil for no such service.
	Recorder Recorder
	// Sources are asked for their values at every scrape of /metrics.
	Sources []Source
	// Handlers are further handlers by pattern, as for http.ServeMux. They are
	// behind the same checks as everything else.
	Handlers map[string]http.Handler
	// Converters are what clients can name to convert payloads, by name.
	Converters map[string]*codec.Converter
	// CORS are the origins, each scheme and host, of pages in browsers that may use
	// the API besides its own; "*" is every page.
	CORS []string
	// KeepAlive is how often a stream of events has a comment where nothing else is
	// sent, so that proxies keep the connection and a reader that has gone is found;
	// 0 is 15 s.
	KeepAlive time.Duration
	// BodyTimeout is how long a request's body may take; 0 is 30 s.
	BodyTimeout time.Duration
}

// ErrExposed is wrapped by the error about an address that is not a loopback one
// and was not explicitly allowed.
var ErrExposed = errors.New("the API would be open to everybody who can reach the address")

const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	// maxBodyBytes bounds each message of a call, decompressed.
	maxBodyBytes = 16 << 20
)

// Server is the API's HTTP server.
type Server struct {
	options Options
	http    *http.Server
	drain   context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
	served   chan struct{}
}

// New returns a server that is not started yet. It fails where an option is
// missing, the address is malformed, or, with ErrExposed, where the address is
// not a loopback one and AllowRemote is not set.
func New(o Options) (*Server, error) {
	if o.Logger == nil || o.Bus == nil || o.Life == nil {
		return nil, errors.New("API: Logger, Bus and Life are required")
	}
	at, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("API: address %.80q: expected an IP address and a port, such as 127.0.0.1:7480: %w", o.Address, err)
	}
	guarded := o.TLS != nil && o.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	if !at.Addr().IsLoopback() && !o.AllowRemote && !guarded {
		return nil, fmt.Errorf("%w: %s; set api.address to 127.0.0.1:%d, let in only clients with a certificate by api.tls, or set api.allow_remote to true if a firewall protects it", ErrExposed, o.Address, at.Port())
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = bodyTimeout
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = keepAlive
	}
	draining, drain := context.WithCancel(context.Background())
	handler, err := newHandler(draining, o)
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
		http: &http.Server{
			Handler:           handler,
			Protocols:         protocols,
			TLSConfig:         o.TLS.Clone(),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

// newHandler puts every endpoint behind the same checks.
func newHandler(draining context.Context, o Options) (http.Handler, error) {
	service := &messages{bus: o.Bus, logger: o.Logger, draining: draining, converters: o.Converters, keepAlive: o.KeepAlive}
	cross, err := newOrigins(o.CORS)
	if err != nil {
		return nil, err
	}
	sources := append([]Source{lifeSource(o.Life), SourceFunc(service.metrics)}, o.Sources...)
	scrape, calls, err := metricsHandler(sources, o.Logger)
	if err != nil {
		return nil, err
	}
	service.calls = calls
	settings := []connect.HandlerOption{
		connect.WithReadMaxBytes(maxBodyBytes),
		connect.WithCodec(strictJSON("json")),
		connect.WithCodec(strictJSON("json; charset=utf-8")),
		connect.WithInterceptors(counting{calls}),
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
	if o.DeadLetters != nil {
		mux.Handle(weftv1connect.NewDeadLettersHandler(&deadLetters{o.DeadLetters, o.Logger, draining}, settings...))
		services = append(services, weftv1connect.DeadLettersName)
	}
	if o.Recorder != nil {
		mux.Handle(weftv1connect.NewTrafficHandler(&traffic{o.Recorder, o.Logger, draining}, settings...))
		services = append(services, weftv1connect.TrafficName)
	}
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
	mux.HandleFunc("GET /{$}", indexHandler(services))
	mux.HandleFunc("/", unknownPath(mux))
	for pattern, h := range o.Handlers {
		mux.Handle(pattern, h)
	}
	return guardHost(o.Hosts, cross.guard(guardBody(o.BodyTimeout, mux))), nil
}

// Start listens and serves in the background until Shutdown. It fails where the
// address cannot be listened on.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("the API server was started already")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("API: cannot listen on %s: %w; choose another address in api.address", s.options.Address, err)
	}
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
	s.mu.Unlock()
	if served != nil {
		<-served
	}
	return err
}
