package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi/spelling"
	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/rollout"
)

// rollouts brings new generations of plugins. Whoever asks for one builds it on his
// own goroutine (rollout_build.go), one at a time; what changes the loops
// (rollout_loops.go) and what judges (rollout_judge.go) runs on one goroutine,
// step by step, so that no two steps of a plugin ever cross.
type rollouts struct {
	server *Server
	log    *slog.Logger
	groups atomic.Pointer[map[string]*group]
	reread func(context.Context) (*config.Config, error) // nil: the configuration is not read again

	ctx    context.Context // ends when the server begins to end
	cancel context.CancelFunc
	// shape is where plugins stand, routeChains which routes have chains. They belong to
	// who holds building, and change under mu.
	shape       chainShape
	routeChains map[chainKey]bool

	steps    chan func()
	building chan struct{} // held by who builds
	busy     sync.WaitGroup
	ended    chan struct{}
	watching sync.WaitGroup

	mu      sync.RWMutex // guards what follows, and what changes in groups
	stopped bool
	watcher *watch.Watcher // nil: nothing is watched
	watched map[string]bool
	applied *config.Config // whose plugins run
	// lastRead is the SHA-256 of the file that was read last, refused or not.
	lastRead [sha256.Size]byte
	reloads  reloads
}

func newRollouts(s *Server, opts Options) *rollouts {
	r := &rollouts{
		server: s, log: s.log, reread: opts.Reload, applied: opts.Config, lastRead: opts.Config.Sum(),
		reloads: newReloads(), steps: make(chan func()), building: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	r.groups.Store(&s.plugins.groups)
	r.shape, r.routeChains = shapeOf(opts.Config), map[chainKey]bool{}
	for key, list := range s.plugins.chains {
		if len(list) > 0 && strings.HasPrefix(string(key), "route ") {
			r.routeChains[key] = true
		}
	}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	return r
}

// all are the plugins by name. The mapping is not changed.
func (r *rollouts) all() map[string]*group { return *r.groups.Load() }

// start begins to watch and to judge.
func (r *rollouts) start() {
	go r.run()
	r.watchAll()
}

// stop refuses what is asked from now on and waits for what is under way. Call it
// once, before the loops end.
func (r *rollouts) stop() {
	r.mu.Lock()
	r.stopped = true
	watcher := r.watcher
	r.mu.Unlock()
	r.cancel()
	r.watching.Wait()
	r.busy.Wait()
	<-r.ended
	if watcher != nil {
		if err := watcher.Close(); err != nil {
			r.log.Warn("the files' watcher did not close", "error", err)
		}
	}
}

// judgeEvery is how often the generations that are watched are judged.
const judgeEvery = 10 * time.Millisecond

// run takes steps and judges until the server ends.
func (r *rollouts) run() {
	defer close(r.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case step := <-r.steps:
			step()
		case <-timer.C:
			r.judge(time.Now())
		}
		if r.anyWatched() {
			timer.Reset(judgeEvery)
		} else {
			timer.Reset(time.Hour)
		}
	}
}

// errStopping is the answer to what is asked of a server that is not running.
func errStopping(state life.State) error {
	return fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
}

// begin counts a caller in whom stop waits for. The context that it returns also
// ends when the server does; done must be called.
func (r *rollouts) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state, _ := r.server.life.State(); r.stopped || state != life.Running {
		return nil, nil, errStopping(state)
	}
	r.busy.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(r.ctx, cancel)
	return ctx, func() { forget(); cancel(); r.busy.Done() }, nil
}

// build is begin for who loads plugins: one at a time.
func (r *rollouts) beginBuild(ctx context.Context) (_ context.Context, done func(), err error) {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	select {
	case r.building <- struct{}{}:
		return ctx, func() { <-r.building; end() }, nil
	case <-ctx.Done():
		defer end()
		return nil, nil, r.ending(ctx.Err())
	}
}

// ending replaces the error of a context that ended because the server does.
func (r *rollouts) ending(err error) error {
	if r.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errStopping(life.Draining)
	}
	return err
}

// do runs a step on the goroutine of the rollouts and waits for it. A step that
// has begun is waited for, whatever becomes of ctx. It fails without having run the
// step if ctx ends before.
func (r *rollouts) do(ctx context.Context, step func() error) error {
	done := make(chan error, 1)
	run := func() {
		err := errors.New("the step panicked")
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("a step of a rollout panicked", "panic", p)
			}
			done <- err
		}()
		err = step()
	}
	select {
	case r.steps <- run:
		return <-done
	case <-ctx.Done():
		return r.ending(ctx.Err())
	}
}

// group finds a plugin.
func (r *rollouts) group(name string) (*group, error) {
	if g := r.all()[name]; g != nil {
		return g, nil
	}
	hint := "weft plugin list shows those that the configuration declares"
	if near := spelling.Nearest(name, sortedKeys(r.all())); near != "" {
		hint = "did you mean " + near + "?"
	}
	return nil, fmt.Errorf("%w %.80q: %s", admin.ErrUnknownPlugin, name, hint)
}

// note keeps, logs and counts a step of a plugin's generations.
func (r *rollouts) note(level slog.Level, g *group, what string, generation uint64, cause, text string) {
	r.noteEvent(level, g, event{what: what, generation: generation, cause: cause, text: text})
}

func (r *rollouts) noteEvent(level slog.Level, g *group, e event) {
	e.time = time.Now()
	r.mu.Lock()
	g.last = e
	g.results[e.what]++
	g.history = append(g.history, e)
	if n := len(g.history) - maxHistory; n > 0 {
		g.history = slices.Delete(g.history, 0, n)
	}
	r.mu.Unlock()
	r.server.journal.rollout(g.name, &e)
	r.log.Log(r.ctx, level, "plugin generation "+e.what, "plugin", g.name, "generation", e.generation, "cause", e.cause, "text", e.text)
}

// refuse notes that a generation did not come to be, and gives the error its class. Its
// number is spent: what was logged of it stays apart from the next one's.
func (r *rollouts) refuse(g *group, number uint64, source string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return r.ending(err)
	}
	r.mu.Lock()
	live := g.live.number
	g.number = max(g.number, number)
	r.mu.Unlock()
	r.note(slog.LevelError, g, didRefuse, number, source, fmt.Sprintf("%v; generation %d goes on", err, live))
	return fmt.Errorf("%w: %w", admin.ErrRefused, err)
}

// put closes a generation that nobody uses any more.
func (r *rollouts) put(gen *generation) {
	if gen == nil {
		return
	}
	if err := gen.close(r.server.ctx); err != nil {
		r.log.Error("a generation was not closed", "plugin", gen.members[0].Name(), "generation", gen.number, "error", err)
	}
}

// retire counts what a generation did to the plugin's past. Hold mu.
func (g *group) retire(gen *generation) {
	switch {
	case gen == nil:
	case gen.shadow:
		d := gen.drift()
		d.Samples = nil
		addDrift(&g.drift, d)
	default:
		st := gen.stats()
		st.Instances, st.Resting, st.Waiting, st.Host.HTTPOpen, st.Memory = 0, 0, 0, 0, 0
		addStats(&g.past, st)
	}
}

// watch begins to watch a new generation: the candidate, or the live one. Hold mu.
func (g *group) watch(mode rollout.Mode, weight int, byHand bool, gen *generation) {
	t := &trial{mode: mode, weight: weight, byHand: byHand, since: time.Now()}
	t.manual, t.rules = t.ask(&g.section.plugin.Rollout)
	t.judge = rollout.New(mode, t.rules, t.since, g.live.counts(), gen.counts())
	g.trial = t
}
