package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/upstream"
)

// link is one connection to a member. Its sequence ids are its own: what an asker
// called its request says nothing here.
type link struct {
	host    *host
	slot    int
	used    int         // places taken up; under host.mu
	claimed atomic.Bool // somebody connects it
	ready   chan struct{}
	dialled error        // valid when ready is closed
	quiet   atomic.Int64 // since when there is no work, in nanoseconds

	writing sync.Mutex
	conn    net.Conn
	out     []byte

	scratch []byte // attributes of what is read

	mu      sync.Mutex
	pending map[uint64]chan result // nil for one that was given up
	lapsed  int                    // of them
	seq     uint64
	ended   error // why it is closed
}

type result struct {
	answer Answer
	err    error
}

// lapsedMost is how many requests of a link may have been given up without an answer
// having come since: then it is closed, and no late answer can be mistaken.
const lapsedMost = 256

func newLink(h *host, slot int) *link {
	l := &link{host: h, slot: slot, ready: make(chan struct{}), pending: map[uint64]chan result{}}
	l.worked()
	return l
}

// worked notes that a message has ended.
func (l *link) worked() { l.quiet.Store(time.Now().UnixNano()) }

// fail ends a link that never was connected.
func (l *link) fail(err error) {
	l.dialled = err
	close(l.ready)
}

// start begins to read; false if the link was closed meanwhile.
func (l *link) start(c net.Conn) bool {
	t := l.host.transport
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		_ = c.Close()
		l.fail(upstream.As(upstream.Cancelled, l.ended))
		return false
	}
	l.conn = c
	t.open.Add(1)
	t.opened.Add(1)
	t.readers.Add(1)
	l.mu.Unlock()
	close(l.ready)
	go func() {
		defer t.readers.Done()
		err := l.read(c)
		l.close(err)
	}()
	return true
}

// close closes the link; every message that waits for an answer fails.
func (l *link) close(why error) {
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return
	}
	l.ended = why
	pending := l.pending
	l.pending = nil
	c := l.conn
	if c != nil {
		l.host.transport.open.Add(-1) // who waits finds it gone
	}
	l.mu.Unlock()
	l.host.drop(l)
	for _, wait := range pending {
		if wait != nil {
			wait <- result{err: why}
		}
	}
	if c != nil {
		_ = c.Close() // with TLS it may take seconds
	}
}

// exchange sends a message and, if it is to be answered, waits for that.
func (l *link) exchange(ctx context.Context, m *Message, answered bool) (Answer, error) {
	t := l.host.transport
	out := m.Message
	out.Frame = nil
	var seq uint64
	var wait chan result
	if answered {
		out.Type = abi.TypeRequest
		wait = make(chan result, 1)
		var err error
		if seq, err = l.expect(wait); err != nil {
			return Answer{}, err
		}
	}
	out.Seq = seq
	l.writing.Lock()
	sent, err := l.write(ctx, &out)
	l.writing.Unlock()
	if err != nil {
		l.forget(seq, answered)
		return Answer{}, maybe(t.options.Again || !sent, upstream.Classify(err), err)
	}
	if !answered {
		return Answer{}, nil
	}
	select {
	case r := <-wait:
		return t.got(r)
	case <-ctx.Done():
	}
	if !l.giveUp(seq, wait) {
		return t.got(<-wait)
	}
	o := upstream.TimedOut
	if errors.Is(ctx.Err(), context.Canceled) {
		o = upstream.Cancelled
	}
	return Answer{}, maybe(t.options.Again, o, fmt.Errorf("no answer in time: %w", ctx.Err()))
}

// got is what came for a message.
func (t *Stream) got(r result) (Answer, error) {
	if r.err != nil {
		return Answer{}, maybe(t.options.Again, upstream.Classify(r.err), r.err)
	}
	return r.answer, nil
}

// write writes a frame; sent tells whether the member may have it.
func (l *link) write(ctx context.Context, m *abi.Message) (sent bool, err error) {
	t := l.host.transport
	l.out, err = t.options.Codec.Append(l.out[:0], m)
	if err != nil {
		return false, upstream.Final(upstream.As(upstream.Declined, fmt.Errorf("%w: %w", ErrUnencodable, err)))
	}
	until := time.Now().Add(t.options.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	_ = l.conn.SetWriteDeadline(until)
	n, err := l.conn.Write(l.out)
	sent = n == len(l.out)
	if cap(l.out) > 64<<10 {
		l.out = nil
	}
	if err != nil {
		l.close(err) // a part of a frame may be there: nothing can follow it
	}
	return sent, err
}

// expect finds a sequence id that is free, and notes who waits for its answer.
func (l *link) expect(wait chan result) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return 0, upstream.As(upstream.Broken, fmt.Errorf("the connection has ended: %w", l.ended))
	}
	if bits := l.host.transport.bits; bits > 0 {
		for {
			l.seq = (l.seq + 1) & (1<<bits - 1)
			if _, taken := l.pending[l.seq]; l.seq != 0 && !taken {
				break
			}
		}
	}
	l.pending[l.seq] = wait
	return l.seq, nil
}

// forget gives back the sequence id of a message that was not sent.
func (l *link) forget(seq uint64, answered bool) {
	if !answered {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, seq)
}

