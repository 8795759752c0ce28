package filter

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// topSources is how many sources a Top remembers of each period, topEvents how many of
// the last samples.
const (
	topSources = 4096
	topEvents  = 256
	topPeriod  = time.Minute
)

// Top estimates from samples of which sources most is dropped: of this minute and of the
// one before. All methods may be called at once.
type Top struct {
	mu     sync.Mutex
	since  time.Time
	now    map[topKey]*topCount
	before map[topKey]*topCount
	events [topEvents]Event
	next   uint64
}

type topKey struct {
	source   netip.Addr
	listener uint16
	reason   Reason
}

type topCount struct {
	packets uint64
	last    time.Time
}

// Event is a Sample and who has dropped it.
type Event struct {
	Sample
	Enforcer string
}

// Add takes a sample. Where too many sources were seen in one period, further ones are
// left out: nobody who sends much is seen late.
func (t *Top) Add(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(e.At)
	t.events[t.next%topEvents] = e
	t.next++
	k := topKey{e.Source, e.Listener, e.Reason}
	c := t.now[k]
	if c == nil {
		if len(t.now) >= topSources {
			return
		}
		c = &topCount{}
		t.now[k] = c
	}
	c.packets += uint64(e.Weight)
	c.last = e.At
}

// turn begins another period, if it is time.
func (t *Top) turn(now time.Time) {
	switch age := now.Sub(t.since); {
	case t.now == nil || age >= 2*topPeriod || age < -topPeriod:
		t.before, t.now, t.since = nil, map[topKey]*topCount{}, now
	case age >= topPeriod:
		t.before, t.now, t.since = t.now, map[topKey]*topCount{}, now
	}
}

// TopSource is a source and what was dropped of it at one listener for one reason.
type TopSource struct {
	Source   netip.Addr
	Listener uint16
	Reason   Reason
	Packets  uint64 // estimated
	Last     time.Time
}

// Sources are those of which most was dropped, at most n, as of now.
func (t *Top) Sources(n int, now time.Time) []TopSource {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	sum := map[topKey]topCount{}
	for _, counts := range []map[topKey]*topCount{t.before, t.now} {
		for k, c := range counts {
			both := sum[k]
			both.packets += c.packets
			if both.last.Before(c.last) {
				both.last = c.last
			}
			sum[k] = both
		}
	}
	list := make([]TopSource, 0, len(sum))
	for k, c := range sum {
		list = append(list, TopSource{k.source, k.listener, k.reason, c.packets, c.last})
	}
	slices.SortFunc(list, func(a, b TopSource) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Source.Compare(b.Source), cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Reason, b.Reason))
	})
	return list[:min(n, len(list))]
}

// Events are the last samples, the newest first.
func (t *Top) Events() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Event
	for i := uint64(1); i <= min(t.next, topEvents); i++ {
		list = append(list, t.events[(t.next-i)%topEvents])
	}
	return list
}
