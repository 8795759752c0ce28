package main

import (
	"fmt"
	"sync"
	"time"
)

// ledger is the checker: what the sources were told is accepted, beside what the
// consumers were given.
type ledger struct {
	seed      uint64
	sources   []*source
	consumers []*consumer
}

// newLedger has n sources and no consumer.
func newLedger(seed uint64, n int) *ledger {
	l := &ledger{seed: seed}
	for i := range n {
		l.sources = append(l.sources, &source{ledger: l, number: uint32(i)})
	}
	return l
}

// set is a set of sequence numbers.
type set struct {
	words []uint64
	count uint64
}

func (s *set) has(n uint64) bool {
	return n/64 < uint64(len(s.words)) && s.words[n/64]>>(n%64)&1 != 0
}

// add tells whether n was not there yet.
func (s *set) add(n uint64) bool {
	for n/64 >= uint64(len(s.words)) {
		s.words = append(s.words, make([]uint64, 1+len(s.words))...)
	}
	if s.has(n) {
		return false
	}
	s.words[n/64] |= 1 << (n % 64)
	s.count++
	return true
}

// heal says that there will be no more faults, and that consumers are there.
func (l *ledger) heal() {
	for _, s := range l.sources {
		s.mu.Lock()
		s.healed = s.sent
		s.mu.Unlock()
	}
}

// heardSince tells whether every consumer, workers aside, was given something after a time.
func (l *ledger) heardSince(at time.Time) bool {
	for _, c := range l.consumers {
		c.mu.Lock()
		heard := c.worker || c.last.After(at)
		c.mu.Unlock()
		if !heard {
			return false
		}
	}
	return true
}

// source is one publisher's side of the ledger.
type source struct {
	ledger *ledger
	number uint32

	mu      sync.Mutex
	sent    uint64 // sequence numbers 1 to sent were given out
	healed  uint64 // those up to here were given out while there were faults
	acked   set
	resent  uint64
	refused uint64
}

// next gives out the next message.
func (s *source) next() stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return stamp{s.ledger.seed, s.number, s.sent, time.Now()}
}

// accepted says that weft has taken a message over.
func (s *source) accepted(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked.add(seq)
}

// again counts messages that were sent again because no answer came.
func (s *source) again(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resent += uint64(n)
}

// denied counts messages that weft refused; they will be sent again.
func (s *source) denied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
}

// consumer is one subscriber's side of the ledger.
type consumer struct {
	ledger *ledger
	name   string
	byID   bool // it drops what bears an id that it has seen
	// worker: no order is promised to it, and its frames may have no place for an id,
	// which it makes of the payload then.
	worker bool

	mu       sync.Mutex
	received uint64
	repeated uint64 // dropped by id
	foreign  uint64
	doubled  uint64
	behind   uint64
	last     time.Time
	seen     []set
	highest  []uint64
	ids      map[string]bool
	examples []string
}

// consumer adds one, before anything is delivered.
func (l *ledger) consumer(name string, byID bool) *consumer {
	c := &consumer{ledger: l, name: name, byID: byID, last: time.Now(), seen: make([]set, len(l.sources)), highest: make([]uint64, len(l.sources)), ids: map[string]bool{}}
	l.consumers = append(l.consumers, c)
	return c
}

// worker adds a consumer of what a route takes once to a destination.
func (l *ledger) worker(name string) *consumer {
	c := l.consumer(name, true)
	c.worker = true
	return c
}

// take is a delivery: a payload and the message id that came with it.
func (c *consumer) take(payload, id []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received++
	s, ok := parseStamp(payload)
	if c.worker && ok && len(id) == 0 {
		id = []byte(s.id())
	}
	switch {
	case !ok || s.seed != c.ledger.seed || int(s.source) >= len(c.seen) || s.seq == 0 || string(id) != s.id():
		c.foreign++
		c.example("a delivery that nobody sent: id %q, %d bytes", id, len(payload))
		return
	case c.byID && c.ids[string(id)]:
		c.repeated++
		return
	}
	if c.byID {
		c.ids[string(id)] = true
	}
	if !c.seen[s.source].add(s.seq) {
		c.doubled++
		return
	}
	c.last = time.Now()
	if s.seq < c.highest[s.source] {
		c.behind++
		if !c.worker {
			c.example("source %d: %d came for the first time behind %d", s.source, s.seq, c.highest[s.source])
		}
	}
	c.highest[s.source] = max(c.highest[s.source], s.seq)
}

// maxExamples is how many findings a consumer tells one by one.
const maxExamples = 5

func (c *consumer) example(format string, args ...any) {
	if len(c.examples) < maxExamples {
		c.examples = append(c.examples, fmt.Sprintf(format, args...))
	}
}

// missing is how many acknowledged messages the consumer has not been given, and
// when it was given one for the first time last.
func (c *consumer) missing() (n uint64, last time.Time) {
	for i, s := range c.ledger.sources {
		s.mu.Lock()
		c.mu.Lock()
		n += lost(s, &c.seen[i], nil)
		c.mu.Unlock()
		s.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return n, c.last
}

// missingHealed is how many acknowledged messages that were given out after the last
// fault a consumer has not been given.
func (l *ledger) missingHealed() (n uint64) {
	for _, c := range l.consumers {
		for i, s := range l.sources {
			s.mu.Lock()
			c.mu.Lock()
			lost(s, &c.seen[i], func(seq uint64) {
				if s.healed > 0 && seq > s.healed {
					n++
				}
			})
			c.mu.Unlock()
			s.mu.Unlock()
		}
	}
	return n
}

// lost counts what is acknowledged and not seen, and tells of each.
func lost(s *source, seen *set, tell func(seq uint64)) (n uint64) {
	for i, word := range s.acked.words {
		if i < len(seen.words) {
			word &^= seen.words[i]
		}
		for bit := uint64(0); word != 0; bit, word = bit+1, word>>1 {
			if word&1 == 0 {
				continue
			}
			if n++; tell != nil {
				tell(uint64(i)*64 + bit)
			}
		}
	}
	return n
}

// acknowledged is how many messages weft has taken over so far.
func (l *ledger) acknowledged() (n uint64) {
	for _, s := range l.sources {
		s.mu.Lock()
		n += s.acked.count
		s.mu.Unlock()
	}
	return n
}
