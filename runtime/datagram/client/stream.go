// Package client is the client's end of mcp-dgram over a UDP socket.
package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

// maxIncoming is how many received bytes wait for Read before the server is told to
// wait.
const maxIncoming = 1 << 20

// linger is how long Close waits for what was sent to be acknowledged.
const linger = 3 * time.Second

// Stream is a connection as a net.Conn that carries messages in a row, as
// datagram.Codec writes and reads them. Write takes whole messages and waits while the
// server takes no more; Read gives bytes of messages. Both may be called at the same
// time.
type Stream struct {
	socket *socket
	start  time.Time

	mu        sync.Mutex
	readable  sync.Cond // something came, or it is over
	writable  sync.Cond // there is room
	conn      *datagram.Conn
	counters  datagram.Counters
	in        []byte
	at        int // what of in was read
	scratch   []byte
	partial   []byte // of a message that Write was given in part
	timer     *time.Timer
	due       int64 // when it fires
	err       error
	closed    bool // Close was called
	gone      bool // and has said goodbye
	late      bool // it has taken too long
	readTime  time.Time
	writeTime time.Time
	alarms    [2]*time.Timer
	done      chan struct{}
}

// Dial shakes hands with a server at host:port. The zero Config will do.
func Dial(ctx context.Context, address string, cfg datagram.Config) (*Stream, error) {
	if cfg.Keepalive == 0 {
		cfg.Keepalive = 10 * time.Second
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, at)
	if err != nil {
		return nil, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Stream{socket: newSocket(conn), start: time.Now(), done: make(chan struct{})}
	s.readable.L, s.writable.L = &s.mu, &s.mu
	s.timer = time.AfterFunc(time.Hour, s.expire)
	s.conn = datagram.Dial(s.now(), cfg, binary.BigEndian.Uint64(id[:])|1, s, &s.counters)
	go s.receive()
	if err := s.greet(ctx); err != nil {
		_ = s.shut(0)
		return nil, fmt.Errorf("no connection with %s: %w", address, err)
	}
	return s, nil
}

// greet waits until the connection stands.
func (s *Stream) greet(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail(ctx.Err())
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	for s.err == nil && !s.conn.Established() {
		s.writable.Wait()
	}
	return s.err
}

func (s *Stream) now() int64 { return int64(time.Since(s.start)) + 1 }

// receive reads datagrams until the socket is closed.
func (s *Stream) receive() {
	defer close(s.done)
	for {
		list, err := s.socket.read()
		s.mu.Lock()
		if err != nil {
			over := errors.Is(err, net.ErrClosed)
			if over {
				s.fail(net.ErrClosed)
			}
			s.mu.Unlock()
			if over {
				return
			}
			time.Sleep(time.Millisecond) // nobody listens there: the handshake or GiveUp decides
			continue
		}
		now := s.now()
		for len(list) > 0 {
			n := min(s.socket.segment, len(list))
			if err := s.conn.Receive(now, list[:n]); err != nil && s.conn.Err() != nil {
				s.fail(err)
			}
			list = list[n:]
		}
		s.flush()
		s.tell()
		s.mu.Unlock()
	}
}

// tell wakes those who may go on.
func (s *Stream) tell() {
	if s.at < len(s.in) || s.err != nil {
		s.readable.Broadcast()
	}
	s.writable.Broadcast()
}

// Message implements datagram.Sink.
func (s *Stream) Message(m datagram.Message) {
	if len(m.Payload) > datagram.MaxPayload {
		s.fail(datagram.ErrTooLong)
		return
	}
	s.in = datagram.AppendRecord(s.in, m)
	if len(s.in)-s.at > maxIncoming {
		s.conn.Pause()
	}
}

// Datagram implements datagram.Out.
func (s *Stream) Datagram(b []byte) { s.socket.queue(b) }

// flush sends what is due and sets the timer. Hold mu.
func (s *Stream) flush() {
	s.scratch = s.conn.Flush(s.now(), s.scratch[:0], s)
	s.socket.flush()
	if at, ok := s.conn.Deadline(); ok && (s.due == 0 || at < s.due) {
		s.due = at
		s.timer.Reset(time.Duration(max(at-s.now(), 0)))
	}
}

// expire is the timer's.
func (s *Stream) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = 0
	if s.gone {
		return
	}
	if at, ok := s.conn.Deadline(); ok && at <= s.now() {
		if err := s.conn.Expire(s.now()); err != nil {
			s.fail(err)
		}
	}
	s.flush()
	s.tell()
}

