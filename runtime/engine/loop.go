package engine

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// source is where a loop sleeps and where its events come from.
type source interface {
	// wait sleeps until there is an event, wake was called, or the time has passed.
	wait(timeout time.Duration) error
	// events serves what wait found and what was left over, until the turn is
	// full. more says that some of it is left.
	events() (more bool)
	// wake ends wait; the only method for other goroutines.
	wake() error
	// deaf stops accepting: what has been accepted by the kernel is served first.
	deaf()
	// listen begins to accept at one listener, unlisten is deaf for one, and
	// closeSocket closes one's socket of datagrams.
	listen(ln *listener) error
	unlisten(ln *listener)
	closeSocket(ln *listener)
	// release gives back what the source holds; the loop has ended.
	release()
}

// transport moves the bytes of one connection.
type transport interface {
	// write takes what it can of the runs; full says that it takes no more until
	// the loop's writable is called.
	write(c *Conn, runs [][]byte) (n int, full bool, err error)
	// interest tells what the connection wants to hear of now.
	interest(c *Conn)
	// shutWrite closes our sending side.
	shutWrite(c *Conn)
	// forget stops watching the connection, which goes on elsewhere.
	forget(c *Conn)
	// close closes the connection and, if calm, takes care that unread input
	// does not make it a reset.
	close(c *Conn, calm bool)
}

// Loop is one event loop. Its methods belong to its own goroutine.
type Loop struct {
	engine  *Engine
	index   int
	handler Handler
	gate    Gatekeeper // the handler, if it is one
	timed   Timed      // the same
	awaiter Awaiter    // the same
	source  source
	sockets transport // of the connections of the epoll driver
	limits  []limits  // by listener

	now  int64 // ms since the engine's start, as of this turn
	wall time.Time

	table table
	slots slotTable
	wheel wheel

	arena   arena
	large   int      // bytes read into buffers of large units in this turn
	retired [][]byte // such buffers, lent until the turn ends
	pool    bytePool
	boxes   freeList[*outbox]
	lanes   freeList[*lane]
	parts   freeList[*partial]
	runs    [][]byte // for gather

	dirty []*Conn // to be written when the turn ends
	ended []*Conn // to be told to the handler
	due   []*Conn // for the wheel
	held  map[hold]struct{}
	wakes wakeHeap
	udp   []*udpSocket // by listener; nil where it is of streams

	routes  []route // to the other loops
	arrived []arrival
	net     netQueue
	funcs   chan func()

	signalled atomic.Bool // wake was called and not yet seen
	recheck   atomic.Bool // consumers have drained
	quiet     atomic.Bool // draining, and nothing is left to do
	parted    atomic.Bool // draining, and the last words are said
	worked    atomic.Uint64
	beats     atomic.Uint64 // ticks

	heard int64  // of the connection that Data is called for: when it was heard before
	idles uint16 // and its Idle calls since

	batch     int
	count     []uint64
	last      []uint64
	published atomic.Pointer[[]atomic.Uint64]

	again     bool // the next turn does not sleep
	nextTick  int64
	reads     int // turns of reading left in a drain, -1 if not draining
	readsSeen uint64
	isDeaf    bool // draining, and input is not read any more
}

func newLoop(e *Engine, index int, all []limits) *Loop {
	words := countListeners + len(all)*listenerWords
	l := &Loop{
		engine: e, index: index, limits: slices.Clone(all),
		arena:  arena{buf: make([]byte, e.cfg.TurnBytes)},
		held:   map[hold]struct{}{},
		routes: make([]route, e.cfg.Loops),
		funcs:  make(chan func(), 256),
		count:  make([]uint64, words), last: make([]uint64, words),
		reads: -1,
	}
	published := newWords(words)
	l.published.Store(&published)
	l.wheel.tick = wheelTick(all)
	return l
}

// Index is the loop's number, from 0.
func (l *Loop) Index() int { return l.index }

// Loops is the number of loops of the engine.
func (l *Loop) Loops() int { return l.engine.cfg.Loops }

// Now is the wall-clock time at which the turn began.
func (l *Loop) Now() time.Time { return l.wall }

// Conn is the connection of this loop that is called id, nil if it is gone.
func (l *Loop) Conn(id ConnID) *Conn { return l.table.get(id) }

// ListenerOf is the index of the listener of any loop's connection; false if the
// connection has ended.
func (l *Loop) ListenerOf(id ConnID) (index int, ok bool) {
	if id.Loop() == l.index {
		if c := l.table.get(id); c != nil {
			return int(c.listener), true
		}
		return 0, false
	}
	if id.Loop() >= len(l.engine.loops) {
		return 0, false
	}
	s := l.engine.loops[id.Loop()].slots.at(id.slot())
	if s == nil {
		return 0, false
	}
	index = int(s.listener.Load())
	return index, ConnID(s.id.Load()) == id
}

