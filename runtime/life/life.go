// Package life is the state machine of the process: initializing, running,
// draining, stopped, failed. Readiness and liveness follow it.
package life

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// State is where the process stands in its life.
type State uint8

// The states. A process begins as Initializing and ends as Stopped or Failed.
const (
	Initializing State = iota
	Running
	Draining
	Stopped
	Failed
)

// String is the state's name as it appears in logs and health answers.
func (s State) String() string {
	switch s {
	case Initializing:
		return "initializing"
	case Running:
		return "running"
	case Draining:
		return "draining"
	case Stopped:
		return "stopped"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// Ready reports whether new connections and messages are welcome.
func (s State) Ready() bool { return s == Running }

// Live reports whether the process does what it should; one that does not is to
// be restarted.
func (s State) Live() bool { return s != Stopped && s != Failed }

// Final reports whether no other state can follow.
func (s State) Final() bool { return s == Stopped || s == Failed }

// ErrTransition is wrapped by the error about a state that cannot follow.
var ErrTransition = errors.New("no such transition")

// follows lists which states may follow which.
var follows = map[State][]State{
	Initializing: {Running, Stopped, Failed},
	Running:      {Draining, Failed},
	Draining:     {Stopped, Failed},
}

// Life holds the state of one process. It is safe for concurrent use. The zero
// value is not usable; New makes one.
type Life struct {
	mu      sync.Mutex
	state   State
	reason  string
	since   time.Time
	watcher func(State, string)
	changed chan struct{}
}

// New returns a Life in state Initializing.
func New() *Life { return &Life{changed: make(chan struct{}), since: time.Now()} }

// State is the present state and the reason given for it.
func (l *Life) State() (State, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.reason
}

// Since is when the present state began.
func (l *Life) Since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// OnChange has a function called after each transition, on the goroutine of who asked for
// it. Call it once, before the first.
func (l *Life) OnChange(watcher func(State, string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watcher = watcher
}

// Changed is the present state and a channel that is closed when it changes.
// After a final state it never is.
func (l *Life) Changed() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// Explain changes the reason for a state, if that is the present one.
func (l *Life) Explain(state State, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == state {
		l.reason = reason
	}
}

// To goes over to the state; the reason, which may be empty, is for people. It
// fails with ErrTransition, and changes nothing, where the state cannot follow.
// A transition to the present state does nothing.
func (l *Life) To(next State, reason string) error {
	watcher, err := l.to(next, reason)
	if watcher != nil {
		watcher(next, reason)
	}
	return err
}

// to answers whom to tell of the transition; nil if there was none.
func (l *Life) to(next State, reason string) (func(State, string), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if next == l.state {
		return nil, nil
	}
	for _, allowed := range follows[l.state] {
		if next == allowed {
			l.state, l.reason, l.since = next, reason, time.Now()
			close(l.changed)
			l.changed = make(chan struct{})
			return l.watcher, nil
		}
	}
	return nil, fmt.Errorf("%w: from %s to %s", ErrTransition, l.state, next)
}
