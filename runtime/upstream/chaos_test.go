package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One of five members is slow, one refuses, one answers garbage. The pool finds out
// within seconds, then hardly a caller notices; and when they heal, they are back.
func TestThreeOfFiveAreSick(t *testing.T) {
	var sick atomic.Bool
	call := func(ctx context.Context, m *Member) error {
		if sick.Load() {
			switch m.Address() {
			case "10.0.0.0:80":
				return pause(ctx, 5*time.Second)
			case "10.0.0.1:80":
				return As(Refused, errSick)
			case "10.0.0.2:80":
				return As(Garbled, errSick)
			}
		}
		return pause(ctx, 5*time.Millisecond)
	}
	o := Options{
		Balance: LeastConn, Members: endpoints(5), SlowStart: 2 * time.Second,
		Retry:   Retry{Timeout: 100 * time.Millisecond, Pause: 5 * time.Millisecond},
		Breaker: Breaker{Open: 2 * time.Second}, Outlier: Outlier{Ejection: 2 * time.Second, MaxEjection: 10 * time.Second},
	}
	bubble(t, o, func(t *testing.T, p *Pool) {
		// traffic is 200 calls a second for so long: how many failed, and how long the
		// slowest of a hundred took.
		traffic := func(d time.Duration) (calls, failed int, p99 time.Duration) {
			var mu sync.Mutex
			var took []time.Duration
			var group sync.WaitGroup
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				group.Go(func() {
					start := time.Now()
					err := p.Do(t.Context(), nil, call)
					mu.Lock()
					defer mu.Unlock()
					if took = append(took, time.Since(start)); err != nil {
						failed++
					}
				})
			}
			group.Wait()
			synctest.Wait()
			slices.Sort(took)
			return len(took), failed, took[len(took)*99/100]
		}
		if calls, failed, p99 := traffic(5 * time.Second); failed > 0 || p99 > 6*time.Millisecond {
			t.Fatal("all well:", calls, failed, p99)
		}
		sick.Store(true)
		traffic(3 * time.Second) // finding out
		calls, failed, p99 := traffic(30 * time.Second)
		s := p.Stats()
		t.Logf("three of five sick: %d of %d calls failed, p99 %v, %d retries, %d not allowed", failed, calls, p99, s.Retries, s.Unbudgeted)
		if failed*1000 > calls || p99 > 120*time.Millisecond {
			t.Errorf("%d of %d calls failed, p99 %v", failed, calls, p99)
		}
		for i, m := range s.Members {
			t.Logf("%s: up %v (%s), breaker %s, opened %d, ejections %d, outcomes %v", m.Address, m.Up, m.Why, m.Breaker, m.Opened, m.Ejections, m.Outcomes)
			if i < 3 && m.Up && m.Breaker == "closed" {
				t.Errorf("%s is sick and takes calls as if not", m.Address)
			}
			if i >= 3 && (!m.Up || m.Failures() > 0) {
				t.Errorf("%s is well: %+v", m.Address, m)
			}
		}
		for i, o := range []Outcome{TimedOut, Refused, Garbled} {
			if m := s.Members[i]; m.Outcomes[o] == 0 || m.Outcomes[o] != m.Failures() {
				t.Errorf("%s: %v", m.Address, m.Outcomes)
			}
		}
		sick.Store(false)
		traffic(15 * time.Second) // the longest ejection, then slow start
		before := p.Stats()
		if calls, failed, p99 := traffic(10 * time.Second); failed > 0 || p99 > 6*time.Millisecond {
			t.Error("healed:", calls, failed, p99)
		}
		for i, m := range p.Stats().Members {
			n := m.Calls() - before.Members[i].Calls()
			if !m.Up || m.Share != 1 || m.Breaker != "closed" || n < 300 || n > 500 {
				t.Errorf("%s: %d of 2000 calls; %+v", m.Address, n, m)
			}
		}
		if err := p.Do(t.Context(), nil, func(context.Context, *Member) error { return As(Declined, errSick) }); !errors.Is(err, errSick) {
			t.Error(err)
		}
	})
}