// Conns calls yield for every connection of the loop until that answers false.
func (l *Loop) Conns(yield func(*Conn) bool) {
	for _, c := range l.table.conns {
		if c != nil && c.state != stateClosed && !yield(c) {
			return
		}
	}
}

// Again makes the next turn follow at once: the handler has work left.
func (l *Loop) Again() { l.again = true }

func (l *Loop) log() *slog.Logger { return l.engine.cfg.Logger }

// wake makes the loop run a turn soon. Any goroutine may call it.
func (l *Loop) wake() {
	if l.signalled.Swap(true) {
		return
	}
	if err := l.source.wake(); err != nil {
		l.log().Error("a loop cannot be woken", "loop", l.index, "error", err)
	}
}

// run is the loop's life, until the engine stops.
func (l *Loop) run() error {
	l.clock()
	l.nextTick = l.now
	for !l.engine.stopping.Load() {
		timeout := time.Duration(max(l.nextWake(min(l.nextTick, (l.wheel.done+1)*l.wheel.tick)-l.now), 0)) * time.Millisecond
		if l.again || l.recheck.Load() {
			timeout = 0
		}
		if err := l.source.wait(timeout); err != nil {
			l.engine.halt() // nothing is queued behind the last look
			l.finish()
			return err
		}
		l.turn()
	}
	l.finish()
	return nil
}

func (l *Loop) clock() {
	l.wall = time.Now()
	l.now = l.wall.Sub(l.engine.start).Milliseconds() + 1 // 0 means not set
}

// turn is one turn.
func (l *Loop) turn() {
	l.clock()
	l.again = false
	l.signalled.Store(false)
	l.collect()
	if l.recheck.Swap(false) {
		l.release()
	}
	l.unpack()
	l.runFuncs()
	if l.source.events() {
		l.again = true
	}
	if l.netEvents() {
		l.again = true
	}
	l.timers()
	l.tellClosed()
	l.callTurn()
	l.post()
	l.flush()
	l.clocked()
	l.endTurn()
	if l.engine.draining.Load() {
		l.drainTurn()
	}
}

// clocked counts how long the turn has taken, and tells the handler.
func (l *Loop) clocked() {
	took := time.Since(l.wall)
	l.count[countBusy] += uint64(max(took, 0))
	if l.timed != nil {
		l.timed.Took(took)
	}
}

// timers serves the wheel and the tick.
func (l *Loop) timers() {
	if l.now/l.wheel.tick > l.wheel.done {
		l.due = l.wheel.expire(l.now, l.due[:0])
		for i, c := range l.due {
			if c.state != stateClosed {
				l.expired(c)
			}
			l.due[i] = nil
		}
	}
	l.wakeDue()
	if l.now < l.nextTick {
		return
	}
	l.nextTick = l.now + tickEvery.Milliseconds()
	l.beats.Add(1)
	l.callTick()
	l.trim()
	if len(l.held) > 0 {
		l.release()
	}
}

// trim gives back memory that was not needed since the last tick.
func (l *Loop) trim() {
	l.pool.trim()
	l.boxes.trim()
	l.lanes.trim()
	l.parts.trim()
	for i := range l.routes {
		l.routes[i].spare.trim()
	}
}

// runFuncs runs what Do has queued.
func (l *Loop) runFuncs() {
	for range len(l.funcs) {
		select {
		case fn := <-l.funcs:
			l.worked.Add(1)
			l.protect(nil, "Do", fn)
		default:
			return
		}
	}
}

// flush writes every connection that something was sent to, once.
func (l *Loop) flush() {
	l.flushUDP()
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		l.dirty[i] = nil
		c.dirty = false
		if c.state == stateClosed {
			continue
		}
		l.write(c)
		if c.state != stateClosed {
			l.show(c)
			l.settle(c)
		}
	}
	l.dirty = l.dirty[:0]
}

// settle closes a connection that was only waiting for its last byte.
func (l *Loop) settle(c *Conn) {
	if c.box != nil || c.blocked {
		return
	}
	switch {
	case c.state == stateFlushing && c.udp == nil && !c.eof:
		l.linger(c)
	case c.state == stateFlushing:
		l.shut(c, c.reason)
	case c.state == stateOpen && c.eof && c.until == 0:
		l.shut(c, ReasonPeerClosed)
	}
}

// endTurn takes back what was lent for the turn.
func (l *Loop) endTurn() {
	l.giveBack()
	l.collect()
	l.arena.used, l.large = 0, 0
	for i, b := range l.retired {
		l.pool.put(b)
		l.retired[i] = nil
	}
	l.retired = l.retired[:0]
	if len(l.ended) > 0 || len(l.dirty) > 0 {
		l.again = true
	}
	l.publish()
}
