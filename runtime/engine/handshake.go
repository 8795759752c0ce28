package engine

import (
	"container/list"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// handshaker is a connection that has to come to terms with its peer before it
// carries bytes: a *tls.Conn.
type handshaker interface {
	net.Conn
	Handshake() error
}

// handshakes are those of one listener that are under way, each on a goroutine of
// its own. They are bounded in number and in time. Those of peers that say nothing
// cost a goroutine each and no more: only who has something to work on holds one of
// the engine's desks, of which there are as many as half of the processors.
type handshakes struct {
	max int

	mu     sync.Mutex
	silent *list.List // of *handshake, the oldest first: peers that have said nothing yet
	heard  *list.List // and those that have
	over   bool       // the engine ends: no more of them
	logged time.Time
	hidden uint64 // failures that were not logged since

	open          atomic.Int64
	done, resumed atomic.Uint64
	failed        [HandshakeFaultCount]atomic.Uint64
}

func newHandshakes(limit int) *handshakes {
	return &handshakes{max: limit, silent: list.New(), heard: list.New()}
}

// desks is how many handshakes are worked on at once: cryptography must not take
// every processor from the loops.
func desks() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// handshake is one connection's, and the connection below it: Wrap is given it. It
// leaves its desk while it waits for the peer.
type handshake struct {
	net.Conn
	all      *handshakes
	desks    chan struct{} // of the engine
	deadline time.Time     // zero for none
	ended    chan struct{} // closed when the engine ends it

	// Of the goroutine that does it:
	seated bool
	passed bool // it is over: nothing is in between any more

	// Under all.mu:
	in    *list.List // nil: it is not under way
	at    *list.Element
	spoke bool
	cause HandshakeFault // why the engine has ended it
}

// begin puts a handshake among those under way. If they are too many the one that
// has said nothing for the longest time is ended, the oldest one if all have. It
// answers false if the engine ends.
func (a *handshakes) begin(h *handshake) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	if n := a.silent.Len() + a.heard.Len(); n >= a.max {
		oldest := a.silent.Front()
		if oldest == nil {
			oldest = a.heard.Front()
		}
		oldest.Value.(*handshake).endLocked(HandshakeCrowded)
	}
	h.in, h.at = a.silent, a.silent.PushBack(h)
	a.open.Add(1)
	return true
}

// endLocked ends a handshake from outside. Hold all.mu.
func (h *handshake) endLocked(cause HandshakeFault) {
	h.in.Remove(h.at)
	h.in, h.cause = nil, cause
	h.all.open.Add(-1)
	close(h.ended)
	_ = h.Close()
}

// leave takes it from those under way. It answers false, and why, if the engine has
// ended it.
func (h *handshake) leave() (cause HandshakeFault, ok bool) {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	if h.in == nil {
		return h.cause, false
	}
	h.in.Remove(h.at)
	h.in = nil
	h.all.open.Add(-1)
	return 0, true
}

// end ends all of them, and those to come.
func (a *handshakes) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, of := range []*list.List{a.silent, a.heard} {
		for of.Len() > 0 {
			of.Front().Value.(*handshake).endLocked(HandshakeStopped)
		}
	}
}

// Read implements net.Conn.
func (h *handshake) Read(b []byte) (int, error) {
	if h.passed {
		return h.Conn.Read(b)
	}
	h.stand()
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.speaks()
		if err := h.sit(); err != nil {
			return 0, err
		}
	}
	return n, err
}

// Write implements net.Conn.
func (h *handshake) Write(b []byte) (int, error) {
	if h.passed {
		return h.Conn.Write(b)
	}
	was := h.seated
	h.stand()
	n, err := h.Conn.Write(b)
	if err == nil && was {
		err = h.sit()
	}
	return n, err
}

// speaks notes that the peer has said something.
func (h *handshake) speaks() {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	if h.in != nil && !h.spoke {
		h.spoke = true
		h.in.Remove(h.at)
		h.in, h.at = h.all.heard, h.all.heard.PushBack(h)
	}
}

// sit waits for a desk, no longer than the handshake may take.
func (h *handshake) sit() error {
	select {
	case h.desks <- struct{}{}:
		h.seated = true
		return nil
	default:
	}
	var late <-chan time.Time
	if !h.deadline.IsZero() {
		timer := time.NewTimer(time.Until(h.deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case h.desks <- struct{}{}:
		h.seated = true
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-h.ended:
		return net.ErrClosed
	}
}

func (h *handshake) stand() {
	if h.seated {
		h.seated = false
		<-h.desks
	}
}

// newHandshake is the connection that Wrap is to be given.
func (l *Loop) newHandshake(conn net.Conn, ln *listener) *handshake {
	h := &handshake{Conn: conn, all: ln.handshakes, desks: l.engine.desks, ended: make(chan struct{})}
	if d := ln.cfg.Load().HandshakeDeadline; d > 0 {
		h.deadline = time.Now().Add(d)
	}
	return h
}

// shake does the handshake of an admitted connection beside the loop, and gives it
// to the loop afterwards.
func (l *Loop) shake(conn handshaker, h *handshake, ln *listener, remote netip.AddrPort) {
	e, listener := l.engine, ln.index
	if !h.all.begin(h) {
		e.admission.leave(listener, remote.Addr())
		_ = h.Close()
		return
	}
	e.helpers.Go(func() {
		_ = h.SetDeadline(h.deadline)
		err := conn.Handshake()
		h.stand()
		if err != nil {
			h.farewell(err)
		}
		cause, ok := h.leave()
		if ok && err == nil {
			h.passed = true
			_ = h.SetDeadline(time.Time{})
			h.all.succeeded(conn)
			l.postNet(netEvent{kind: netReady, accepted: conn, listener: listener, at: ln})
			return
		}
		if ok {
			cause = handshakeFault(err)
		}
		_ = h.Close()
		e.admission.leave(listener, remote.Addr())
		ln.handshakeFailed(e, cause, remote, err)
	})
}

// farewell lets the peer read why it was refused: closing a connection with unread
// input would destroy what was said last.
func (h *handshake) farewell(err error) {
	half, ok := h.Conn.(interface{ CloseWrite() error })
	if !ok || !handshakeFault(err).said() {
		return
	}
	_ = half.CloseWrite()
	_ = h.SetDeadline(time.Now().Add(lingerTime * time.Millisecond))
	_, _ = io.CopyN(io.Discard, h.Conn, 64<<10)
}

// logEvery is how often a listener's failed handshakes are logged at most.
const logEvery = 10 * time.Second

// handshakeFailed counts one, and logs some.
func (ln *listener) handshakeFailed(e *Engine, fault HandshakeFault, remote netip.AddrPort, err error) {
	a := ln.handshakes
	a.failed[fault].Add(1)
	if fault == HandshakeHungUp || fault == HandshakeStopped {
		return
	}
	a.mu.Lock()
	now := time.Now()
	if now.Sub(a.logged) < logEvery {
		a.hidden++
		a.mu.Unlock()
		return
	}
	hidden := a.hidden
	a.logged, a.hidden = now, 0
	a.mu.Unlock()
	e.cfg.Logger.Warn("a TLS handshake failed", "listener", ln.cfg.Load().Name, "remote", remote, "reason", fault, "error", err, "more_since_last_line", hidden)
}
