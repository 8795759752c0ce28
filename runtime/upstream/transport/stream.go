package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/upstream"
)

// Codec is a frame format, as its methods of the same names describe it in package
// frame.
type Codec interface {
	Append(dst []byte, m *abi.Message) ([]byte, error)
	Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error)
	SeqBits() int
	RespondsBySeq() bool
	Heartbeat() (frame []byte, ok bool)
	AppendHeartbeatReply(dst []byte, m *abi.Message) (longer []byte, ok bool)
	IsHeartbeatReply(m *abi.Message) bool
	Limit() int
}

// StreamOptions describe frames on TCP. All but TLS, Heartbeat, Confirm and Again are
// required.
type StreamOptions struct {
	// Codec is the frame format; its Limit bounds what is read.
	Codec Codec
	// Confirm: a message that is no request is taken when the member has answered it,
	// and not when it is written.
	Confirm bool
	// Again: a message may be sent again though the member may have acted on it.
	Again bool
	// TLS puts TLS under the frames; it is asked for each connection to a host; nil: none.
	TLS func(host string) *tls.Config
	// Connections is how many there may be to a member, Pipeline how many messages each
	// may have under way where the format has sequence ids, Idle for how long one is
	// kept without work.
	Connections, Pipeline int
	Idle                  time.Duration
	// ConnectTimeout bounds making one, TLS included; Timeout writing.
	ConnectTimeout, Timeout time.Duration
	// Heartbeat is after how much silence a connection is probed where the format has
	// heartbeats, and after how much more it is closed; 0: never.
	Heartbeat time.Duration
}

// Stream is a Transport: a frame a message, over connections that are kept.
type Stream struct {
	options StreamOptions
	seed    maphash.Seed
	bits    int

	mu      sync.Mutex
	hosts   map[*upstream.Member]*host
	closed  bool
	readers sync.WaitGroup

	open           atomic.Int64
	opened         atomic.Uint64
	stray, garbled atomic.Uint64
}

// NewStream makes a transport.
func NewStream(o StreamOptions) *Stream {
	t := &Stream{options: o, seed: maphash.MakeSeed(), bits: min(o.Codec.SeqBits(), 32), hosts: map[*upstream.Member]*host{}}
	if t.bits == 0 {
		t.options.Pipeline = 1 // nothing says which message an answer is for
	} else {
		t.options.Pipeline = min(o.Pipeline, 1<<min(t.bits-1, 20))
	}
	return t
}

// host finds or makes what is kept of a member; nil when the transport is closed.
func (t *Stream) host(m *upstream.Member) *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	h := t.hosts[m]
	if h == nil {
		h = &host{transport: t, address: m.Address(), links: make([]*link, t.options.Connections)}
		t.hosts[m] = h
	}
	return h
}

// Send implements Transport.
func (t *Stream) Send(ctx context.Context, to *upstream.Member, m *Message) (Answer, error) {
	h := t.host(to)
	if h == nil {
		return Answer{}, upstream.Final(upstream.As(upstream.Cancelled, ErrClosed))
	}
	at := anySlot
	if len(m.Key) > 0 {
		at = int(maphash.Bytes(t.seed, m.Key) % uint64(t.options.Connections))
	}
	l, err := h.acquire(ctx, at)
	if err != nil {
		return Answer{}, err
	}
	answer, err := l.exchange(ctx, m, m.Asks() || t.options.Confirm)
	h.release(l)
	if !m.Asks() {
		answer = Answer{}
	}
	return answer, err
}

// dial makes a connection.
func (t *Stream) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.options.ConnectTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, upstream.As(dialOutcome(err), err)
	}
	if t.options.TLS == nil {
		return c, nil
	}
	host, _, _ := net.SplitHostPort(address)
	secure := tls.Client(c, t.options.TLS(host))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, upstream.As(dialOutcome(err), fmt.Errorf("TLS: %w", err))
	}
	return secure, nil
}

func dialOutcome(err error) upstream.Outcome {
	switch o := upstream.Classify(err); o {
	case upstream.TimedOut, upstream.Cancelled:
		return o
	}
	return upstream.Refused
}

// Check implements Transport: it makes a connection.
func (t *Stream) Check(ctx context.Context, m *upstream.Member) error {
	c, err := t.dial(ctx, m.Address())
	if err != nil {
		return err
	}
	if h := t.host(m); h != nil {
		h.welcome()
	}
	return c.Close()
}

// Sweep implements Transport: it forgets members that are gone.
func (t *Stream) Sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for m, h := range t.hosts {
		if m.Gone() && h.leave() {
			delete(t.hosts, m)
		}
	}
}

// Stats implements Transport.
func (t *Stream) Stats() Stats {
	return Stats{Open: int(t.open.Load()), Opened: t.opened.Load(), Stray: t.stray.Load(), Garbled: t.garbled.Load()}
}

// Close implements Transport.
func (t *Stream) Close() {
	t.mu.Lock()
	t.closed = true
	for _, h := range t.hosts {
		h.close()
	}
	t.mu.Unlock()
	t.readers.Wait()
}

var errBackoff = errors.New("it could not be reached a moment ago")
