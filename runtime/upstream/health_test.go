package upstream

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// bubble is a test in a time of its own, with a pool that runs.
func bubble(t *testing.T, o Options, test func(t *testing.T, p *Pool)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, o)
		stop := run(t, p)
		defer stop()
		synctest.Wait()
		test(t, p)
	})
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestABreakerOpensProbesAndCloses(t *testing.T) {
	o := Options{Members: endpoints(2), Outlier: Outlier{Off: true}, Breaker: Breaker{Calls: 10, Share: 0.5, Open: time.Second, Probes: 2}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		m := p.Members()[0]
		state := func() string { return p.Stats().Members[0].Breaker }
		end(t, m, repeat(OK, 4)...)
		end(t, m, repeat(Cancelled, 20)...) // say nothing
		end(t, m, repeat(Failed, 3)...)
		if state() != "closed" {
			t.Fatal("7 calls of 10:", state())
		}
		late, err := m.Begin()
		if err != nil {
			t.Fatal(err)
		}
		end(t, m, repeat(Failed, 3)...)
		if s := p.Stats().Members[0]; s.Breaker != "open" || s.Up || s.Why != whyOpen || s.Opened != 1 {
			t.Fatalf("%+v", s)
		}
		for range 10 {
			if pick(t, p, "") == m {
				t.Fatal("picked while its breaker is open")
			}
		}
		if _, err := m.Begin(); !errors.Is(err, ErrNoMember) {
			t.Fatal(err)
		}
		wait(1100 * time.Millisecond)
		if state() != "half-open" {
			t.Fatal(state())
		}
		late.End(Failed) // from before: no word about now
		if state() != "half-open" {
			t.Fatal("a late failure:", state())
		}
		a, _ := m.Begin()
		b, _ := m.Begin()
		if _, err := m.Begin(); !errors.Is(err, ErrNoMember) {
			t.Fatal("a third probe:", err)
		}
		for range 10 {
			if pick(t, p, "") == m {
				t.Fatal("picked while enough probe it")
			}
		}
		a.End(OK)
		b.End(Cancelled) // gives its probe back
		end(t, m, OK)
		if state() != "closed" {
			t.Fatal(state())
		}
	})
}

func TestAFailedProbeOpensAgain(t *testing.T) {
	o := Options{Members: endpoints(1), Breaker: Breaker{Calls: 2, Open: time.Second}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		m := p.Members()[0]
		end(t, m, Failed, Failed)
		wait(1100 * time.Millisecond)
		end(t, m, TimedOut)
		if s := p.Stats().Members[0]; s.Breaker != "open" || s.Opened != 2 {
			t.Fatalf("%+v", s)
		}
		wait(500 * time.Millisecond)
		if _, err := p.Pick(nil, nil); !errors.Is(err, ErrNoMember) {
			t.Fatal(err)
		}
		wait(600 * time.Millisecond)
		end(t, pick(t, p, ""), OK, OK, OK)
		if s := p.Stats().Members[0]; s.Breaker != "closed" {
			t.Fatalf("%+v", s)
		}
	})
}

func TestOldFailuresLeaveTheWindow(t *testing.T) {
	o := Options{Members: endpoints(1), Breaker: Breaker{Window: 10 * time.Second, Calls: 10}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		for range 5 {
			end(t, p.Members()[0], Failed, Failed, Failed)
			wait(6 * time.Second) // never more than 6 in the window
		}
		if s := p.Stats().Members[0]; s.Breaker != "closed" {
			t.Fatalf("%+v", s)
		}
	})
}

func TestEjectionsGrowAndShrink(t *testing.T) {
	o := Options{Members: endpoints(4), Breaker: Breaker{Off: true}, Outlier: Outlier{Failures: 3, Ejection: time.Second, MaxEjection: 3 * time.Second}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		m := p.Members()[0]
		away := func() time.Duration {
			end(t, m, Failed, Failed, OK, Failed, Failed) // a success between
			if !p.Stats().Members[0].Up {
				t.Fatal("ejected for what was not in a row")
			}
			end(t, m, Failed)
			s := p.Stats().Members[0]
			if s.Up || s.Why != whyEjected {
				t.Fatalf("%+v", s)
			}
			d := time.Until(s.Ejected)
			wait(d - time.Millisecond)
			if p.Stats().Members[0].Up {
				t.Fatal("back too early")
			}
			wait(time.Millisecond)
			if !p.Stats().Members[0].Up {
				t.Fatal("not back in time")
			}
			return d
		}
		for i, want := range []time.Duration{1, 2, 3, 3} {
			if d := away(); d != want*time.Second {
				t.Errorf("ejection %d took %v, expected %v s", i, d, want)
			}
		}
		wait(2 * time.Second) // four in a row, less two
		if d := away(); d != 3*time.Second {
			t.Error(d)
		}
		wait(time.Hour)
		if d := away(); d != time.Second {
			t.Error(d)
		}
	})
}

