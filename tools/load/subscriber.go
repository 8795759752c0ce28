package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// subscriber receives on one connection. All but the atomics belongs to its
// goroutine until that has ended.
type subscriber struct {
	run     *run
	index   int
	conn    net.Conn
	rest    []byte // read by the handshake, to be cut first
	cutter  Cutter
	stamps  stampReader
	tracker *tracker
	latency *Histogram
	recent  recorder
	begin   atomic.Pointer[series]
	checker *checker

	received atomic.Uint64
	last     atomic.Int64 // when the last message came
	mu       sync.Mutex   // guards what the probing reads
	probes   map[int]uint64
}

// readBuffer is how much one subscriber reads at a time.
func readBuffer(subscribers int) int {
	return max(16<<10, min(256<<10, 32<<20/max(subscribers, 1)))
}

// receive reads until the connection ends.
func (s *subscriber) receive() error {
	buf := make([]byte, max(readBuffer(s.run.cfg.Subscribers), len(s.rest)))
	spans := make([]Span, 0, 4096)
	filled := copy(buf, s.rest)
	s.rest = nil
	for {
		var consumed int
		var err error
		spans, consumed, err = s.cutter.Cut(buf[:filled], spans[:0])
		s.take(buf, spans)
		if err != nil {
			return fmt.Errorf("subscriber %d: %w", s.index, err)
		}
		if reply := s.cutter.Reply(); len(reply) > 0 {
			if _, err := s.conn.Write(reply); err != nil {
				return fmt.Errorf("subscriber %d: answering the server: %w", s.index, err)
			}
		}
		filled = copy(buf, buf[consumed:filled])
		if filled == len(buf) {
			if len(buf) >= maxUnit {
				return fmt.Errorf("subscriber %d: %w: a message of more than %d bytes", s.index, ErrProtocol, len(buf))
			}
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := s.conn.Read(buf[filled:])
		filled += n
		if n > 0 {
			continue
		}
		if err != nil {
			return s.ended(err)
		}
	}
}

// ended is the error of a connection that ended: none if the run closed it.
func (s *subscriber) ended(err error) error {
	if s.run.closing.Load() || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("subscriber %d: the server closed the connection", s.index)
	}
	return fmt.Errorf("subscriber %d: %w", s.index, err)
}

// take accounts for the messages of one read.
func (s *subscriber) take(buf []byte, spans []Span) {
	if len(spans) == 0 {
		return
	}
	now := s.run.now()
	from := s.run.measureFrom.Load()
	messages, followed := 0, uint64(0)
	stream, id := -1, uint64(0) // the message expected next, if it is of the same stream
	for _, span := range spans {
		payload := buf[span.Off : span.Off+span.Len]
		if stream >= 0 && len(payload) >= binaryStamp && binary.BigEndian.Uint64(payload) == id {
			if when := binary.BigEndian.Uint64(payload[8:]); when&^timeMask == stampCheck {
				id++
				followed++
				s.sample(int64(when&timeMask), now, from)
				continue
			}
		}
		s.tracker.skip(stream, followed)
		messages += int(followed)
		stream, followed = -1, 0
		m, ok := s.stamps.read(payload)
		switch {
		case !ok:
			s.tracker.counts.Foreign++
			messages++
		case m.probe:
			s.probe(m)
		case s.tracker.elsewhere(m):
			s.tracker.counts.Elsewhere++
		default:
			if s.checker.wanted() {
				s.check(payload, m, now)
			}
			s.tracker.add(m)
			messages++
			s.sample(m.time, now, from)
			if !s.stamps.text && !s.checker.wanted() {
				stream, id = s.tracker.follow(m)
			}
		}
	}
	s.tracker.skip(stream, followed)
	messages += int(followed)
	if messages == 0 {
		return
	}
	s.tracker.counts.Received += uint64(messages)
	s.last.Store(now)
	s.received.Add(uint64(messages))
	s.run.window.arrived(messages)
}

// sample records the latency of a message that carries a time after from.
func (s *subscriber) sample(due, now, from int64) {
	if due >= from && due > 0 {
		s.latency.Record(now - due)
		if s.recent.series == nil {
			s.recent.series = s.begin.Load()
		}
		s.recent.record(due, now-due)
	}
}

// check looks at what was delivered.
func (s *subscriber) check(payload []byte, m stamp, now int64) {
	latency := int64(-1)
	if m.time > 0 {
		latency = now - m.time
	}
	s.checker.check(payload, m.publisher, m.topic, s.run.cfg.sequence(m), latency)
}

// sequence is the number at its publisher of the message with a stamp.
func (c *Config) sequence(m stamp) uint64 {
	n := len(c.Topics)
	return m.number*uint64(n) + uint64((m.topic-m.publisher%n+n)%n)
}

// probe notes that the subscriber receives a stream.
func (s *subscriber) probe(m stamp) {
	i := s.tracker.stream(m)
	if i < 0 {
		return
	}
	s.mu.Lock()
	s.probes[i] = max(s.probes[i], m.number)
	s.mu.Unlock()
}

// probedIn is how many streams the subscriber received in a round.
func (s *subscriber) probedIn(round uint64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, last := range s.probes {
		if last == round {
			n++
		}
	}
	return n
}

// settle waits until every subscriber receives what it subscribed to: rounds of
// probes on every stream until two in a row came to the same subscribers, and as many
// streams did as must.
func (r *run) settle() error {
	deadline := time.Now().Add(r.cfg.Timeout)
	last := -1
	for round := uint64(1); ; round++ {
		for _, p := range r.publishers {
			probes, err := p.ring.probes(round)
			if err != nil {
				return err
			}
			if _, err := p.conn.Write(probes); err != nil {
				return fmt.Errorf("publisher %d: sending a probe: %w", p.index, err)
			}
			p.probed += uint64(len(p.ring.topics))
		}
		total, silent := r.awaitProbes(round)
		if silent < 0 && total == last && total >= r.cfg.Streams {
			break
		}
		last = total
		switch {
		case r.ctx.Err() != nil:
			return r.cause()
		case time.Now().After(deadline) && total < r.cfg.Streams:
			return fmt.Errorf("%d streams of %d came within %v", total, r.cfg.Streams, r.cfg.Timeout)
		case time.Now().After(deadline) && silent >= 0:
			return fmt.Errorf("subscriber %d received nothing within %v: does its subscription %q match what is published?",
				silent, r.cfg.Timeout, r.cfg.Subscribe[silent%len(r.cfg.Subscribe)])
		case time.Now().After(deadline):
			return fmt.Errorf("deliveries did not settle within %v: probes are being lost", r.cfg.Timeout)
		}
	}
	for _, s := range r.subscribers {
		s.mu.Lock()
		for stream := range s.probes {
			r.fanout[stream]++
		}
		s.mu.Unlock()
	}
	return nil
}

// awaitProbes waits until no more probes of a round come. total is how many came;
// silent is a subscriber that got none, -1 if all did.
func (r *run) awaitProbes(round uint64) (total, silent int) {
	for quiet := 0; quiet < 3; {
		select {
		case <-r.ctx.Done():
			return total, silent
		case <-time.After(20 * time.Millisecond):
		}
		count, none := 0, -1
		for _, s := range r.subscribers {
			n := s.probedIn(round)
			count += n
			if n == 0 {
				none = s.index
			}
		}
		quiet++
		if count != total {
			quiet = 0
		}
		total, silent = count, none
	}
	return total, silent
}
