// Package compiler turns modules into machine code, in a process of its own where it
// is given one: compiling takes a processor for as long as a loop needs it, fills a
// heap that somebody has to collect, and reads what strangers wrote.
package compiler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Why a module was not compiled. Any other error says that it could not be tried.
var (
	// ErrRefused means that the compiler does not take the module.
	ErrRefused = errors.New("the compiler refuses it")
	// ErrTooMuch means that compiling it took more time or memory than it may.
	ErrTooMuch = errors.New("compiling it takes too much")
	// ErrEnded means that the process that compiles was ended, more than once.
	ErrEnded = errors.New("the process that compiles was ended")
	// ErrClosed means that the compiler was closed.
	ErrClosed = errors.New("the compiler is closed")
)

// Config is what a [Compiler] is made of.
type Config struct {
	// Folder keeps compiled modules from one start to the next, and nobody else may
	// write there; empty keeps nothing.
	Folder string
	// Command starts a process that ends up in [Serve]: a program and its arguments.
	// Empty compiles in this process.
	Command []string
	// Env is the process's environment, beside what weft itself sets.
	Env []string
	// Memory is how many bytes of memory the process may have: 0 for DefaultMemory,
	// negative for any number. Go's runtime and its threads take up to 130 MiB of it.
	Memory int64
	// Effort is how much of a processor's time a module may take beyond what is said
	// of it: 0 for DefaultEffort.
	Effort time.Duration
	// Patience is how long a module may wait for processors that nobody else wants,
	// beside the time that it needs, before its compilation asks for a little more: 0
	// for DefaultPatience.
	Patience time.Duration
	// Idle is how long the process is kept without work: 0 for DefaultIdle.
	Idle   time.Duration
	Logger *slog.Logger // discards
}

// Defaults of a Config.
const (
	DefaultMemory   = 2 << 30
	DefaultEffort   = 10 * time.Second
	DefaultPatience = 1 * time.Second
	DefaultIdle     = 10 * time.Second
)

// Module is what a compilation needs to know besides the bytes.
type Module struct {
	Pages  uint32        // the bound of its memory, in pages of 64 KiB
	Effort time.Duration // that it takes at most, by an estimate of who has looked at it
	// Hurry says that there are no messages yet that its compilation could disturb.
	Hurry bool
}

// Counts is how modules became code, and what kept them from it.
type Counts struct {
	Child   uint64 // compiled by the process beside this one
	Process uint64 // compiled in this one
	Cache   uint64 // found in the folder
	Ended   uint64 // times that the process ended over its work
}

// Compiler compiles modules. Compile is called by one goroutine at a time, the other
// methods by any.
type Compiler struct {
	cfg    Config
	cache  wazero.CompilationCache
	folder *folder // nil: memory only
	child  *child  // nil: compiles here

	inChild, here, found atomic.Uint64
}

// New makes a compiler. It fails only if cfg.Folder cannot be used.
func New(cfg Config) (*Compiler, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.setDefaults()
	c := &Compiler{cfg: cfg}
	if cfg.Folder == "" && len(cfg.Command) == 0 {
		c.cache = wazero.NewCompilationCache()
		return c, nil
	}
	var err error
	if c.folder, c.cache, err = openFolder(cfg.Folder); err != nil {
		if cfg.Folder != "" {
			return nil, err
		}
		c.cache = wazero.NewCompilationCache()
		c.unavailable(err)
		return c, nil
	}
	if len(cfg.Command) > 0 {
		c.child = newChild(cfg, c.folder)
	}
	return c, nil
}

func (c *Config) setDefaults() {
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Effort == 0 {
		c.Effort = DefaultEffort
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
}

// Cache is for the runtimes whose modules are compiled here.
func (c *Compiler) Cache() wazero.CompilationCache { return c.cache }

// Counts tells how modules became code so far.
func (c *Compiler) Counts() Counts {
	n := Counts{Child: c.inChild.Load(), Process: c.here.Load(), Cache: c.found.Load()}
	if c.child != nil {
		n.Ended = c.child.ended.Load()
	}
	return n
}

// Compile compiles the module for a runtime that has Cache. When ctx ends, the process
// that compiles is ended; what has begun in this process is brought to its end.
func (c *Compiler) Compile(ctx context.Context, rt wazero.Runtime, wasm []byte, m Module) (wazero.CompiledModule, error) {
	if c.child == nil || c.child.off.Load() {
		return c.compileHere(ctx, rt, wasm)
	}
	if c.folder.knows(wasm) {
		if code, err := c.cached(rt, wasm); err == nil {
			c.found.Add(1)
			return code, nil
		}
	}
	var code wazero.CompiledModule
	err := c.child.compile(ctx, wasm, m, func() (err error) {
		if c.folder.private && !c.folder.safe() {
			return fmt.Errorf("the folder %s is not as it was made", c.folder.path)
		}
		if code, err = c.cached(rt, wasm); err != nil {
			return fmt.Errorf("what it compiles is not found: %w", err)
		}
		c.inChild.Add(1)
		c.folder.note(wasm)
		return nil
	})
	if err == nil || decided(err) || ctx.Err() != nil {
		return code, err
	}
	c.unavailable(err)
	return c.compileHere(ctx, rt, wasm)
}

// decided reports whether the error says that the module is not to be tried again.
func decided(err error) bool {
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrTooMuch) || errors.Is(err, ErrEnded) || errors.Is(err, ErrClosed)
}

// unavailable goes over to compiling here, for good: what keeps a process from being
// started does not go away by itself.
func (c *Compiler) unavailable(err error) {
	if c.child != nil {
		c.child.off.Store(true)
		c.child.stop()
	}
	c.cfg.Logger.Warn("plugins are compiled in this process, which costs messages a few milliseconds at times: there is no process beside it",
		"cause", err, "remedy", "let weft start itself, or say `compile: process`")
}

// cached takes what lies in the cache and compiles nothing: with several workers
// wazero asks the context, which is over, before it begins with a function. Every
// miss leaves a page of memory behind, so it is called for what should be there.
func (c *Compiler) cached(rt wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return guarded(experimental.WithCompilationWorkers(ctx, 2), rt, wasm)
}

func (c *Compiler) compileHere(ctx context.Context, rt wazero.Runtime, wasm []byte) (code wazero.CompiledModule, err error) {
	if c.folder != nil {
		if err := c.folder.ensure(); err != nil {
			return nil, err
		}
	}
	c.here.Add(1)
	quietly(func() { code, err = guarded(context.WithoutCancel(ctx), rt, wasm) })
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return code, nil
}

// guarded compiles, and takes a panic of the compiler for a refusal.
func guarded(ctx context.Context, rt wazero.Runtime, wasm []byte) (code wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			code, err = nil, fmt.Errorf("the compiler failed: %v", r)
		}
	}()
	return rt.CompileModule(ctx, wasm)
}

// Close ends the process, if there is one, and closes the cache. Close the runtimes
// first.
func (c *Compiler) Close(ctx context.Context) error {
	var err error
	if c.child != nil {
		c.child.close()
	}
	if c.folder != nil {
		err = c.folder.close()
	}
	return errors.Join(err, c.cache.Close(ctx))
}

// Program is how this program starts itself again: by the file that runs, be its name
// gone or another program's by now.
func Program() (string, error) {
	if _, err := os.Stat(ownImage); err == nil {
		return ownImage, nil
	}
	return os.Executable()
}
