package hostfuncs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// ErrConfig is wrapped by the errors of [New].
var ErrConfig = errors.New("host functions cannot be set up")

// Config is what the host functions of one plugin stand on. Only Plugin is
// required; what is nil gets the default named beside it.
type Config struct {
	Plugin  string
	Grants  Grants
	Logger  *slog.Logger // discards; every line carries plugin=Plugin
	Metrics MetricsSink  // discards
	Clock   Clock        // the system's
	Random  io.Reader    // crypto/rand.Reader
	KV      *KV          // required if kv is granted
	// HTTP carries out requests; required if http is granted. See
	// NewHTTPTransport.
	HTTP http.RoundTripper
	// Filter is where rules of sources go; required if filter is granted.
	Filter *Filter
	// Shadow makes functions without effect on anybody else: http_send answers
	// denied, what is written to kv only the plugin itself sees, rules of sources are
	// kept and not put into force, metrics are discarded. Log lines carry
	// shadow=true.
	Shadow bool
}

// Host is the host functions of one plugin, shared by all its instances. Its
// methods may be called from any goroutine.
type Host struct {
	log     *logFuncs
	metrics *metricFuncs
	clock   *clockFuncs
	random  *randomFuncs
	kv      *kvFuncs
	http    *httpFuncs
	filter  *filterFuncs
	wasi    *wasiFuncs
	effects effectScopes
}

// New makes the host functions that the grants name.
func New(cfg Config) (*Host, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = DiscardMetrics{}
	}
	if cfg.Clock == nil {
		cfg.Clock = SystemClock{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	logger := cfg.Logger.With("plugin", cfg.Plugin)
	if cfg.Shadow {
		cfg.Metrics = DiscardMetrics{}
		logger = logger.With("shadow", true)
	}
	h := &Host{}
	g := cfg.Grants
	if g.Log != nil {
		h.log = newLogFuncs(*g.Log, logger, cfg.Clock)
	}
	if g.Metrics != nil {
		h.metrics = newMetricFuncs(*g.Metrics, cfg.Plugin, cfg.Metrics)
	}
	if g.Clock != nil {
		h.clock = &clockFuncs{cfg.Clock}
	}
	if g.Random != nil {
		h.random = newRandomFuncs(*g.Random, cfg.Random, cfg.Clock)
	}
	if g.KV != nil {
		if cfg.KV == nil {
			return nil, fmt.Errorf("%w: plugin %s is granted kv, but there is no store", ErrConfig, cfg.Plugin)
		}
		space, err := cfg.KV.granted(g.KV)
		if err != nil {
			return nil, fmt.Errorf("%w: plugin %s: %w", ErrConfig, cfg.Plugin, err)
		}
		h.kv = newKVFuncs(*g.KV, space)
		g.KV.warn(logger, space)
		if cfg.Shadow {
			h.kv.space = newOverlay(space)
		}
	}
	var err error
	if g.HTTP != nil {
		if cfg.HTTP == nil {
			return nil, fmt.Errorf("%w: plugin %s is granted http, but there is no transport", ErrConfig, cfg.Plugin)
		}
		if h.http, err = newHTTPFuncs(*g.HTTP, cfg.HTTP, cfg.Shadow); err != nil {
			return nil, fmt.Errorf("%w: plugin %s: grants.http.hosts: %w", ErrConfig, cfg.Plugin, err)
		}
	}
	if g.Filter != nil {
		if cfg.Filter == nil {
			return nil, fmt.Errorf("%w: plugin %s is granted filter, but there is nothing that puts rules into force", ErrConfig, cfg.Plugin)
		}
		book := cfg.Filter.book(cfg.Plugin)
		if cfg.Shadow {
			book = newFilterBook(cfg.Plugin, cfg.Filter.clock, noRules{})
		}
		h.filter = newFilterFuncs(*g.Filter, book, cfg.Filter.clock)
	}
	if h.effects, err = newEffectScopes(g); err != nil {
		return nil, fmt.Errorf("%w: plugin %s: grants.%w", ErrConfig, cfg.Plugin, err)
	}
	if g.WASI != nil {
		h.wasi = newWASIFuncs(h.log, h.clock, h.random)
	}
	return h, nil
}

// Register puts the granted functions into the runtime, as the modules weft and, if
// wasi is granted, wasi_snapshot_preview1. They have no names there, so that a runtime
// takes any number of Hosts; a guest gets this one's by [Functions.With]. Close them
// once the last guest that has them is closed.
func (h *Host) Register(ctx context.Context, rt wazero.Runtime) (*Functions, error) {
	r := newRegistrar(rt, abi.ImportModule)
	if h.log != nil {
		h.log.register(r)
	}
	if h.metrics != nil {
		h.metrics.register(r)
	}
	if h.clock != nil {
		h.clock.register(r)
	}
	if h.random != nil {
		h.random.register(r)
	}
	if h.kv != nil {
		h.kv.register(r)
	}
	if h.http != nil {
		h.http.register(r)
	}
	if h.filter != nil {
		h.filter.register(r)
	}
	f := &Functions{}
	err := r.instantiate(ctx, &f.weft)
	if err == nil && h.wasi != nil {
		r = newRegistrar(rt, WASIModule)
		h.wasi.register(r)
		err = r.instantiate(ctx, &f.wasi)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(ctx))
	}
	return f, nil
}

