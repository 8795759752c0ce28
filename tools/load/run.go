package load

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run under way.
type run struct {
	cfg         Config
	ctx         context.Context
	outer       context.Context // the caller's
	cancel      context.CancelCauseFunc
	epoch       time.Time
	publishers  []*publisher
	subscribers []*subscriber
	window      *window
	fanout      []uint32 // by stream: subscribers
	requests    []Counts // Request mode: by publisher
	latency     []*Histogram
	series      *series
	plan        *schedule // Open mode
	moments     []moment  // of the series

	started     int64         // when sending began; all times are nanoseconds since epoch
	deadline    int64         // when it ends
	measureFrom atomic.Int64  // latencies of what is sent, in Open mode due, from then on count
	stop        chan struct{} // closed when publishers are to stop
	closing     atomic.Bool   // connections that end now end because of us
	readers     sync.WaitGroup
}

// Run generates load as configured and reports what came back. It returns when
// all messages have arrived or been given up, at the latest Warmup + Duration +
// Timeout + Drain after the connections stand; when ctx ends; or when a
// connection fails, with the error. The result of a run that a connection has cut
// off is what was measured until then, with CutOff; it is nil where nothing was.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, epoch: time.Now(), stop: make(chan struct{}), window: newWindow(cfg.Window, cfg.Publishers)}
	r.outer = ctx
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	r.measureFrom.Store(math.MaxInt64)
	r.fanout = make([]uint32, cfg.Publishers*len(cfg.Topics))
	defer r.close()
	if err := r.connect(); err != nil {
		if cause := r.cause(); cause != nil {
			err = cause
		}
		return nil, err
	}
	unhook := context.AfterFunc(r.ctx, r.interrupt)
	defer unhook()
	if cfg.Subscribers > 0 {
		if err := r.settle(); err != nil {
			if cause := r.cause(); cause != nil {
				err = cause
			}
			return nil, err
		}
	}
	for _, p := range r.publishers {
		p.weigh(r.fanout)
	}
	if cfg.Gate != nil {
		if err := cfg.Gate(r.ctx); err != nil {
			return nil, cmp.Or(r.cause(), err)
		}
	}
	return r.measure()
}

// now is nanoseconds since the run began, never 0.
func (r *run) now() int64 { return int64(time.Since(r.epoch)) + 1 }

func (r *run) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return r.ctx.Err() != nil
	}
}

// cause is why the run was ended before its time, nil if it was not.
func (r *run) cause() error {
	if r.ctx.Err() == nil {
		return nil
	}
	return context.Cause(r.ctx)
}

// fault turns the error of a connection into that of the run: none if the run
// itself closed it.
func (r *run) fault(role string, index int, err error) error {
	switch {
	case r.closing.Load() || errors.Is(err, net.ErrClosed):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s %d: the server closed the connection", role, index)
	}
	return fmt.Errorf("%s %d: %w", role, index, err)
}

// interrupt wakes everybody who waits on a connection.
func (r *run) interrupt() {
	for _, p := range r.publishers {
		_ = p.conn.SetDeadline(time.Now()) // a closed connection needs none
	}
}

// close ends all connections and waits for their readers.
func (r *run) close() {
	r.closing.Store(true)
	for _, p := range r.publishers {
		_ = p.conn.Close()
	}
	for _, s := range r.subscribers {
		_ = s.conn.Close()
	}
	r.readers.Wait()
}

// connect opens the subscribers' connections, then the publishers'.
func (r *run) connect() error {
	for i := range r.cfg.Subscribers {
		conn, rest, err := r.dial(Peer{RoleSubscriber, r.cfg.FirstSubscriber + i, r.cfg.Subscribe[i%len(r.cfg.Subscribe)]})
		if err != nil {
			return err
		}
		s := &subscriber{
			run: r, index: i, conn: conn, rest: rest, cutter: r.cfg.Protocol.Cutter(), probes: map[int]uint64{},
			tracker: newTracker(r.cfg.Base, r.cfg.Publishers, r.cfg.Of, len(r.cfg.Topics)), checker: newChecker(&r.cfg), latency: NewHistogram(),
			stamps: stampReader{text: r.cfg.text()},
		}
		r.subscribers = append(r.subscribers, s)
		r.read(s.receive)
	}
	for i := range r.cfg.Publishers {
		conn, rest, err := r.dial(Peer{Role: RolePublisher, Index: r.cfg.Base + i})
		if err != nil {
			return err
		}
		p := &publisher{run: r, index: i, conn: conn, rest: rest, checker: newChecker(&r.cfg), wake: make(chan struct{}, 1)}
		r.publishers = append(r.publishers, p)
		if p.ring, err = newRing(&r.cfg, i); err != nil {
			return err
		}
		if r.cfg.Mode != Request {
			r.read(p.drain)
		}
	}
	return nil
}

// read runs a connection's reader; its error ends the run.
func (r *run) read(reader func() error) {
	r.readers.Go(func() {
		if err := reader(); err != nil {
			r.cancel(err)
		}
	})
}

func (r *run) dial(p Peer) (net.Conn, []byte, error) {
	return dial(r.ctx, r.cfg.Address, r.cfg.TLS, r.cfg.Protocol, p, r.cfg.Timeout)
}

// Dial connects to address and does the protocol's handshake, all within timeout.
// rest is what was read of the messages that follow.
func Dial(ctx context.Context, address string, protocol Protocol, p Peer, timeout time.Duration) (conn net.Conn, rest []byte, err error) {
	return dial(ctx, address, nil, protocol, p, timeout)
}

// dialer is a protocol that opens its connections itself.
type dialer interface {
	Dial(ctx context.Context, address string) (net.Conn, error)
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, "tcp", address)
}

func dial(ctx context.Context, address string, secret *tls.Config, protocol Protocol, p Peer, timeout time.Duration) (conn net.Conn, rest []byte, err error) {
	brief, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if d, ok := protocol.(dialer); ok {
		conn, err = d.Dial(brief, address)
	} else {
		conn, err = dialTCP(brief, address)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s %d: %w", p.Role, p.Index, err)
	}
	hurry := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) }) // a closed connection needs none
	defer hurry()
	err = conn.SetDeadline(time.Now().Add(timeout))
	if secret != nil && err == nil {
		over := tls.Client(conn, secret)
		conn, err = over, over.HandshakeContext(ctx)
	}
	if err == nil {
		if o, ok := protocol.(opener); ok {
			var inner net.Conn
			if inner, err = o.Open(conn, p); err == nil {
				conn = inner
			}
		}
	}
	if err == nil {
		rest, err = protocol.Handshake(conn, p)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil {
		return conn, rest, nil
	}
	_ = conn.Close() // the handshake's error is what matters
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", timeout, err)
	}
	return nil, nil, fmt.Errorf("%s %d: %s handshake: %w", p.Role, p.Index, protocol.Name(), err)
}

// text reports whether stamps are text.
func (c Config) text() bool { return c.Payload.Template != "" || c.Protocol.Text() }
