package engine

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// BatchBuckets is the number of buckets of LoopStats.Batches.
const BatchBuckets = 16

// Where a loop's counters lie. The loop counts in plain words and publishes once
// a turn those that have changed.
const (
	countTurns = iota
	countReads
	countCrossed
	countPanics
	countPaused
	countQueued
	countBusy
	countBatches
	countDrops     = countBatches + BatchBuckets
	countListeners = countDrops + int(DropCount)
)

// Where a listener's counters lie in its part of them.
const (
	listenerAccepted = iota
	listenerOpen
	listenerBytesIn
	listenerBytesOut
	listenerRefused
	listenerClosed  = listenerRefused + int(RefusalCount)
	listenerDropped = listenerClosed + int(ReasonCount)
	listenerWords   = listenerDropped + int(DropCount)
)

// Stats is a snapshot of the engine's counters. They only grow, but for those that
// say so.
type Stats struct {
	Loops     []LoopStats
	Listeners []ListenerStats
}

// LoopStats counts what one loop did.
type LoopStats struct {
	// Turns counts the turns in which something was read, Reads the reads.
	Turns, Reads uint64
	// Batches counts turns by how many reads they had: bucket i those with 2^i to
	// 2^(i+1)-1.
	Batches [BatchBuckets]uint64
	// Crossed counts the units sent to other loops.
	Crossed uint64
	// Panics counts panics of the handler.
	Panics uint64
	// Dropped counts, by Drop, units that SendTo did not deliver; those of
	// connections are in ListenerStats.
	Dropped [DropCount]uint64
	// Busy is for how long the loop has worked, and not slept.
	Busy time.Duration
	// Queued is what the outboxes hold now, in bytes with unit overhead; Paused is
	// how many connections are not read from now (Hold).
	Queued, Paused int64
}

// ListenerStats counts what became of one listener's connections.
type ListenerStats struct {
	Name     string
	Accepted uint64
	// Open is the number of connections now.
	Open              int64
	BytesIn, BytesOut uint64
	Refused           [RefusalCount]uint64 // by Refusal
	Closed            [ReasonCount]uint64  // by Reason
	Dropped           [DropCount]uint64    // units, by Drop
	// Handshakes are those of connections that Listener.Wrap has made. They come
	// before Accepted.
	Handshakes HandshakeStats
}

// Stats is a snapshot as of each loop's last turn.
func (e *Engine) Stats() Stats {
	s := Stats{Loops: make([]LoopStats, len(e.loops)), Listeners: make([]ListenerStats, len(e.all()))}
	for i, ln := range e.all()[:len(s.Listeners)] {
		s.Listeners[i].Name = ln.cfg.Load().Name
		s.Listeners[i].Handshakes = ln.handshakes.stats()
	}
	for i, l := range e.loops {
		published := *l.published.Load()
		at := func(word int) uint64 { return published[word].Load() }
		ls := &s.Loops[i]
		ls.Turns, ls.Reads = at(countTurns), at(countReads)
		ls.Crossed, ls.Panics = at(countCrossed), at(countPanics)
		ls.Busy = time.Duration(at(countBusy))
		ls.Paused, ls.Queued = int64(at(countPaused)), int64(at(countQueued))
		for b := range ls.Batches {
			ls.Batches[b] = at(countBatches + b)
		}
		for d := range ls.Dropped {
			ls.Dropped[d] = at(countDrops + d)
		}
		for k := range s.Listeners {
			if words := published[countListeners:]; (k+1)*listenerWords <= len(words) { // else it is new, and this loop has not heard of it
				s.Listeners[k].add(words[k*listenerWords:][:listenerWords])
			}
		}
	}
	return s
}

func newWords(n int) []atomic.Uint64 { return make([]atomic.Uint64, n) }

func (s *ListenerStats) add(words []atomic.Uint64) {
	s.Accepted += words[listenerAccepted].Load()
	s.Open += int64(words[listenerOpen].Load())
	s.BytesIn += words[listenerBytesIn].Load()
	s.BytesOut += words[listenerBytesOut].Load()
	for i := range s.Refused {
		s.Refused[i] += words[listenerRefused+i].Load()
	}
	for i := range s.Closed {
		s.Closed[i] += words[listenerClosed+i].Load()
	}
	for i := range s.Dropped {
		s.Dropped[i] += words[listenerDropped+i].Load()
	}
}

// countOf is the part of the counters that belongs to c's listener.
func (l *Loop) countOf(c *Conn) []uint64 { return l.countListener(int(c.listener)) }

func (l *Loop) countListener(i int) []uint64 {
	return l.count[countListeners+i*listenerWords:][:listenerWords]
}

// publish makes the counters of this turn visible.
func (l *Loop) publish() {
	if l.batch > 0 {
		l.count[countTurns]++
		l.count[countReads] += uint64(l.batch)
		l.count[countBatches+min(bits.Len(uint(l.batch))-1, BatchBuckets-1)]++
		l.batch = 0
	}
	published := *l.published.Load()
	for i, v := range l.count {
		if v != l.last[i] {
			l.last[i] = v
			published[i].Store(v)
		}
	}
}
