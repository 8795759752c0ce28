package life_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/life"
)

var states = []life.State{life.Initializing, life.Running, life.Draining, life.Stopped, life.Failed}

// TestTransitions tries every pair of states against the ones that are allowed.
func TestTransitions(t *testing.T) {
	ways := map[life.State][]life.State{
		life.Initializing: {},
		life.Running:      {life.Running},
		life.Draining:     {life.Running, life.Draining},
		life.Stopped:      {life.Running, life.Draining, life.Stopped},
		life.Failed:       {life.Failed},
	}
	allowed := map[[2]life.State]bool{
		{life.Initializing, life.Running}: true, {life.Initializing, life.Stopped}: true, {life.Initializing, life.Failed}: true,
		{life.Running, life.Draining}: true, {life.Running, life.Failed}: true,
		{life.Draining, life.Stopped}: true, {life.Draining, life.Failed}: true,
	}
	for from, way := range ways {
		for _, to := range states {
			l := life.New()
			for _, step := range way {
				if err := l.To(step, ""); err != nil {
					t.Fatal(err)
				}
			}
			_, changed := l.Changed()
			err := l.To(to, "why")
			now, reason := l.State()
			ok := allowed[[2]life.State{from, to}]
			switch {
			case from == to:
				if err != nil || now != from {
					t.Errorf("%s again: %v, %s", to, err, now)
				}
			case ok && (err != nil || now != to || reason != "why"):
				t.Errorf("%s to %s: %v, %s, %q", from, to, err, now, reason)
			case !ok && (!errors.Is(err, life.ErrTransition) || now != from):
				t.Errorf("%s to %s: %v, %s", from, to, err, now)
			}
			if told := isClosed(changed); told != ok {
				t.Errorf("%s to %s: watchers were told: %t", from, to, told)
			}
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhatStatesMean(t *testing.T) {
	for _, s := range states {
		if ready := s == life.Running; s.Ready() != ready {
			t.Errorf("%s: ready %t", s, s.Ready())
		}
		if final := s == life.Stopped || s == life.Failed; s.Final() != final || s.Live() == final {
			t.Errorf("%s: final %t, live %t", s, s.Final(), s.Live())
		}
		if s.String() == "unknown" {
			t.Errorf("%d has no name", s)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	l := life.New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				state, changed := l.Changed()
				if state.Final() {
					return
				}
				<-changed
			}
		})
		wg.Go(func() {
			for _, s := range states[1:4] {
				_ = l.To(s, "") // all but one are told that it happened already
			}
		})
	}
	wg.Wait()
	if s, _ := l.State(); s != life.Stopped {
		t.Error(s)
	}
}

// TestExplain: the reason changes where the state is the one that it is for.
func TestExplain(t *testing.T) {
	l := life.New()
	if err := l.To(life.Running, ""); err != nil {
		t.Fatal(err)
	}
	l.Explain(life.Draining, "too late")
	if state, reason := l.State(); state != life.Running || reason != "" {
		t.Errorf("%s, %q", state, reason)
	}
	l.Explain(life.Running, "why")
	if state, reason := l.State(); state != life.Running || reason != "why" {
		t.Errorf("%s, %q", state, reason)
	}
}
