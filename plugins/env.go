package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/compiler"
	"github.com/weftrun/weft/plugins/sign"
)

// EnvConfig is what an [Env] is made of. Every field may be zero; what is nil
// gets the default named beside it.
type EnvConfig struct {
	// CacheDir keeps compiled plugins from one start to the next; empty keeps
	// them in memory only. Nobody else may write there.
	CacheDir string
	// Compiler starts a process that compiles plugins, beside this one: a program
	// and its arguments that end up in compiler.Serve. Empty, or a process that
	// does not start, compiles them in this process.
	Compiler []string
	Logger   *slog.Logger          // discards
	KV       *hostfuncs.KV         // a new one with Clock
	Metrics  hostfuncs.MetricsSink // discards
	Clock    hostfuncs.Clock       // the system's
	// HTTP carries out the requests of plugins that are granted http; nil is a
	// transport of hostfuncs.NewHTTPTransport.
	HTTP http.RoundTripper
	// Filter is where the rules of plugins go that are granted filter; nil is one that
	// puts nothing into force.
	Filter *hostfuncs.Filter
	// Trust is the keys whose signatures count. If RequireSigned is set, a
	// binary that none of them signed does not load; otherwise one may be
	// unsigned, and what a trusted key has signed must still be as it was.
	Trust         *sign.Trust
	RequireSigned bool
	// FuelPerMicrosecond is what a microsecond of CPU time is worth in fuel; 0
	// lets the process measure it. A test that sets it is deterministic.
	FuelPerMicrosecond float64
	CallBudget         time.Duration // DefaultCallBudget
	// KeepMemory is how many bytes of memory of instances that were closed are kept for
	// the next ones, so that a plugin can be replaced without new pages; 0 is none.
	KeepMemory int64
	// Unmetered runs plugins without any bound on their CPU time, for
	// measurements of what the bound costs.
	Unmetered bool
}

// Env is what all plugins of a process share: compiled code, the key-value
// store, metrics, the clock. Its methods may be called from any goroutine.
type Env struct {
	cfg      EnvConfig
	compiler *compiler.Compiler
	kept     *keptMemory // nil: none is kept

	compiling chan struct{} // held by who compiles: wazero does one module at a time into a shared cache
	mu        sync.Mutex    // guards what follows
	plugins   map[*Plugin]struct{}
	programs  map[programKey]*program
	idle      []*program     // of programs, those that nobody uses; the one used last is last
	states    map[string]int // by name: how large the last state was that was handed over
	closed    bool

	shared atomic.Uint64 // plugins that found their program there

	reapers sync.WaitGroup // instances that are being closed beside the loops
	reaping chan struct{}
}

// maxReaping is how many instances are closed beside the loops at the same time.
const maxReaping = 16

// NewEnv makes an environment. It fails only if CacheDir cannot be used.
func NewEnv(cfg EnvConfig) (*Env, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = hostfuncs.SystemClock{}
	}
	if cfg.KV == nil {
		cfg.KV = hostfuncs.NewKV(cfg.Clock)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = hostfuncs.DiscardMetrics{}
	}
	if cfg.HTTP == nil {
		cfg.HTTP = hostfuncs.NewHTTPTransport()
	}
	if cfg.Filter == nil {
		cfg.Filter = hostfuncs.NewFilter(cfg.Clock, nil)
	}
	if cfg.CallBudget == 0 {
		cfg.CallBudget = DefaultCallBudget
	}
	e := &Env{
		cfg: cfg, plugins: make(map[*Plugin]struct{}), programs: make(map[programKey]*program), states: make(map[string]int),
		compiling: make(chan struct{}, 1), reaping: make(chan struct{}, maxReaping),
	}
	if cfg.KeepMemory > 0 {
		e.kept = &keptMemory{most: uint64(cfg.KeepMemory)}
	}
	var err error
	if e.compiler, err = compiler.New(compiler.Config{Folder: cfg.CacheDir, Command: cfg.Compiler, Logger: cfg.Logger}); err != nil {
		return nil, fmt.Errorf("%w: the cache directory: %w", ErrSpec, err)
	}
	return e, nil
}

// Compiled is how plugins became machine code so far, and how many took what another
// one had.
func (e *Env) Compiled() (compiled compiler.Counts, shared uint64) {
	return e.compiler.Counts(), e.shared.Load()
}

// KV is the key-value store that the plugins share.
func (e *Env) KV() *hostfuncs.KV { return e.cfg.KV }

// Filter is what the plugins have said about sources.
func (e *Env) Filter() *hostfuncs.Filter { return e.cfg.Filter }

// Close closes every plugin that is left. Close the chains first: a plugin with
// living instances goes when the last of them does.
func (e *Env) Close(ctx context.Context) error {
	e.reapers.Wait()
	e.mu.Lock()
	e.closed = true
	left := make([]*Plugin, 0, len(e.plugins))
	for p := range e.plugins {
		left = append(left, p)
	}
	e.mu.Unlock()
	var errs []error
	for _, p := range left {
		errs = append(errs, p.Close(ctx))
	}
	e.mu.Lock()
	gone := e.trim()
	e.mu.Unlock()
	errs = append(errs, closePrograms(ctx, gone))
	e.kept.close()
	if idle, ok := e.cfg.HTTP.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
	return errors.Join(append(errs, e.compiler.Close(ctx))...)
}

// noteState remembers how much state a plugin had.
func (e *Env) noteState(name string, size int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[name] = size
}

// lastState is what noteState has remembered.
func (e *Env) lastState(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.states[name]
}

func (e *Env) add(p *Plugin) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("%w: the environment", ErrClosed)
	}
	e.plugins[p] = struct{}{}
	return nil
}

func (e *Env) remove(p *Plugin) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.plugins, p)
}

// LoadFolder loads every file of the folder that ends in .wasm, in the order of
// their names; a plugin is named after its file. base gives everything else. If
// one does not load, none is loaded; the error names each that failed.
func (e *Env) LoadFolder(ctx context.Context, folder string, base Spec) ([]*Plugin, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: folder %s: %w", ErrFile, folder, err)
	}
	var loaded []*Plugin
	var errs []error
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".wasm")
		if !ok || entry.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		spec := base
		spec.Name, spec.File, spec.Wasm = name, filepath.Join(folder, entry.Name()), nil
		p, err := e.Load(ctx, spec)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		loaded = append(loaded, p)
	}
	if len(errs) == 0 {
		return loaded, nil
	}
	for _, p := range slices.Backward(loaded) {
		errs = append(errs, p.Close(ctx))
	}
	return nil, errors.Join(errs...)
}
