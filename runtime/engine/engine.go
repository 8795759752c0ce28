package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errors of the engine.
var (
	// ErrBusy: the loop's queue of functions is full.
	ErrBusy = errors.New("engine: the loop is busy")
	// ErrStopped: the engine does not run any more.
	ErrStopped = errors.New("engine: stopped")
	// ErrAddressInUse is wrapped by the error of New about an address that another
	// socket listens on.
	ErrAddressInUse = errors.New("address in use")
	// ErrNoEpoll: the driver epoll was asked for on another system than Linux.
	ErrNoEpoll = errors.New("engine: the driver epoll needs Linux: use auto or net")
)

// Engine is a set of loops and the listeners that they serve.
type Engine struct {
	cfg       Config
	start     time.Time
	loops     []*Loop
	epoll     bool                        // the driver
	listeners atomic.Pointer[[]*listener] // by index; only grows, see live.go
	admission *admission
	desks     chan struct{} // held by handshakes that are worked on

	draining atomic.Bool // no new connections, then no new input
	parting  atomic.Bool // nothing is owed any more: last words
	stopping atomic.Bool // the loops end
	progress chan struct{}
	done     chan struct{}
	stop     chan struct{}  // closed when the loops are to end
	helpers  sync.WaitGroup // goroutines beside the loops

	mu      sync.RWMutex // held for writing to start, stop and close
	running bool
	closed  bool
}

// listener is one Listener and its sockets.
type listener struct {
	index     int
	cfg       atomic.Pointer[Listener]
	addr      net.Addr
	net       net.Listener // served through package net
	packets   *net.UDPConn // or this, datagrams
	packetNet *packetNet
	fds       []int // or one socket for each loop
	seat      chan struct{}
	passed    bool // its sockets are somebody else's as well

	handshakes *handshakes
	closing    atomic.Bool // nothing is accepted any more
	over       atomic.Bool // nor opened
	closed     bool        // its sockets are; under Engine.mu
	prepared   bool        // it is open and does not accept yet; under Engine.mu
	free       bool        // another one may have its index; under Engine.mu
}

func newListener(index int, cfg Listener) *listener {
	ln := &listener{index: index, seat: make(chan struct{}, acceptsPerTurn), handshakes: newHandshakes(cfg.MaxHandshakes), passed: len(cfg.Sockets) > 0}
	ln.cfg.Store(&cfg)
	return ln
}

// all are the listeners that there are and were, by index.
func (e *Engine) all() []*listener {
	if list := e.listeners.Load(); list != nil {
		return *list
	}
	return nil
}

// New opens the listeners and makes the loops, each with its handler. Nothing is
// accepted before Run. After an error nothing is left open.
func New(cfg Config, listeners []Listener, newHandler func(l *Loop) (Handler, error)) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// Go makes its own poller with the first timer, and ends the process if there
	// is no descriptor left for it: let it have one now.
	time.AfterFunc(time.Hour, func() {}).Stop()
	e := &Engine{
		cfg: cfg, start: time.Now(),
		progress: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{}),
		desks: make(chan struct{}, desks()),
	}
	if err := e.open(listeners, newHandler); err != nil {
		e.release()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(listeners []Listener, newHandler func(l *Loop) (Handler, error)) error {
	e.epoll = e.cfg.Driver == "epoll" || e.cfg.Driver == "auto" && haveEpoll
	if e.epoll && !haveEpoll {
		return ErrNoEpoll
	}
	var opened []*listener
	e.listeners.Store(&opened) // release closes what is in it
	listeners = slices.Clone(listeners)
	all := make([]limits, len(listeners))
	for i, cfg := range listeners {
		cfg = cfg.withDefaults()
		if err := cfg.validate(); err != nil {
			return err
		}
		ln := newListener(i, cfg)
		opened = append(opened, ln)
		if err := ln.listen(&cfg, e.epoll, e.cfg.Loops); err != nil {
			return listenError(cfg, err)
		}
		all[i] = newLimits(cfg)
		listeners[i] = cfg
	}
	e.admission = newAdmission(e.cfg, listeners)
	for i := range e.cfg.Loops {
		l := newLoop(e, i, all)
		e.loops = append(e.loops, l)
		if err := l.attach(e.epoll); err != nil {
			return fmt.Errorf("engine: loop %d: %w", i, err)
		}
		for k, ln := range opened {
			if ln.packetNet != nil {
				l.newUDP(k, ln.packetNet)
			}
		}
		handler, err := newHandler(l)
		if err != nil {
			return fmt.Errorf("engine: loop %d: %w", i, err)
		}
		l.handler = handler
		l.gate, _ = handler.(Gatekeeper)
		l.timed, _ = handler.(Timed)
		l.awaiter, _ = handler.(Awaiter)
	}
	return nil
}

// listen opens the listener's sockets.
func (ln *listener) listen(cfg *Listener, epoll bool, loops int) (err error) {
	switch {
	case cfg.isUDP() && epoll:
		ln.fds, ln.addr, err = openDatagramSockets(cfg, loops)
		return err
	case cfg.isUDP():
		if len(cfg.Sockets) > 0 {
			ln.packets, err = cfg.passedPackets()
		} else {
			ln.packets, err = listenPacket(cfg.Address)
		}
		if err == nil {
			ln.addr = ln.packets.LocalAddr()
			ln.packetNet = newPacketNet(ln.packets, ln.index)
		}
		return err
	case cfg.Listener != nil:
		ln.net = cfg.Listener
	case epoll && cfg.Wrap == nil:
		ln.fds, ln.addr, err = openSockets(cfg, loops)
		return err
	case len(cfg.Sockets) > 0:
		if ln.net, err = cfg.passedNet(); err != nil {
			return err
		}
	default:
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		if ln.net, err = lc.Listen(context.Background(), "tcp", cfg.Address); err != nil {
			return err
		}
	}
	ln.addr = ln.net.Addr()
	return nil
}

// listenError says what to do about a listener that cannot be opened.
func listenError(cfg Listener, err error) error {
	var errno syscall.Errno
	const windowsInUse = syscall.Errno(10048)
	if errors.As(err, &errno) && (errno == syscall.EADDRINUSE || errno == windowsInUse) {
		shown := "ss -ltnp"
		if cfg.isUDP() {
			shown = "ss -lunp"
		}
		return fmt.Errorf("engine: listener %s: %w: %s: stop the process that listens there (%s shows it) or choose another address",
			cfg.Name, ErrAddressInUse, cfg.Address, shown)
	}
	return fmt.Errorf("engine: listener %s: cannot listen on %s: %w", cfg.Name, cfg.Address, err)
}

// Beats are counts that grow by ten a second for each loop that lives: one that stands
// still for seconds is of a loop that hangs. Any goroutine may ask.
func (e *Engine) Beats() []uint64 {
	beats := make([]uint64, len(e.loops))
	for i, l := range e.loops {
		beats[i] = l.beats.Load()
	}
	return beats
}

// Addrs are the addresses listened on, by listener, with the ports that were
// chosen for port 0.
func (e *Engine) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(e.all()))
	for i, ln := range e.all() {
		addrs[i] = ln.addr
	}
	return addrs
}

