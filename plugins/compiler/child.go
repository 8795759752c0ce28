package compiler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// child is the process beside this one, as long as there is work: started with the
// first module, ended when none came for a while.
type child struct {
	cfg    Config
	folder *folder
	off    atomic.Bool   // it is of no use
	ended  atomic.Uint64 // times that it ended over its work

	closing context.Context // over once close was called
	shut    context.CancelFunc

	mu     sync.Mutex // held over a compilation
	worker *worker    // nil: does not run
	hurry  bool       // the next one takes more than what nobody wants
	idle   *time.Timer
}

const (
	tries      = 2 // processes that a module may cost
	startTime  = 30 * time.Second
	wallFactor = 20 // of the processor time that a module may take

	// patienceShare is the part of the estimate that is waited for: it is an upper one,
	// and ten times too high as a rule.
	patienceShare = 8
)

func newChild(cfg Config, f *folder) *child {
	c := &child{cfg: cfg, folder: f}
	c.closing, c.shut = context.WithCancel(context.Background())
	c.idle = time.AfterFunc(cfg.Idle, c.stop)
	c.idle.Stop()
	return c
}

// compile has the module compiled into the folder, and takes it out before the folder may
// go with its process.
func (c *child) compile(ctx context.Context, wasm []byte, m Module, take func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(wasm) > maxModule {
		return fmt.Errorf("%w: metered it takes %d bytes: at most %d are compiled", ErrTooMuch, len(wasm), maxModule)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	c.idle.Stop()
	defer c.rest()
	r := request{pages: m.Pages, effort: c.cfg.Effort + m.Effort, wasm: wasm, patience: c.cfg.Patience + m.Effort/patienceShare}
	for try := 1; ; try++ {
		r.idle = !m.Hurry && !c.hurry
		err := c.attempt(ctx, r)
		switch {
		case err == nil:
			return take()
		case errors.Is(err, ErrRefused):
			return err
		case c.closing.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return fmt.Errorf("while it was compiled: %w", ctx.Err())
		case errors.Is(err, errSlow) && r.idle:
			c.hurry, try = true, 0
			continue
		case errors.Is(err, errSlow):
			return fmt.Errorf("%w: it was not done after %v, on a machine that has no time for it", ErrTooMuch, wall(r))
		case !errors.Is(err, ErrEnded):
			return err
		}
		if c.ended.Add(1); try == tries {
			return err
		}
	}
}

// errSlow means that the answer did not come in time.
var errSlow = errors.New("no answer in time")

// attempt asks the process once. It is gone afterwards unless it has answered.
func (c *child) attempt(ctx context.Context, r request) error {
	w, err := c.running(ctx, r.idle)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, w.kill)()
	o, words, err := w.ask(r, time.Now().Add(wall(r)))
	if err == nil {
		switch o {
		case outcomeRefused:
			return fmt.Errorf("%w: %s", ErrRefused, words)
		case outcomeBroken:
			return errors.New(words)
		}
		return nil
	}
	c.worker = nil
	w.discard()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.Is(err, errWire):
		return err
	case w.code() == exitEffort:
		return fmt.Errorf("%w: more than %v of a processor's time", ErrTooMuch, r.effort)
	case w.outOfMemory():
		return fmt.Errorf("%w: more than %d MiB of memory", ErrTooMuch, c.cfg.Memory>>20)
	}
	return fmt.Errorf("%w before it had compiled the plugin (%s): has the machine run out of memory, or does somebody end it?", ErrEnded, w.how())
}

// wall is how long to wait for the answer. Who takes only what nobody wants gets
// nothing on a busy machine, and is given up soon.
func wall(r request) time.Duration {
	if r.idle {
		return r.patience
	}
	return wallFactor * r.effort
}

// running is the process, started if need be.
func (c *child) running(ctx context.Context, idle bool) (*worker, error) {
	if c.worker != nil && c.worker.idle == idle && !c.worker.gone() {
		return c.worker, c.folder.ensure()
	}
	if c.worker != nil { // who has given way once cannot take it back
		c.worker.end()
		c.worker = nil
	}
	if err := errors.Join(c.folder.drop(), c.folder.ensure()); err != nil { // a private one goes with its process
		return nil, err
	}
	w, err := startWorker(c.cfg.Command, c.cfg.Env)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, w.kill)()
	h := hello{Folder: c.folder.path, Private: c.folder.private, Memory: c.cfg.Memory, Idle: idle}
	if err := w.greet(h, time.Now().Add(startTime)); err != nil {
		w.discard()
		return nil, fmt.Errorf("the process that compiles does not begin: %w: %s", err, w.how())
	}
	w.idle = idle
	c.worker = w
	return w, nil
}

// rest lets the process go if there is nothing to do for a while.
func (c *child) rest() {
	if c.closing.Err() == nil {
		c.idle.Reset(c.cfg.Idle)
	}
}

// stop ends the process, and gives back its folder.
func (c *child) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurry = false
	if c.worker != nil {
		c.worker.end()
		c.worker = nil
	}
	_ = c.folder.drop() // what is left goes with the next one, or with the compiler
}

// close ends the process for good, over its work if it has some.
func (c *child) close() {
	c.shut()
	c.idle.Stop()
	c.stop()
}

// tail keeps the end of what is written, and may be read once the process has ended.
type tail struct{ b []byte }

const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if over := len(t.b) - tailBytes; over > tailBytes {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// first is the first line of what is left, for a log.
func (t *tail) first() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(t.b)), "\n")
	return line[:min(len(line), 200)]
}