// Stats is what the host functions of a plugin have counted since they were made.
type Stats struct {
	// LogLines were written; LogLimited were over the rate and were not.
	LogLines, LogLimited uint64
	// Metrics is how many metrics the plugin has; MetricsRefused how often it
	// was refused one.
	Metrics, MetricsRefused uint64
	// HTTPCalls were begun, of which HTTPAnswered brought an answer, HTTPFailed
	// none, HTTPTimeouts none in time; HTTPOpen are under way. HTTPDenied and
	// HTTPLimited were not begun: outside the granted hosts, over a limit.
	HTTPCalls, HTTPAnswered, HTTPFailed, HTTPTimeouts uint64
	HTTPDenied, HTTPLimited                           uint64
	HTTPOpen                                          int64
}

// Stats reads the counters.
func (h *Host) Stats() Stats {
	var s Stats
	if h.log != nil {
		s.LogLines, s.LogLimited = h.log.lines.Load(), h.log.limited.Load()
	}
	if h.metrics != nil {
		s.Metrics, s.MetricsRefused = h.metrics.counts()
	}
	if f := h.http; f != nil {
		s.HTTPCalls, s.HTTPAnswered, s.HTTPFailed, s.HTTPTimeouts = f.begun.Load(), f.answered.Load(), f.failed.Load(), f.timeouts.Load()
		s.HTTPDenied, s.HTTPLimited, s.HTTPOpen = f.denied.Load(), f.limited.Load(), f.open.Load()
	}
	return s
}

// registrar collects the functions of one host module.
type registrar struct {
	module  string
	runtime wazero.Runtime
	build   wazero.HostModuleBuilder
	count   int
	err     error
}

func newRegistrar(rt wazero.Runtime, module string) *registrar {
	return &registrar{module: module, runtime: rt, build: rt.NewHostModuleBuilder(module)}
}

// add registers the function of the ABI called name with the signature that the
// ABI gives it.
func (r *registrar) add(name string, fn api.GoModuleFunc) {
	for _, im := range abi.Imports {
		if im.Name == name {
			r.export(name, im.Signature, fn)
			return
		}
	}
	r.err = errors.Join(r.err, fmt.Errorf("%w: the ABI has no function %s", ErrConfig, name))
}

func (r *registrar) export(name string, sig abi.Signature, fn api.GoModuleFunc) {
	r.build.NewFunctionBuilder().WithGoModuleFunction(priced(priceOf(name), fn), valueTypes(sig.Params), valueTypes(sig.Results)).Export(name)
	r.count++
}

func (r *registrar) instantiate(ctx context.Context, to *hostModule) (err error) {
	if r.err != nil || r.count == 0 {
		return r.err
	}
	if to.code, err = r.build.Compile(ctx); err == nil {
		to.module, err = r.runtime.InstantiateModule(ctx, to.code, wazero.NewModuleConfig().WithName(""))
	}
	if err != nil {
		return fmt.Errorf("%w: module %s: %w", ErrConfig, r.module, err)
	}
	return nil
}

func valueTypes(types []abi.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}

// guestBytes is a view of length bytes of the caller's memory at pointer; it is
// valid until the guest runs again. Both come from the guest.
func guestBytes(m api.Module, pointer, length uint64) ([]byte, bool) {
	mem := m.Memory()
	if mem == nil {
		return nil, false
	}
	return mem.Read(uint32(pointer), uint32(length))
}

// result encodes a status as the i32 result of a host function.
func result(s abi.Status) uint64 { return uint64(uint32(s)) }

// result64 encodes a status as the i64 result of a host function.
func result64(s abi.Status) uint64 { return uint64(int64(s)) }