func TestEnoughMembersStay(t *testing.T) {
	for _, c := range []struct {
		members int
		share   float64
		ejected int
	}{{1, 1, 0}, {2, 0.1, 1}, {2, 1, 1}, {5, 0.5, 2}, {10, 0.3, 3}} {
		o := Options{Members: endpoints(c.members), Breaker: Breaker{Off: true}, Outlier: Outlier{Failures: 1, Share: c.share}}
		bubble(t, o, func(t *testing.T, p *Pool) {
			for _, m := range p.Members() {
				end(t, m, Failed)
			}
			n := 0
			s := p.Stats()
			for _, m := range s.Members {
				if !m.Up {
					n++
				}
			}
			if n != c.ejected || s.Unejected != uint64(c.members-n) {
				t.Errorf("%+v: %d are ejected, %d stayed", c, n, s.Unejected)
			}
		})
	}
}

func TestChecksTakeDownAndUp(t *testing.T) {
	var sick atomic.Bool
	var asked atomic.Int32
	o := Options{Members: endpoints(2), Check: Check{Interval: 10 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}}
	o.Check.Checker = func(ctx context.Context, m *Member) error {
		if m.Address() != "10.0.0.0:80" {
			return nil
		}
		asked.Add(1)
		if sick.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	bubble(t, o, func(t *testing.T, p *Pool) {
		stats := func() MemberStats { return p.Stats().Members[0] }
		if asked.Load() != 1 || !stats().Up {
			t.Fatalf("the first check is at once: %d, %+v", asked.Load(), stats())
		}
		until := func(checks int32) {
			for n := asked.Load(); asked.Load() < n+checks; {
				wait(time.Second)
			}
			wait(1500 * time.Millisecond)
		}
		sick.Store(true)
		until(2)
		if !stats().Up {
			t.Fatal("down after two")
		}
		until(1)
		if s := stats(); s.Up || s.Why != whyDown || !errors.Is(s.CheckErr, context.DeadlineExceeded) || s.ChecksFailed != 3 {
			t.Fatalf("%+v", s)
		}
		sick.Store(false)
		until(1)
		if stats().Up {
			t.Fatal("up after one")
		}
		until(1)
		if s := stats(); !s.Up || s.CheckErr != nil {
			t.Fatalf("%+v", s)
		}
		start, n := time.Now(), asked.Load()
		until(20)
		if d := time.Since(start) / time.Duration(asked.Load()-n); d < 8*time.Second || d > 12*time.Second {
			t.Error("the interval is", d)
		}
	})
}

func TestTheFirstCheckDecidesAlone(t *testing.T) {
	var sick atomic.Bool
	sick.Store(true)
	o := Options{Members: endpoints(1), Check: Check{Interval: time.Second}}
	o.Check.Checker = func(context.Context, *Member) error {
		if sick.Load() {
			panic("sick")
		}
		return nil
	}
	bubble(t, o, func(t *testing.T, p *Pool) {
		if p.Stats().Members[0].Up {
			t.Fatal("up after its first check failed")
		}
		sick.Store(false)
		wait(3 * time.Second)
		if !p.Stats().Members[0].Up {
			t.Fatal("still down after two checks")
		}
	})
}

func TestChecksFollowTheMembers(t *testing.T) {
	var asked [3]atomic.Int32
	all := endpoints(3)
	o := Options{Members: all[:2], Check: Check{Interval: time.Second}}
	o.Check.Checker = func(_ context.Context, m *Member) error {
		for i := range all {
			if all[i].Address == m.Address() {
				asked[i].Add(1)
			}
		}
		return nil
	}
	bubble(t, o, func(t *testing.T, p *Pool) {
		first := p.Members()[0]
		p.found(Found{Endpoints: all[1:]})
		synctest.Wait()
		if !first.Gone() || asked[2].Load() != 1 {
			t.Fatal(first.Gone(), asked[2].Load())
		}
		n := asked[0].Load()
		wait(10 * time.Second)
		if asked[0].Load() != n || asked[1].Load() < 8 || asked[2].Load() < 8 {
			t.Error(asked[0].Load()-n, asked[1].Load(), asked[2].Load())
		}
	})
}

func TestSlowStart(t *testing.T) {
	o := Options{Members: endpoints(1), SlowStart: 10 * time.Second, Breaker: Breaker{Off: true}, Outlier: Outlier{Failures: 1, Ejection: time.Second, Share: 1}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		part := func() float64 { // of the second member
			counts := share(t, p, 1000)
			return counts[1] / (counts[0] + counts[1])
		}
		if s := p.Stats().Members[0].Share; s != 1 {
			t.Fatal("a member from the start is new:", s)
		}
		p.found(Found{Endpoints: endpoints(2)})
		for _, c := range []struct {
			after time.Duration
			want  float64
		}{{0, 0.1 / 1.1}, {5 * time.Second, 0.5 / 1.5}, {6 * time.Second, 0.5}} {
			wait(c.after)
			if got := part(); got < c.want-0.02 || got > c.want+0.02 {
				t.Errorf("after %v more: %.3f of the calls, expected %.3f", c.after, got, c.want)
			}
		}
		end(t, p.Members()[1], Failed)
		wait(time.Second)
		if got := part(); got > 0.12 {
			t.Errorf("back from an ejection: %.3f of the calls at once", got)
		}
	})
}

