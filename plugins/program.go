package plugins

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"

	"github.com/weftrun/weft/plugins/compiler"
	"github.com/weftrun/weft/plugins/meter"
)

// program is a binary's machine code with the runtime that it lives in. Generations of
// the same binary share it: another configuration, other grants, the way back to a
// former generation cost no reading, no metering, no compiling. It never changes.
type program struct {
	key         programKey
	description Description
	report      meter.Report
	runtime     wazero.Runtime
	code        wazero.CompiledModule
	size        int // of the binary
	users       int // plugins that have it; guarded by Env.mu
}

// programKey is what code depends on.
type programKey struct {
	sum   [sha256.Size]byte
	pages uint32 // what its memory may grow to
}

// What is kept of programs that nobody uses: those that were used last.
const (
	maxIdlePrograms = 8
	maxIdleBytes    = 32 << 20 // of their binaries
)

// program is the binary's program, for a plugin that gives it back by leave.
func (e *Env) program(ctx context.Context, p *Plugin, wasm []byte) (*program, error) {
	key := programKey{sum: p.sum, pages: p.spec.pages()}
	if g, err := e.share(key); g != nil || err != nil {
		return e.fits(ctx, g, p, err)
	}
	g := &program{key: key, size: len(wasm), users: 1}
	m, err := parse(wasm)
	if err != nil {
		return nil, err
	}
	// What can be known before anything runs comes before the work.
	if g.description, err = describe(m); err != nil {
		return nil, errors.Join(err, checkGrants(g.description, &p.spec))
	}
	if err = checkNeeds(g.description, &p.spec); err != nil {
		return nil, err
	}
	select {
	case e.compiling <- struct{}{}:
		defer func() { <-e.compiling }()
	case <-ctx.Done():
		return nil, fmt.Errorf("while another plugin was compiled: %w", ctx.Err())
	}
	if same, err := e.share(key); same != nil || err != nil { // it may have been this one
		return e.fits(ctx, same, p, err)
	}
	if wasm, err = e.rewrite(g, wasm); err != nil {
		return nil, err
	}
	if err = e.compile(ctx, g, p, wasm); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs[key] = g
	return g, nil
}

// share is a program that is there already, with one more user; nil if it is not.
func (e *Env) share(key programKey) (*program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("%w: the environment", ErrClosed)
	}
	g := e.programs[key]
	if g == nil {
		return nil, nil
	}
	if g.users == 0 {
		e.idle = slices.DeleteFunc(e.idle, func(i *program) bool { return i == g })
	}
	g.users++
	return g, nil
}

// fits gives the program to the plugin if its grants allow what it asks for.
func (e *Env) fits(ctx context.Context, g *program, p *Plugin, err error) (*program, error) {
	if err != nil {
		return nil, err
	}
	if err := checkNeeds(g.description, &p.spec); err != nil {
		return nil, errors.Join(err, e.leave(ctx, g))
	}
	e.shared.Add(1)
	return g, nil
}

// leave takes a user from the program. Those that nobody uses are kept for a while, not
// too many of them.
func (e *Env) leave(ctx context.Context, g *program) error {
	if g == nil {
		return nil
	}
	e.mu.Lock()
	if g.users--; g.users > 0 {
		e.mu.Unlock()
		return nil
	}
	e.idle = append(e.idle, g)
	gone := e.trim()
	e.mu.Unlock()
	return closePrograms(ctx, gone)
}

// trim takes out those programs that are too many. e.mu is held.
func (e *Env) trim() (gone []*program) {
	bytes := 0
	for _, g := range e.idle {
		bytes += g.size
	}
	for len(e.idle) > 0 && (e.closed || len(e.idle) > maxIdlePrograms || bytes > maxIdleBytes) {
		g := e.idle[0]
		e.idle = slices.Delete(e.idle, 0, 1)
		delete(e.programs, g.key)
		bytes -= g.size
		gone = append(gone, g)
	}
	return gone
}

func closePrograms(ctx context.Context, programs []*program) error {
	var errs []error
	for _, g := range programs {
		errs = append(errs, g.code.Close(ctx), g.runtime.Close(ctx)) // the cache keeps code that nobody closes
	}
	return errors.Join(errs...)
}

// checkNeeds holds against the specification what the binary says of itself.
func checkNeeds(d Description, s *Spec) error {
	var err error
	if d.MinMemory > s.Memory {
		err = fmt.Errorf("%w: it begins with %s, allowed are %s: raise memory, or build it with less", ErrMemory, size(d.MinMemory), size(s.Memory))
	}
	return errors.Join(err, checkGrants(d, s))
}

// rewrite puts the meter into the module.
func (e *Env) rewrite(g *program, wasm []byte) ([]byte, error) {
	if e.cfg.Unmetered {
		return wasm, nil
	}
	metered, report, err := meter.Rewrite(wasm, meter.Options{MaxPages: g.key.pages, StartFuel: startFuel, Depth: maxDepth})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompile, err)
	}
	g.report = report
	return metered, nil
}

// compile makes the program's runtime and compiles the module in it.
func (e *Env) compile(ctx context.Context, g *program, p *Plugin, wasm []byte) (err error) {
	g.runtime = wazero.NewRuntimeWithConfig(ctx, compiler.RuntimeConfig(g.key.pages).WithCompilationCache(e.compiler.Cache()))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: the compiler failed: %v", ErrCompile, r)
		}
		if err != nil {
			err = errors.Join(err, g.runtime.Close(ctx))
		}
	}()
	g.code, err = e.compiler.Compile(ctx, g.runtime, wasm, compiler.Module{
		Pages: g.key.pages, Effort: g.report.Effort, Hurry: p.spec.Generation <= 1,
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrCompile, err)
	}
	if errors.Is(err, compiler.ErrRefused) {
		err = fmt.Errorf("%w; threads, tail calls and exceptions are not supported", err)
	}
	return err
}