// fail ends the stream. Hold mu.
func (s *Stream) fail(err error) {
	if s.err == nil {
		s.err = err
		s.readable.Broadcast()
		s.writable.Broadcast()
	}
}

// Read implements net.Conn. What had arrived is read before an error.
func (s *Stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.at == len(s.in) {
		switch {
		case s.err != nil:
			return 0, s.err
		case s.closed:
			return 0, net.ErrClosed
		case !s.readTime.IsZero() && !time.Now().Before(s.readTime):
			return 0, os.ErrDeadlineExceeded
		}
		s.readable.Wait()
	}
	n := copy(b, s.in[s.at:])
	if s.at += n; s.at == len(s.in) {
		s.in, s.at = s.in[:0], 0
	} else if s.at > maxIncoming {
		s.in, s.at = s.in[:copy(s.in, s.in[s.at:])], 0
	}
	if s.conn.Paused() && len(s.in)-s.at < maxIncoming/2 && s.err == nil {
		if err := s.conn.Resume(); err != nil {
			s.fail(err)
		}
		s.flush()
	}
	return n, nil
}

// Write implements net.Conn. It returns when everything is queued; what is not a whole
// message waits for its rest.
func (s *Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.past() {
		return 0, os.ErrDeadlineExceeded
	}
	whole := len(b)
	rest := b
	if len(s.partial) > 0 {
		s.partial = append(s.partial, b...)
		rest = s.partial
	}
	for {
		m, size := datagram.ParseRecord(rest)
		if size == 0 {
			break
		}
		if err := s.send(m); err != nil {
			s.flush()
			return max(whole-len(rest), 0), err
		}
		rest = rest[size:]
	}
	s.partial = append(s.partial[:0], rest...)
	s.flush()
	return whole, nil
}

// past tells whether the deadline of Write is over. Hold mu.
func (s *Stream) past() bool { return !s.writeTime.IsZero() && !time.Now().Before(s.writeTime) }

// send queues one message as soon as there is room. Hold mu.
func (s *Stream) send(m datagram.Message) error {
	for {
		switch {
		case s.err != nil:
			return s.err
		case s.closed:
			return net.ErrClosed
		}
		if err := s.conn.Send(m); !errors.Is(err, datagram.ErrFull) {
			return err
		}
		if s.past() {
			return os.ErrDeadlineExceeded
		}
		s.flush()
		s.writable.Wait()
	}
}

// Flush waits until everything that was written is acknowledged, at most a few
// seconds.
func (s *Stream) Flush() error {
	late := false
	timer := time.AfterFunc(linger, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.writable.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn.Queued() > 0 && s.err == nil && !late {
		s.writable.Wait()
	}
	if late && s.err == nil {
		return os.ErrDeadlineExceeded
	}
	return s.err
}

// Close implements net.Conn: it waits a while for what was sent to be acknowledged,
// and says goodbye.
func (s *Stream) Close() error { return s.shut(linger) }

func (s *Stream) shut(wait time.Duration) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.tell()
	s.readable.Broadcast()
	late := time.AfterFunc(wait, func() { s.mu.Lock(); s.late = true; s.fail(net.ErrClosed); s.mu.Unlock() })
	for wait > 0 && s.conn.Queued() > 0 && s.err == nil {
		s.writable.Wait()
	}
	s.conn.Close()
	s.flush()
	for wait > 0 && !s.conn.Gone() && !s.late {
		s.writable.Wait()
	}
	s.gone = true
	late.Stop()
	s.timer.Stop()
	for _, a := range s.alarms {
		if a != nil {
			a.Stop()
		}
	}
	s.fail(net.ErrClosed)
	s.mu.Unlock()
	err := s.socket.conn.Close()
	<-s.done
	return err
}

// Counters is what the connection has counted.
func (s *Stream) Counters() datagram.Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// RTT is the smoothed round-trip time, 0 if none was measured.
func (s *Stream) RTT() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.RTT()
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.socket.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.socket.conn.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readTime = t
	s.alarm(0, &s.readable, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeTime = t
	s.alarm(1, &s.writable, t)
	return nil
}

// alarm wakes who waits when a deadline has come. Hold mu.
func (s *Stream) alarm(i int, who *sync.Cond, t time.Time) {
	if s.alarms[i] != nil {
		s.alarms[i].Stop()
		s.alarms[i] = nil
	}
	who.Broadcast()
	if !t.IsZero() && !s.closed {
		s.alarms[i] = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			who.Broadcast()
		})
	}
}
