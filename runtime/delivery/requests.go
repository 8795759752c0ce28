package delivery

import (
	"errors"
	"sync/atomic"
)

// ErrRequestsFull is Begin's error: too many requests wait, for this receiver or
// in all, or every sequence id of the receiver's format is in use. The message
// meets RequestBusy.
var ErrRequestsFull = errors.New("too many requests are waiting")

// Request is one request as it is handed to one receiver.
type Request struct {
	// Destination is the receiver's session.
	Destination uint64
	// SeqBits is how wide the sequence id is in the receiver's format, 0 if it
	// has none: then one request at a time can wait for its answer.
	SeqBits int
	// Origin is the session that asks and OriginSeq its sequence id.
	Origin, OriginSeq uint64
	// Deadline is when the request times out, on the clock of now.
	Deadline int64
	// Fan is shared by the requests of one message to several receivers, nil
	// for a single one.
	Fan *Fan
}

// Origin is who waits for a response, and the sequence id to answer with.
type Origin struct{ Session, Seq uint64 }

// Pending is a request that ended without a response.
type Pending struct {
	Origin
	Destination uint64
}

// Match is what Finish found.
type Match uint8

// The results of Finish.
const (
	// Unknown: nobody asked; count UnmatchedResponse.
	Unknown Match = iota
	// Matched: the origin is waiting for it.
	Matched
	// Late: the request had timed out, or another receiver had answered it;
	// count LateResponse.
	Late
)

// RequestLimits bound what waits. Zero values stand for the defaults.
type RequestLimits struct {
	// PerDestination is how many requests may wait for one receiver; 4096 by default.
	PerDestination int
	// Total is how many may wait in all; 1,000,000 by default.
	Total int
	// Linger is for how long after its deadline a sequence id is kept from
	// being used again, in units of now, so that a late response cannot be
	// taken for the answer to a newer request; 10 s in nanoseconds by default.
	Linger int64
}

// Requests matches responses to requests. A receiver's sequence ids are one
// space that all who ask it share: Begin keeps the asker's id where it is free
// and finds another where it is not, Finish gives the asker's back.
//
// Requests cross loops, so all methods may be called by any goroutine; each
// takes the mutex of the one shard that the receiver belongs to, for the time of
// a table access. The tables grow to the greatest load seen and allocate nothing
// afterwards. Time comes in as now, on any steady clock.
//
// When an asker's session closes there is nothing to call: its requests keep
// their sequence ids until they are answered or time out, because an id that
// came free early could pair the late response with somebody else's request.
type Requests struct {
	limits RequestLimits
	total  atomic.Int64
	shards [requestShards]requestShard
}

// requestShards is a power of two.
const requestShards = 64

// NewRequests returns an empty matcher.
func NewRequests(limits RequestLimits) *Requests {
	if limits.PerDestination <= 0 {
		limits.PerDestination = 4096
	}
	if limits.Total <= 0 {
		limits.Total = 1_000_000
	}
	if limits.Linger <= 0 {
		limits.Linger = 10e9
	}
	r := &Requests{limits: limits}
	for i := range r.shards {
		r.shards[i].init()
	}
	return r
}

// Len is how many sequence ids are in use: requests that wait, and those that
// timed out and linger.
func (r *Requests) Len() int { return int(r.total.Load()) }

func (r *Requests) shard(destination uint64) *requestShard {
	return &r.shards[scramble(destination, 0)%requestShards]
}

// Begin notes that a request is handed to a receiver and returns the sequence
// id to put on its wire. The error is ErrRequestsFull.
func (r *Requests) Begin(q Request) (wireSeq uint64, err error) {
	if r.total.Add(1) > int64(r.limits.Total) {
		r.total.Add(-1)
		return 0, ErrRequestsFull
	}
	s := r.shard(q.Destination)
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, ok := s.begin(&q, r.limits.PerDestination)
	if !ok {
		r.total.Add(-1)
		return 0, ErrRequestsFull
	}
	if q.Fan != nil {
		q.Fan.open.Add(1)
	}
	return seq, nil
}

// Finish ends the request that the receiver answered with the sequence id.
func (r *Requests) Finish(destination, wireSeq uint64) (Origin, Match) {
	e, ok := r.take(destination, wireSeq)
	switch {
	case !ok:
		return Origin{}, Unknown
	case e.lingers || e.fan != nil && !e.fan.answer():
		return e.origin, Late
	}
	return e.origin, Matched
}

// Cancel ends a request that was begun and then could not be handed over.
func (r *Requests) Cancel(destination, wireSeq uint64) {
	if e, ok := r.take(destination, wireSeq); ok && e.fan != nil && !e.lingers {
		e.fan.fail()
	}
}

func (r *Requests) take(destination, wireSeq uint64) (entry, bool) {
	s := r.shard(destination)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.entries.find(destination, wireSeq)
	if i == none {
		return entry{}, false
	}
	e := *s.entries.at(i)
	s.end(i)
	r.total.Add(-1)
	return e, true
}

// Expire appends to dst the requests whose deadline has come. Their sequence
// ids linger. Call it every so often from one place; now never goes back.
func (r *Requests) Expire(now int64, dst []Pending) []Pending {
	for i := range r.shards {
		s := &r.shards[i]
		if s.next.Load() > now {
			continue
		}
		s.mu.Lock()
		dst = r.expire(s, now, dst)
		s.mu.Unlock()
	}
	return dst
}

func (r *Requests) expire(s *requestShard, now int64, dst []Pending) []Pending {
	for s.waiting.head != none {
		i := s.waiting.head
		e := s.entries.at(i)
		if e.deadline > now {
			break
		}
		s.unlink(&s.waiting, i)
		e.lingers = true
		e.deadline = now + r.limits.Linger
		s.link(&s.lingering, i)
		if e.fan == nil || e.fan.fail() {
			dst = append(dst, Pending{e.origin, e.destination})
		}
	}
	for s.lingering.head != none && s.entries.at(s.lingering.head).deadline <= now {
		s.end(s.lingering.head)
		r.total.Add(-1)
	}
	s.schedule()
	return dst
}

// Drop ends every request to a receiver whose session has closed and appends to
// dst those that still waited.
func (r *Requests) Drop(destination uint64, dst []Pending) []Pending {
	s := r.shard(destination)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		d := s.receivers.find(destination, 0)
		if d == none {
			return dst
		}
		i := s.receivers.at(d).first
		e := *s.entries.at(i)
		s.end(i)
		r.total.Add(-1)
		if !e.lingers && (e.fan == nil || e.fan.fail()) {
			dst = append(dst, Pending{e.origin, e.destination})
		}
	}
}

// scramble mixes two numbers (the finaliser of MurmurHash3, Appleby).
func scramble(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ b
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
