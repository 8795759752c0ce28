package hostfuncs

import (
	"container/heap"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
)

// Filter is what the plugins of a process have said about sources. Its methods may be
// called from any goroutine.
type Filter struct {
	clock Clock
	to    FilterRules

	mu    sync.Mutex // guards books
	books map[string]*filterBook
}

// NewFilter makes one that puts rules into force by to. A nil clock is the system's; a
// nil to puts nothing into force.
func NewFilter(clock Clock, to FilterRules) *Filter {
	if clock == nil {
		clock = SystemClock{}
	}
	if to == nil {
		to = noRules{}
	}
	return &Filter{clock: clock, to: to, books: map[string]*filterBook{}}
}

// Grant says whether the plugin has the capability from now on. One that loses it loses
// its rules, and what is left of its instances is denied.
func (f *Filter) Grant(plugin string, granted bool) {
	f.mu.Lock()
	b := f.books[plugin]
	f.mu.Unlock()
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := !granted && !b.revoked
	b.revoked = !granted
	if lost {
		b.rules, b.expiring = map[netip.Prefix]*filterRule{}, nil
		b.to.Revoke(plugin)
	}
}

// Refused takes note that a change that was taken over cannot be put into force after
// all: the rule does not count for its plugin any more.
func (f *Filter) Refused(c FilterChange) {
	f.mu.Lock()
	b := f.books[c.Plugin]
	f.mu.Unlock()
	if b == nil || c.Verb == FilterForget {
		return
	}
	b.refused.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if rule := b.rules[c.Source]; rule != nil && rule.verb == c.Verb {
		heap.Remove(&b.expiring, rule.at)
		delete(b.rules, c.Source)
	}
}

// FilterStats is what a plugin's generations have said of sources since the process began.
type FilterStats struct {
	// Changes of rules were taken over. Not were: Limited over a ceiling of the grant,
	// Failed for want of room at the moment, Invalid without a meaning, Denied after the
	// capability was lost.
	Changes, Limited, Failed, Invalid, Denied uint64
	// Refused were taken over and could not be put into force.
	Refused uint64
	// Rules hold now.
	Rules int
}

// Stats reads a plugin's counters; zero for one that was never granted filter.
func (f *Filter) Stats(plugin string) FilterStats {
	f.mu.Lock()
	b := f.books[plugin]
	f.mu.Unlock()
	if b == nil {
		return FilterStats{}
	}
	return FilterStats{
		Changes: b.changes.Load(), Limited: b.limited.Load(), Failed: b.failed.Load(), Invalid: b.invalid.Load(),
		Denied: b.denied.Load(), Refused: b.refused.Load(), Rules: b.left(),
	}
}

// book is what a plugin of that name has said.
func (f *Filter) book(plugin string) *filterBook {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.books[plugin]
	if b == nil {
		b = newFilterBook(plugin, f.clock, f.to)
		f.books[plugin] = b
	}
	return b
}

// noRules puts nothing into force.
type noRules struct{}

func (noRules) Change(FilterChange) bool { return true }
func (noRules) Revoke(string)            {}

// filterBook is the rules of one plugin, whichever of its generations made them.
type filterBook struct {
	plugin string
	clock  Clock
	to     FilterRules

	changes, limited, failed, invalid, denied, refused atomic.Uint64

	mu       sync.Mutex // guards what follows
	rules    map[netip.Prefix]*filterRule
	expiring filterExpiry
	revoked  bool
}

// filterRule is one rule.
type filterRule struct {
	source netip.Prefix
	verb   FilterVerb
	until  int64 // Clock.Monotonic
	at     int   // in filterBook.expiring
}

func newFilterBook(plugin string, clock Clock, to FilterRules) *filterBook {
	return &filterBook{plugin: plugin, clock: clock, to: to, rules: map[netip.Prefix]*filterRule{}}
}

// put makes a rule, if by's ceilings allow it.
func (b *filterBook) put(change FilterChange, by *filterFuncs) abi.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revoked {
		return abi.StatusDenied
	}
	now := b.clock.Monotonic()
	b.expire(now)
	until := now + int64(change.TTL)
	rule := b.rules[change.Source]
	switch {
	case rule != nil && rule.verb == change.Verb && rule.until >= until-int64(change.TTL)/16:
		return abi.StatusOK
	case rule == nil && len(b.rules) >= by.sources, !by.take(now):
		return abi.StatusLimit
	case !b.to.Change(change):
		return abi.StatusFailed
	}
	b.changes.Add(1)
	if rule == nil {
		rule = &filterRule{source: change.Source, verb: change.Verb, until: until}
		b.rules[change.Source] = rule
		heap.Push(&b.expiring, rule)
		return abi.StatusOK
	}
	rule.verb, rule.until = change.Verb, until
	heap.Fix(&b.expiring, rule.at)
	return abi.StatusOK
}

// drop ends a rule.
func (b *filterBook) drop(source netip.Prefix, by *filterFuncs) abi.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revoked {
		return abi.StatusDenied
	}
	now := b.clock.Monotonic()
	b.expire(now)
	rule := b.rules[source]
	switch {
	case rule == nil:
		return abi.StatusNotFound
	case !by.take(now):
		return abi.StatusLimit
	case !b.to.Change(FilterChange{Plugin: b.plugin, Verb: FilterForget, Source: source}):
		return abi.StatusFailed
	}
	b.changes.Add(1)
	heap.Remove(&b.expiring, rule.at)
	delete(b.rules, source)
	return abi.StatusOK
}

// expire forgets rules that are over. They end by themselves wherever they are in force.
func (b *filterBook) expire(now int64) {
	for len(b.expiring) > 0 && b.expiring[0].until <= now {
		rule, _ := heap.Pop(&b.expiring).(*filterRule)
		delete(b.rules, rule.source)
	}
}

// count counts what a plugin was refused.
func (b *filterBook) count(status abi.Status) {
	switch status {
	case abi.StatusLimit:
		b.limited.Add(1)
	case abi.StatusFailed:
		b.failed.Add(1)
	case abi.StatusInvalid:
		b.invalid.Add(1)
	case abi.StatusDenied:
		b.denied.Add(1)
	}
}

// left is how many rules hold.
func (b *filterBook) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(b.clock.Monotonic())
	return len(b.rules)
}

// filterExpiry is rules by when they end, the next one first.
type filterExpiry []*filterRule

func (e filterExpiry) Len() int           { return len(e) }
func (e filterExpiry) Less(i, j int) bool { return e[i].until < e[j].until }
func (e filterExpiry) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].at, e[j].at = i, j
}

// Push implements heap.Interface.
func (e *filterExpiry) Push(x any) {
	rule, _ := x.(*filterRule)
	rule.at = len(*e)
	*e = append(*e, rule)
}

// Pop implements heap.Interface.
func (e *filterExpiry) Pop() any {
	last := len(*e) - 1
	rule := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return rule
}