// giveUp ends the wait for an answer. Its sequence id is not used again before the
// answer has come; where there are none, or too many are given up, the link is closed. False
// if an answer, or the end of the link, was there before: it comes by wait.
func (l *link) giveUp(seq uint64, wait chan result) bool {
	l.mu.Lock()
	if l.pending[seq] != wait {
		l.mu.Unlock()
		return false
	}
	l.pending[seq] = nil
	l.lapsed++
	bits := l.host.transport.bits
	hopeless := bits == 0 || l.lapsed > min(lapsedMost, 1<<(bits-1)) || l.lapsed >= 1<<bits-1-l.host.transport.options.Pipeline
	l.mu.Unlock()
	if hopeless {
		l.close(upstream.As(upstream.TimedOut, errors.New("the connection was closed: its answers do not come")))
	}
	return true
}

// answered takes an answer to who waits for it.
func (l *link) answered(m *abi.Message) {
	t := l.host.transport
	key := uint64(0)
	if t.bits > 0 {
		key = m.Seq
		if m.Type != abi.TypeResponse && m.Type != abi.TypeAck && !t.options.Codec.RespondsBySeq() {
			t.stray.Add(1) // the member asks, or pushes: nobody listens here
			return
		}
	}
	l.mu.Lock()
	wait, ok := l.pending[key]
	delete(l.pending, key)
	if ok && wait == nil {
		l.lapsed--
	}
	l.mu.Unlock()
	if wait == nil {
		t.stray.Add(1)
		return
	}
	wait <- result{answer: Answer{Attrs: bytes.Clone(m.Attrs), Payload: bytes.Clone(m.Payload)}}
}

// read cuts frames off what the member sends until the connection ends. It never
// returns nil.
func (l *link) read(c net.Conn) error {
	t := l.host.transport
	buf := make([]byte, 0, min(16<<10, t.options.Codec.Limit()))
	probed := false
	heard := time.Now()
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= t.options.Codec.Limit() {
				return l.garbled(fmt.Errorf("%w: a frame has more than %d bytes", ErrAnswer, t.options.Codec.Limit()))
			}
			grown := make([]byte, len(buf), min(2*cap(buf), t.options.Codec.Limit()))
			copy(grown, buf)
			buf = grown
		}
		_ = c.SetReadDeadline(time.Now().Add(l.patience()))
		n, err := c.Read(buf[len(buf):cap(buf)])
		if n > 0 {
			heard, probed = time.Now(), false
		}
		buf = buf[:len(buf)+n]
		rest, fault := l.cut(buf)
		if fault != nil {
			return fault
		}
		buf = append(buf[:0], rest...)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("the connection has ended: %w", err)
			}
			if err := l.silent(time.Since(heard), &probed); err != nil {
				return err
			}
		}
	}
}

// cut takes the whole frames off b and answers what is left.
func (l *link) cut(b []byte) (rest []byte, err error) {
	t := l.host.transport
	for len(b) > 0 {
		var m abi.Message
		n, grown, err := t.options.Codec.Decode(b, l.scratch[:0], &m)
		l.scratch = grown
		if err != nil {
			return nil, l.garbled(fmt.Errorf("%w: %w", ErrAnswer, err))
		}
		if n == 0 {
			return b, nil
		}
		m.Frame = b[:n]
		b = b[n:]
		if m.Type == abi.TypeHeartbeat {
			l.beat(&m)
			continue
		}
		if t.options.Codec.IsHeartbeatReply(&m) && !l.awaits(m.Seq) {
			continue
		}
		l.answered(&m)
	}
	return nil, nil
}

func (l *link) awaits(seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.pending[seq]
	return ok
}

func (l *link) garbled(err error) error {
	l.host.transport.garbled.Add(1)
	return upstream.As(upstream.Garbled, err)
}

// beat answers a heartbeat.
func (l *link) beat(m *abi.Message) {
	if reply, ok := l.host.transport.options.Codec.AppendHeartbeatReply(nil, m); ok {
		l.raw(reply)
	}
}

// raw writes a frame that is no message.
func (l *link) raw(frame []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.host.transport.options.Timeout))
	if _, err := l.conn.Write(frame); err != nil {
		l.close(err)
	}
}

// patience is how long a read may take before it is looked what the silence means.
func (l *link) patience() time.Duration {
	o := &l.host.transport.options
	if o.Heartbeat > 0 && o.Heartbeat < o.Idle {
		return o.Heartbeat
	}
	return o.Idle
}

// silent closes a link that nobody needs or that is dead, and probes others.
func (l *link) silent(silence time.Duration, probed *bool) error {
	o := &l.host.transport.options
	l.host.mu.Lock()
	idle := l.used == 0 && time.Since(time.Unix(0, l.quiet.Load())) >= o.Idle
	if idle && l.host.links[l.slot] == l {
		l.host.links[l.slot] = nil // nobody takes it up any more
	}
	l.host.mu.Unlock()
	if idle {
		return ErrClosed
	}
	frame, beats := o.Codec.Heartbeat()
	if !beats || o.Heartbeat == 0 || silence < o.Heartbeat {
		return nil
	}
	if *probed {
		return upstream.As(upstream.TimedOut, fmt.Errorf("the connection is dead: nothing was heard for %v", silence.Round(time.Millisecond)))
	}
	*probed = true
	l.raw(frame)
	return nil
}
