package load

import "sort"

// tracker finds losses, duplicates and disorder in what one subscriber receives.
// A stream is one publisher's messages on one topic, numbered from 0.
type tracker struct {
	base    int // the first publisher's number
	of      int // numbers of all publishers, of other runs too
	topics  int
	next    []uint64       // by stream: the number expected next
	probed  []bool         // by stream: the subscriber receives it
	holes   map[int][]hole // by stream: numbers passed over, ascending
	counts  Counts
	pending uint64 // numbers in holes
}

// hole is the numbers from first to before end.
type hole struct{ first, end uint64 }

func newTracker(base, publishers, of, topics int) *tracker {
	n := publishers * topics
	return &tracker{base: base, of: of, topics: topics, next: make([]uint64, n), probed: make([]bool, n), holes: map[int][]hole{}}
}

// stream is the index of a stamp's stream, -1 for one that is not of this run.
func (t *tracker) stream(s stamp) int {
	i := (s.publisher-t.base)*t.topics + s.topic
	if s.topic >= t.topics || s.publisher < t.base || i >= len(t.next) {
		return -1
	}
	return i
}

// elsewhere tells whether a stamp is of a publisher of another run beside this one.
func (t *tracker) elsewhere(s stamp) bool {
	return s.publisher < t.of && (s.publisher < t.base || s.publisher >= t.base+len(t.next)/t.topics)
}

// follow returns the word by which a stamp's next message on the same stream
// begins, if that message is the one expected: a subscriber compares with it and
// calls skip instead of add.
func (t *tracker) follow(s stamp) (stream int, id uint64) {
	i := t.stream(s)
	if i < 0 || t.next[i] != s.number+1 {
		return -1, 0
	}
	s.number++
	id, _ = s.words()
	return i, id
}

// skip accounts for n messages of a stream that came as expected.
func (t *tracker) skip(stream int, n uint64) {
	if n > 0 {
		t.next[stream] += n
	}
}

// add accounts for one message.
func (t *tracker) add(s stamp) {
	i := t.stream(s)
	if i < 0 {
		t.counts.Foreign++
		return
	}
	switch next := t.next[i]; {
	case s.number == next:
		t.next[i]++
	case s.number > next:
		t.holes[i] = append(t.holes[i], hole{next, s.number})
		t.pending += s.number - next
		t.next[i] = s.number + 1
	case t.fillHole(i, s.number):
		t.counts.OutOfOrder++
	default:
		t.counts.Duplicates++
	}
}

// fillHole takes number out of the stream's holes and reports whether it was in one.
func (t *tracker) fillHole(stream int, number uint64) bool {
	holes := t.holes[stream]
	i := sort.Search(len(holes), func(i int) bool { return holes[i].end > number })
	if i == len(holes) || holes[i].first > number {
		return false
	}
	t.pending--
	h := holes[i]
	switch {
	case h.end-h.first == 1:
		holes = append(holes[:i], holes[i+1:]...)
	case number == h.first:
		holes[i].first++
	case number == h.end-1:
		holes[i].end--
	default:
		holes = append(holes, hole{})
		copy(holes[i+1:], holes[i:])
		holes[i].end = number
		holes[i+1].first = number + 1
	}
	t.holes[stream] = holes
	return true
}

// finish adds what is missing now that sent(publisher, topic) messages were sent
// on each stream.
func (t *tracker) finish(sent func(publisher, topic int) uint64) Counts {
	c := t.counts
	c.Lost = t.pending
	for i, next := range t.next {
		if !t.probed[i] && next == 0 {
			continue
		}
		total := sent(i/t.topics, i%t.topics)
		c.Expected += total
		if total > next {
			c.Lost += total - next
		}
	}
	return c
}
