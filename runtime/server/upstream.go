package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/upstream"
	"github.com/weftrun/weft/runtime/upstream/consul"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

// upstreams are the pools of the configuration. Each works beside the loops; see
// upstream_path.go for a message's way to one and back.
type upstreams struct {
	now   atomic.Pointer[poolSet]
	ended sync.WaitGroup

	mu      sync.Mutex // guards what follows
	running bool
	closed  bool
	retired map[*upstreamPool]bool // that still send what they have
}

// poolSet is those that there are now; it is not changed.
type poolSet struct {
	byName map[string]*upstreamPool
	list   []*upstreamPool // by name
}

// upstreamPool is one of them.
type upstreamPool struct {
	name   string
	c      config.Upstream
	stop   func()      // ends it, once it runs; what it has is still sent
	cutOff *time.Timer // cuts short what it still sends; nil while it is not to end; guarded by upstreams.mu
	sender *transport.Sender
	key    *router.Template // nil: messages have none
	path   *router.Template // nil: requests have a fixed one
	query  []queryPart
}

// queryPart is a parameter of a request's query.
type queryPart struct {
	name  string // escaped
	value *router.Template
}

func newUpstreams(cfg *config.Config, log *slog.Logger, formats map[string]*frame.Format, trust *secrets) (*upstreams, error) {
	us := &upstreams{retired: map[*upstreamPool]bool{}}
	set, err := us.made(cfg, log, formats, trust.now(), nil)
	us.now.Store(set)
	return us, err
}

// made makes the pools of a configuration, those of kept but taken from those that there
// are.
func (us *upstreams) made(cfg *config.Config, log *slog.Logger, formats map[string]*frame.Format, trust *secretSet, kept func(name string) bool) (*poolSet, error) {
	set := &poolSet{byName: map[string]*upstreamPool{}}
	var faults []error
	for name, c := range cfg.Upstreams {
		if kept != nil && kept(name) {
			if p := us.now.Load().byName[name]; p != nil {
				set.byName[name] = p
				set.list = append(set.list, p)
				continue
			}
		}
		p, err := newUpstreamPool(name, c, log, formats, trust)
		if err != nil {
			faults = append(faults, fmt.Errorf("upstreams.%s (%s): %w", name, cfg.Place("upstreams."+name), err))
			continue
		}
		set.byName[name] = p
		set.list = append(set.list, p)
	}
	slices.SortFunc(set.list, func(a, b *upstreamPool) int { return strings.Compare(a.name, b.name) })
	return set, errors.Join(faults...)
}

// find is the pool of that name; nil if there is none. It does not allocate.
func (us *upstreams) find(name []byte) *upstreamPool { return us.now.Load().byName[string(name)] }

// start runs the pools until close.
func (us *upstreams) start(ctx context.Context) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.running = true
	for _, p := range us.now.Load().list {
		us.run(ctx, p)
	}
}

// run runs a pool. Hold mu.
func (us *upstreams) run(ctx context.Context, p *upstreamPool) {
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	us.ended.Go(func() {
		p.sender.Run(ctx, longestGrace)
		us.mu.Lock()
		defer us.mu.Unlock()
		delete(us.retired, p)
		if p.cutOff != nil {
			p.cutOff.Stop() // else it would keep the pool, its queue and its counters until it is due
		}
	})
}

// longestGrace is how long a pool that ends may take for what it has, if nobody cuts it
// short.
const longestGrace = time.Hour

// take puts others into the place of those that there are. Those that are left out send
// what they have, for so long; the loops must have let go of them when settled has
// returned.
func (us *upstreams) take(ctx context.Context, set *poolSet, grace time.Duration, settled func()) {
	us.mu.Lock()
	if us.closed {
		us.mu.Unlock()
		return
	}
	former := us.now.Load()
	for _, p := range set.list {
		if former.byName[p.name] != p && us.running {
			us.run(ctx, p)
		}
	}
	us.now.Store(set)
	us.mu.Unlock()
	settled()
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, p := range former.list {
		if set.byName[p.name] == p || p.stop == nil {
			continue
		}
		us.retired[p] = true
		p.cutOff = time.AfterFunc(grace, p.sender.Abort) // first, so that it is there when the pool has ended
		p.stop()
	}
}

