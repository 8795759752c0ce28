package server

import (
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/runtime/engine"
)

// flows is what a loop counts so that people see where messages go and how long weft takes:
// plain words, which others may read a moment later.
type flows struct {
	turn      uint64 // messages that have gone their way in this turn
	published uint64 // messages of the API
	listeners int
	rules     int
	direct    int // index of the default route's only destination
	// words are messages by listener, the API last, and by how they were routed, see
	// routed; then, by destination of the router's table, those that it took and those
	// that it did not; then those of the API.
	words  []uint64
	places int // where destinations begin in words

	shown atomic.Pointer[shownFlows]
	due   bool
	way   latency.Histogram
}

// How a message was routed, beside the index of a rule.
const (
	byDefault = -1
	byPlugin  = -2 // a plugin named the places
	noRules   = 2  // of these
)

// shownFlows is what is shown of them, and how it lies there.
type shownFlows struct {
	setup                    *setup
	listeners, rules, places int
	words                    []atomic.Uint64
}

// fit makes room for what a setup has.
func (f *flows) fit(s *setup) {
	f.listeners, f.rules = len(s.listeners)+1, s.table.Len()
	f.places = f.listeners * (f.rules + noRules)
	f.direct = s.table.Places() - 1
	f.words = make([]uint64, f.places+2*s.table.Places()+1)
	f.shown.Store(&shownFlows{setup: s, listeners: f.listeners, rules: f.rules, places: f.places, words: make([]atomic.Uint64, len(f.words))})
}

// refit makes room for another setup, and keeps what was counted of listeners and of the
// rules that it has too; former is what each of its rules was. What destinations took
// begins anew.
func (f *flows) refit(s *setup, former []int) {
	was := f.shown.Load()
	words := f.words
	f.fit(s)
	for listener := range was.listeners {
		to := listener
		if listener == was.listeners-1 { // the API is the last one
			to = f.listeners - 1
		}
		row, next := words[listener*(was.rules+noRules):], f.words[to*(f.rules+noRules):]
		copy(next[:noRules], row[:noRules])
		for rule, at := range former {
			if at >= 0 {
				next[noRules+rule] = row[noRules+at]
			}
		}
	}
	f.due = true
	f.show()
}

// routed counts a message that a rule, the default route or a plugin sends on.
func (f *flows) routed(m *abi.Message, rule int) {
	f.words[min(int(m.Listener), f.listeners-1)*(f.rules+noRules)+rule+noRules]++
}

// placed counts a message that a destination took, or did not.
func (f *flows) placed(index, copies int) {
	at := f.places + 2*index
	if copies == 0 {
		at++
	}
	f.words[at]++
}

// waited counts a message that has gone on after it had waited.
func (f *flows) waited(nanoseconds int64) { f.way.Add(time.Duration(nanoseconds), 1) }

// publish says that there is something to show: it is shown by the next tick.
func (f *flows) publish() { f.due = true }

// show shows the counts to other goroutines.
func (f *flows) show() {
	if !f.due {
		return
	}
	f.due = false
	f.words[len(f.words)-1] = f.published
	shown := f.shown.Load()
	for i, n := range f.words {
		show(&shown.words[i], n)
	}
}

// Took implements engine.Timed: the messages of a turn have gone when it has written.
func (p *path) Took(turn time.Duration) {
	if n := p.flows.turn; n > 0 {
		p.flows.turn = 0
		p.flows.way.Add(turn, n)
	}
	if p.trace != nil {
		p.trace.took(turn)
	}
}

var _ engine.Timed = (*path)(nil)

// flowed is what the loops have counted, all together.
type flowed struct {
	setup                    *setup // by which it was counted
	listeners, rules, places int
	words                    []uint64
}

// routed is how many messages of a listener took a rule.
func (f *flowed) routed(listener, rule int) uint64 {
	return f.words[listener*(f.rules+noRules)+rule+noRules]
}

// placed is how many messages a destination took, and did not.
func (f *flowed) placed(index int) (taken, missed uint64) {
	return f.words[f.places+2*index], f.words[f.places+2*index+1]
}

// published is how many messages came by the API.
func (f *flowed) published() uint64 { return f.words[len(f.words)-1] }

// flowed adds up what the loops have counted.
func (s *Server) flowed() flowed {
	var sum flowed
	for _, p := range s.paths {
		f := p.flows.shown.Load()
		if sum.words == nil {
			sum = flowed{f.setup, f.listeners, f.rules, f.places, make([]uint64, len(f.words))}
		}
		if f.setup != sum.setup {
			continue // a loop is a moment ahead, or behind
		}
		for i := range f.words {
			sum.words[i] += f.words[i].Load()
		}
	}
	return sum
}

// way is how long messages took, all loops together.
func (s *Server) way() latency.Counts {
	var sum latency.Counts
	for _, p := range s.paths {
		p.flows.way.AddTo(&sum)
	}
	return sum
}