// Whatever happens to the members, nobody is picked that must not be, and all heal.
func TestHealthModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// rapid stops by a panic, which must be on its own goroutine.
		var stopped any
		synctest.Test(t, func(t *testing.T) {
			defer func() { stopped = recover() }()
			healthModel(t, rt)
		})
		if stopped != nil {
			panic(stopped)
		}
	})
}

func healthModel(t *testing.T, rt *rapid.T) {
	n := rapid.IntRange(1, 6).Draw(rt, "members")
	o := Options{
		Balance: Balance(rapid.IntRange(0, int(ConsistentHash)).Draw(rt, "balance")), Members: endpoints(n),
		Breaker:   Breaker{Calls: 4, Open: time.Second, Probes: rapid.IntRange(1, 3).Draw(rt, "probes"), Window: 4 * time.Second},
		Outlier:   Outlier{Failures: 3, Ejection: time.Second, MaxEjection: 4 * time.Second, Share: rapid.Float64Range(0.1, 1).Draw(rt, "share")},
		SlowStart: 2 * time.Second,
	}
	var sick [6]atomic.Bool
	if rapid.Bool().Draw(rt, "checks") {
		o.Check = Check{Interval: time.Second, Fall: 2, Checker: func(_ context.Context, m *Member) error {
			if sick[m.Address()[len("10.0.0.")]-'0'].Load() {
				return errors.New("sick")
			}
			return nil
		}}
	}
	p := newPool(t, o)
	stop := run(t, p)
	defer stop()
	synctest.Wait() // the first checks are over
	var open []Call
	for range rapid.IntRange(1, 100).Draw(rt, "steps") {
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			wait(time.Duration(rapid.IntRange(1, 1500).Draw(rt, "ms")) * time.Millisecond)
		case 1:
			i := rapid.IntRange(0, n-1).Draw(rt, "who")
			sick[i].Store(!sick[i].Load())
		case 2:
			if len(open) > 0 {
				open[0].End(Outcome(rapid.IntRange(0, outcomes-1).Draw(rt, "outcome")))
				open = open[1:]
			}
		default:
			m, err := p.Pick([]byte("key"), nil)
			up := 0
			for _, s := range p.Stats().Members {
				if s.Up {
					up++
				}
				if m != nil && s.Address == m.Address() && (!s.Up || s.Breaker == "open" || !s.Ejected.IsZero() && s.Why == "") {
					rt.Fatalf("picked %+v", s)
				}
			}
			if err != nil {
				half := 0
				for _, s := range p.Stats().Members {
					if s.Breaker == "half-open" && s.InFlight >= o.Breaker.Probes {
						half++
					}
				}
				if up > half {
					rt.Fatalf("%d members are up, and none was picked: %v", up, err)
				}
				continue
			}
			if c, err := m.Begin(); err == nil {
				open = append(open, c)
			}
		}
		ejected := 0
		for _, s := range p.Stats().Members {
			if !s.Ejected.IsZero() {
				ejected++
			}
			if s.InFlight < 0 || s.Share <= 0 || s.Share > 1 {
				rt.Fatalf("%+v", s)
			}
		}
		if ejected > p.mayEject(n) {
			rt.Fatalf("%d of %d are ejected", ejected, n)
		}
	}
	for _, c := range open {
		c.End(OK)
	}
	for i := range sick {
		sick[i].Store(false)
	}
	wait(10 * time.Second)
	for _, m := range p.Members() {
		if s := m.stats(p.now()); !s.Up || s.InFlight != 0 || s.Breaker == "open" {
			rt.Fatalf("never healed: %+v", s)
		}
		for range 3 {
			if c, err := m.Begin(); err == nil {
				c.End(OK)
			}
		}
		if s := m.stats(p.now()); s.Breaker != "closed" {
			rt.Fatalf("its probes succeed: %+v", s)
		}
	}
}