// close ends the pools. What they have not sent by now fails.
func (us *upstreams) close() {
	us.mu.Lock()
	us.closed = true
	for _, p := range us.now.Load().list {
		if p.stop != nil {
			p.stop()
			p.sender.Abort()
		}
	}
	for p := range us.retired {
		p.sender.Abort()
	}
	us.mu.Unlock()
	us.ended.Wait()
}

func newUpstreamPool(name string, c config.Upstream, log *slog.Logger, formats map[string]*frame.Format, trust *secretSet) (*upstreamPool, error) {
	p := &upstreamPool{name: name, c: c}
	if c.Key != "" {
		t, err := router.TextTemplate(c.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		p.key = t
	}
	secure := trust.client(poolName(name))
	var wire transport.Transport
	var err error
	if c.Protocol == config.UpstreamProtocolHTTP {
		wire, err = p.http(secure)
	} else {
		wire, err = p.stream(secure, formats)
	}
	if err != nil {
		return nil, err
	}
	options, err := poolOptions(name, &c, log, trust)
	if err != nil {
		return nil, err
	}
	if c.Health.Active != nil {
		options.Check.Checker = wire.Check
	}
	pool, err := upstream.New(options)
	if err != nil {
		return nil, err
	}
	p.sender = transport.NewSender(transport.SenderOptions{Pool: pool, Transport: wire, InFlight: c.InFlight, Queue: c.Queue, Hedged: c.Hedge > 0, Logger: log})
	return p, nil
}

// http makes the transport of a pool with HTTP, and what its paths are made of.
func (p *upstreamPool) http(secure func(host string) *tls.Config) (transport.Transport, error) {
	c, h := &p.c, p.c.HTTP
	taken, err := config.ParseCodes(h.Success)
	if err != nil {
		return nil, fmt.Errorf("http.success: %w", err)
	}
	var later config.Codes
	if h.Retry != "" {
		if later, err = config.ParseCodes(h.Retry); err != nil {
			return nil, fmt.Errorf("http.retry: %w", err)
		}
	}
	path, query, _ := strings.Cut(h.Path, "?")
	if strings.Contains(h.Path, "{") {
		if p.path, err = router.TopicTemplate(path); err != nil {
			return nil, fmt.Errorf("http.path: %w", err)
		}
		if p.query, err = queryParts(query); err != nil {
			return nil, fmt.Errorf("http.path: %w", err)
		}
	}
	o := transport.HTTPOptions{
		Method: h.Method, Path: path, Query: query, Headers: h.Headers, Attributes: h.Attributes, ContentType: h.ContentType,
		Taken: taken.Has, Later: later.Has, Again: c.RetryOn == config.RetryAny, TLS: secure,
		Connections: c.Connections.Max, Idle: c.Connections.Idle.Std(), ConnectTimeout: c.ConnectTimeout.Std(), Answer: int64(c.Answer),
		Rest: h.RetryAfter.Std(),
	}
	if c.Health.Active != nil {
		o.Check = c.Health.Active.Path
	}
	return transport.NewHTTP(o), nil
}

// queryParts divides a query with placeholders.
func queryParts(query string) ([]queryPart, error) {
	if query == "" {
		return nil, nil
	}
	var parts []queryPart
	for pair := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(pair, "=")
		part := queryPart{name: url.QueryEscape(name)}
		if text != "" {
			t, err := router.RawTemplate(text)
			if err != nil {
				return nil, err
			}
			part.value = t
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// stream makes the transport of a pool with frames.
func (p *upstreamPool) stream(secure func(host string) *tls.Config, formats map[string]*frame.Format) (transport.Transport, error) {
	c := &p.c
	f := formats[c.Frame]
	if f == nil {
		var ok bool
		if f, ok = frame.Preset(c.Frame); !ok {
			return nil, fmt.Errorf("frame: unknown frame %q", c.Frame)
		}
	}
	return transport.NewStream(transport.StreamOptions{
		Codec: f.WithLimit(int(c.Answer)), Confirm: c.Confirm, Again: c.RetryOn == config.RetryAny, TLS: secure,
		Connections: c.Connections.Max, Pipeline: c.Connections.Pipeline, Idle: c.Connections.Idle.Std(),
		ConnectTimeout: c.ConnectTimeout.Std(), Timeout: c.Timeout.Std(), Heartbeat: c.Connections.Heartbeat.Std(),
	}), nil
}

var balances = map[string]upstream.Balance{
	config.BalanceRoundRobin: upstream.RoundRobin, config.BalanceRandom: upstream.Random, config.BalanceLeast: upstream.LeastConn,
	config.BalanceWeighted: upstream.Weighted, config.BalanceHash: upstream.ConsistentHash,
}

// poolOptions are what a configuration says of everything but the wire.
func poolOptions(name string, c *config.Upstream, log *slog.Logger, trust *secretSet) (upstream.Options, error) {
	o := upstream.Options{
		Name: name, Balance: balances[c.Balance], SlowStart: c.SlowStart.Std(), Logger: log,
		Retry: upstream.Retry{
			Tries: c.Retries + 1, Timeout: c.Timeout.Std(), Pause: c.Backoff.First.Std(), MaxPause: c.Backoff.Most.Std(), Share: c.Budget.Share(),
		},
		Hedge:   upstream.Hedge{After: c.Hedge.Std()},
		Breaker: upstream.Breaker{Off: c.Breaker.Calls == 0, Window: c.Breaker.Window.Std(), Calls: c.Breaker.Calls, Share: c.Breaker.Share.Share(), Open: c.Breaker.Open.Std(), Probes: c.Breaker.Probes},
		Outlier: upstream.Outlier{Off: c.Health.Passive.Failures == 0, Failures: c.Health.Passive.Failures, Ejection: c.Health.Passive.Eject.Std(), MaxEjection: c.Health.Passive.Longest.Std(), Share: c.Health.Passive.Most.Share()},
	}
	if c.Budget == 0 {
		o.Retry.Share = -1
	}
	if c.Rate != nil {
		o.Rate = upstream.Rate{PerSecond: float64(c.Rate.Messages), Burst: c.Rate.Burst, Wait: c.Rate.Wait.Std()}
	}
	if a := c.Health.Active; a != nil {
		o.Check = upstream.Check{Interval: a.Every.Std(), Timeout: a.Timeout.Std(), Rise: a.Rise, Fall: a.Fall}
	}
	for _, m := range c.Members {
		o.Members = append(o.Members, upstream.Endpoint{Address: m.Address, Weight: m.Weight})
	}
	var err error
	o.Discoverer, err = discoverer(c, trust.client(poolConsulName(name)))
	return o, err
}

// discoverer is what finds the members; nil where they are known beforehand.
func discoverer(c *config.Upstream, secure func(host string) *tls.Config) (upstream.Discoverer, error) {
	switch d := c.DNS; {
	case d != nil && d.Type == config.DNSService:
		return upstream.Service(d.Name, upstream.DNS{Interval: d.Every.Std()}), nil
	case d != nil:
		return upstream.Host(d.Name, strconv.Itoa(d.Port), upstream.DNS{Interval: d.Every.Std()}), nil
	case c.Consul != nil:
		return consul.Service(c.Consul.Service, c.Consul.Tags, consulOptions(c.Consul.Address, c.Consul.TokenFile, c.Consul.Datacenter, c.Consul.TLS, secure))
	}
	return nil, nil
}
