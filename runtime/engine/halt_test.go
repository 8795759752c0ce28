package engine

import (
	"errors"
	"testing"
	"time"
)

// turns is a handler of turns.
type turns func()

func (turns) Open(*Conn)                    {}
func (turns) Data(*Conn, []byte) (_, _ int) { return 0, 0 }
func (f turns) Turn()                       { f() }
func (turns) Closed(*Conn, Reason)          {}
func (turns) Idle(*Conn)                    {}
func (turns) Tick(time.Time)                {}

// oneLoop is an engine of one loop and no listener.
func oneLoop(t *testing.T, turn func()) *Engine {
	t.Helper()
	e, err := New(Config{Loops: 1}, nil, func(*Loop) (Handler, error) { return turns(turn), nil })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestTheEndWaitsForDo stops an engine while a function is on its way to a loop: who calls
// Do may not run for as long as the system likes.
func TestTheEndWaitsForDo(t *testing.T) {
	e := oneLoop(t, func() {})
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	began := make(chan struct{})
	if err := e.Do(0, func() { close(began) }); err != nil {
		t.Fatal(err)
	}
	<-began
	e.mu.RLock() // Do has looked, and does not run
	go e.halt()
	for !e.stopping.Load() && e.mu.TryRLock() {
		e.mu.RUnlock()
	}
	if e.stopping.Load() {
		t.Error("the loops end, and a function is still on its way to one")
	}
	ran := false
	e.loops[0].funcs <- func() { ran = true }
	e.mu.RUnlock()
	if err := <-ended; err != nil || !ran {
		t.Errorf("%v; it was run: %t", err, ran)
	}
}

// deafSource is a source that fails.
type deafSource struct{ source }

var errDeaf = errors.New("on purpose")

func (deafSource) wait(time.Duration) error { return errDeaf }

// TestALoopThatFailsTakesNoMore asks a loop to run functions while it ends by a fault.
func TestALoopThatFailsTakesNoMore(t *testing.T) {
	var e *Engine
	taken, ran := 0, 0
	e = oneLoop(t, func() {
		switch err := e.Do(0, func() { ran++ }); {
		case err == nil:
			taken++
		case !errors.Is(err, ErrStopped):
			t.Error(err)
		}
	})
	e.loops[0].source = deafSource{e.loops[0].source}
	if err := e.Run(t.Context()); !errors.Is(err, errDeaf) {
		t.Error(err)
	}
	if taken != ran {
		t.Errorf("%d functions were taken, %d run", taken, ran)
	}
}
