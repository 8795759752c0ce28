package backbone

import (
	"sync"
	"time"
)

// State is how the backbone is at a moment.
type State struct {
	// Connected says that messages can be sent, and Since since when it is so or not.
	Connected bool
	Since     time.Time
	// Reached says that it was connected once.
	Reached bool
	// Server is the name of the server that weft is connected to or was last, URL its
	// address, Version its version, Cluster the name of its cluster. With a server in
	// this process URL and Cluster are empty.
	Server, URL, Version, Cluster string
	// Reconnects counts how often the connection was made again.
	Reconnects uint64
	// RTT is how long the last question took there and back, measured every few
	// seconds; 0 if it has not been, and with a server in this process.
	RTT time.Duration
	// Fault says why nothing can be stored although the backbone is there, a full
	// disk for example, or why it is away; empty if nothing is known.
	Fault string
	// FaultSince is since when there is a Fault.
	FaultSince time.Time
	// Errors counts what went wrong outside of any call, such as messages that a
	// receiver on this node was too slow for.
	Errors uint64
}

// tracker keeps the state and tells of its changes.
type tracker struct {
	mu    sync.Mutex
	state State
	renew chan struct{} // closed when the connection is another one
	next  int
	who   map[int]func(State)

	telling sync.Mutex // receivers are told one change after the other
}

func newTracker() *tracker {
	return &tracker{renew: make(chan struct{}), who: map[int]func(State){}, state: State{Since: time.Now()}}
}

func (t *tracker) now() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// set changes the state, and tells of it if told is true.
func (t *tracker) set(told bool, change func(*State)) {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.mu.Lock()
	before := t.state
	change(&t.state)
	if t.state.Connected != before.Connected {
		t.state.Since = time.Now()
	}
	switch {
	case t.state.Fault == "":
		t.state.FaultSince = time.Time{}
	case before.Fault == "":
		t.state.FaultSince = time.Now()
	}
	if t.state.Reconnects != before.Reconnects {
		close(t.renew)
		t.renew = make(chan struct{})
	}
	state := t.state
	var who []func(State)
	for _, f := range t.who {
		who = append(who, f)
	}
	t.mu.Unlock()
	if !told || state == before {
		return
	}
	for _, f := range who {
		f(state)
	}
}

// State is how the backbone is now. It does not wait.
func (b *Backbone) State() State { return b.tracker.now() }

// Watch calls f for every change of the connection and of State.Fault, one after the
// other, from the backbone's own goroutines: f must not wait, and must not call Watch
// or stop. stop ends it; a call may still be under way when it returns.
func (b *Backbone) Watch(f func(State)) (stop func()) {
	t := b.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.next
	t.next++
	t.who[id] = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.who, id)
	}
}

// renewed returns a channel that is closed when the connection has been made anew:
// what was on its way to the old one is lost.
func (b *Backbone) renewed() <-chan struct{} {
	b.tracker.mu.Lock()
	defer b.tracker.mu.Unlock()
	return b.tracker.renew
}
