package compiler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// watchEvery is how often the time that a module takes is looked at.
const watchEvery = 50 * time.Millisecond

// Serve is the process that compiles: it reads modules and answers each until its input
// ends. It lowers the priority of the whole process and bounds its memory, so it is for
// a process that does nothing else. When ctx ends, or a module takes more processor
// time than it may, it calls exit, which does not return.
func Serve(ctx context.Context, in io.Reader, out io.Writer, exit func(code int)) error {
	h, err := readHello(in)
	if err != nil {
		return fmt.Errorf("this is for weft itself, which compiles plugins beside it: %w", err)
	}
	// If weft is gone, the folder must still go. The system says so for every thread of
	// weft that ends: the second time must not end this process over the first.
	signal.Ignore(syscall.SIGPIPE)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	defer signal.Stop(ended)
	s := &serving{hello: h, exit: exit}
	s.clean = sync.OnceFunc(func() { // once: what one removes another would take for done
		if h.Private {
			_ = os.RemoveAll(h.Folder) // weft removes it, too
		}
	})
	defer s.clean()
	giveWayAll(h.Idle)
	if err := boundMemory(h.Memory); err != nil {
		return fmt.Errorf("bounding its memory to %d bytes: %w", h.Memory, err)
	}
	done := make(chan struct{})
	defer close(done)
	go s.watch(ctx, ended, done)
	if err := writeFrame(out, []byte(ready)); err != nil {
		return err
	}
	for {
		m, err := readRequest(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.allowed.Store(int64(processorTime() + m.effort))
		o, words := s.compile(ctx, m)
		s.allowed.Store(0)
		if err := writeOutcome(out, o, words); err != nil {
			return err
		}
		if len(m.wasm) > 1<<20 {
			debug.FreeOSMemory()
		}
	}
}

type serving struct {
	hello
	exit    func(int)
	clean   func()
	allowed atomic.Int64 // the processor time at which the module has had enough; 0: there is none
}

// watch ends the process when ctx ends, or a module takes too long: the compiler
// cannot be interrupted.
func (s *serving) watch(ctx context.Context, ended <-chan os.Signal, done <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		code := 1
		select {
		case <-done:
			return
		case <-ended:
		case <-ctx.Done():
		case <-tick.C:
			if allowed := s.allowed.Load(); allowed == 0 || processorTime() < time.Duration(allowed) {
				continue
			}
			code = exitEffort
		}
		s.clean()
		s.exit(code)
		return
	}
}

// compile leaves the module's code in the folder. It takes a cache of its own for each
// module: nothing of it is needed once it is written.
func (s *serving) compile(ctx context.Context, m request) (outcome, string) {
	cache, err := wazero.NewCompilationCacheWithDir(s.Folder)
	if err != nil {
		return outcomeBroken, err.Error()
	}
	defer func() { _ = cache.Close(ctx) }() // nothing of either is left open
	rt := wazero.NewRuntimeWithConfig(ctx, RuntimeConfig(m.pages).WithCompilationCache(cache))
	defer func() { _ = rt.Close(ctx) }()
	var path *fs.PathError
	switch _, err := guarded(ctx, rt, m.wasm); {
	case errors.As(err, &path):
		return outcomeBroken, err.Error()
	case err != nil:
		return outcomeRefused, err.Error()
	}
	return outcomeDone, ""
}

// RuntimeConfig is how modules are compiled: both processes must agree on it, for the
// code's name in the folder depends on it.
func RuntimeConfig(pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(pages).WithDebugInfoEnabled(false)
}
