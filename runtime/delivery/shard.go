package delivery

import (
	"math"
	"sync"
	"sync/atomic"
)

// requestShard holds the requests to a part of the receivers.
type requestShard struct {
	mu        sync.Mutex
	entries   pool[entry, *entry]
	receivers pool[receiver, *receiver]
	waiting   list // by deadline
	lingering list // by deadline
	next      atomic.Int64
}

// entry is one sequence id of one receiver in use.
type entry struct {
	destination, seq uint64
	origin           Origin
	deadline         int64
	fan              *Fan
	before, after    int32 // in waiting or lingering
	left, right      int32 // among the receiver's entries
	lingers          bool
}

func (e *entry) key() (uint64, uint64) { return e.destination, e.seq }

// receiver is a destination with at least one entry.
type receiver struct {
	id    uint64
	last  uint64 // the sequence id that was chosen last
	count int
	first int32
}

func (d *receiver) key() (uint64, uint64) { return d.id, 0 }

type list struct{ head, tail int32 }

func (s *requestShard) init() {
	s.waiting = list{none, none}
	s.lingering = list{none, none}
	s.next.Store(math.MaxInt64)
}

// begin finds a sequence id and enters the request.
func (s *requestShard) begin(q *Request, limit int) (uint64, bool) {
	d := s.receivers.find(q.Destination, 0)
	if d == none {
		d = s.receivers.insert(receiver{id: q.Destination, first: none})
	}
	to := s.receivers.at(d)
	seq, ok := s.choose(to, q, limit)
	if !ok {
		return 0, false
	}
	i := s.entries.insert(entry{
		destination: q.Destination, seq: seq, origin: Origin{q.Origin, q.OriginSeq},
		deadline: q.Deadline, fan: q.Fan, left: none, right: to.first,
	})
	if to.first != none {
		s.entries.at(to.first).left = i
	}
	to.first = i
	to.count++
	s.link(&s.waiting, i)
	s.schedule()
	return seq, true
}

// choose keeps the asker's sequence id where it can, and takes the next free one
// otherwise. 0 is never given out: it stands for none.
func (s *requestShard) choose(to *receiver, q *Request, limit int) (uint64, bool) {
	if q.SeqBits <= 0 {
		return 0, to.count == 0
	}
	highest := uint64(math.MaxUint64)
	if q.SeqBits < 64 {
		highest = 1<<q.SeqBits - 1
	}
	if uint64(to.count) >= min(uint64(limit), highest) {
		return 0, false
	}
	if seq := q.OriginSeq; seq > 0 && seq <= highest && s.entries.find(to.id, seq) == none {
		return seq, true
	}
	for {
		if to.last >= highest {
			to.last = 0
		}
		to.last++
		if s.entries.find(to.id, to.last) == none {
			return to.last, true
		}
	}
}

// end removes an entry from everything that knows it.
func (s *requestShard) end(i int32) {
	e := s.entries.at(i)
	if e.lingers {
		s.unlink(&s.lingering, i)
	} else {
		s.unlink(&s.waiting, i)
	}
	d := s.receivers.find(e.destination, 0)
	to := s.receivers.at(d)
	if e.left != none {
		s.entries.at(e.left).right = e.right
	} else {
		to.first = e.right
	}
	if e.right != none {
		s.entries.at(e.right).left = e.left
	}
	to.count--
	if to.count == 0 {
		s.receivers.remove(d)
	}
	s.entries.remove(i)
}

// link puts an entry into its place by deadline, searching from the end, where
// it belongs if all requests have the same time to answer.
func (s *requestShard) link(l *list, i int32) {
	e := s.entries.at(i)
	before := l.tail
	for before != none && s.entries.at(before).deadline > e.deadline {
		before = s.entries.at(before).before
	}
	e.before = before
	if before != none {
		e.after = s.entries.at(before).after
		s.entries.at(before).after = i
	} else {
		e.after = l.head
		l.head = i
	}
	if e.after != none {
		s.entries.at(e.after).before = i
	} else {
		l.tail = i
	}
}

func (s *requestShard) unlink(l *list, i int32) {
	e := s.entries.at(i)
	if e.before != none {
		s.entries.at(e.before).after = e.after
	} else {
		l.head = e.after
	}
	if e.after != none {
		s.entries.at(e.after).before = e.before
	} else {
		l.tail = e.before
	}
}

// schedule notes when Expire must look at the shard again. It may be early,
// never late.
func (s *requestShard) schedule() {
	next := int64(math.MaxInt64)
	for _, l := range []list{s.waiting, s.lingering} {
		if l.head != none {
			next = min(next, s.entries.at(l.head).deadline)
		}
	}
	if s.next.Load() != next {
		s.next.Store(next)
	}
}