// Loops is the number of loops.
func (e *Engine) Loops() int { return len(e.loops) }

// Run serves until ctx ends, Drain has finished, or a loop fails. When it returns
// every connection is closed, the handlers know, and no goroutine is left. It may
// be called once; after Close or Drain it answers ErrStopped.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running || e.closed {
		e.mu.Unlock()
		return ErrStopped
	}
	e.running = true
	for _, ln := range e.all() {
		e.help(ln)
	}
	e.mu.Unlock()

	failed := make(chan error, len(e.loops))
	var loops sync.WaitGroup
	for _, l := range e.loops {
		loops.Go(func() {
			if err := l.run(); err != nil {
				failed <- fmt.Errorf("engine: loop %d: %w", l.index, err)
			}
		})
	}
	unhook := context.AfterFunc(ctx, e.halt)
	loops.Wait()
	unhook()
	e.halt()
	for _, ln := range e.all() {
		if ln.packetNet != nil {
			ln.packetNet.ended() // no loop is left that sends
		}
	}
	e.helpers.Wait()
	e.mu.Lock()
	e.release()
	e.mu.Unlock()
	close(e.done)
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Close releases what New has opened, if Run was never called. Otherwise it stops
// the loops and waits for Run to return.
func (e *Engine) Close() error {
	if e.abandon() {
		return nil
	}
	e.halt()
	<-e.done
	return nil
}

// abandon releases what New has opened if the engine does not run, and sees to it that it
// will not; false if it does.
func (e *Engine) abandon() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return false
	}
	e.release()
	return true
}

// halt makes the loops end. It may be called twice. What Do has let in by then is queued.
func (e *Engine) halt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.stopping.Swap(true) {
		return
	}
	close(e.stop)
	e.wakeAll()
	for _, ln := range e.all() {
		if ln.net != nil {
			_ = ln.net.Close()
		}
		if ln.packets != nil {
			_ = ln.packets.SetReadDeadline(time.Unix(1, 0)) // what is to be sent still is
		}
		ln.handshakes.end()
	}
}

func (e *Engine) wakeAll() {
	for _, l := range e.loops {
		l.wake()
	}
}

// release closes every socket of the engine itself. The caller has the lock.
func (e *Engine) release() {
	if e.closed {
		return
	}
	e.closed = true
	for _, ln := range e.all() {
		ln.close()
	}
	for _, l := range e.loops {
		if l.source != nil {
			l.source.release()
		}
	}
}

// Do runs fn on a loop, between two turns; a turn follows it. It does not wait.
// ErrBusy means that too many are waiting already. A function that is still queued
// when the engine stops is run before Run returns.
func (e *Engine) Do(loop int, fn func()) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if loop < 0 || loop >= len(e.loops) {
		return fmt.Errorf("engine: there is no loop %d", loop)
	}
	if e.closed || e.stopping.Load() {
		return ErrStopped
	}
	l := e.loops[loop]
	select {
	case l.funcs <- fn:
		l.wake()
		return nil
	default:
		return fmt.Errorf("%w: loop %d", ErrBusy, loop)
	}
}
