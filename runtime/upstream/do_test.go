package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var errSick = errors.New("sick")

func TestDoTriesAnotherMember(t *testing.T) {
	bubble(t, Options{Members: endpoints(3)}, func(t *testing.T, p *Pool) {
		var asked []string
		err := p.Do(t.Context(), nil, func(_ context.Context, m *Member) error {
			asked = append(asked, m.Address())
			if len(asked) < 3 {
				return errSick
			}
			return nil
		})
		if err != nil || len(asked) != 3 || asked[0] == asked[1] || asked[1] == asked[2] || asked[0] == asked[2] {
			t.Fatal(err, asked)
		}
		if s := p.Stats(); s.Calls != 1 || s.Retries != 2 || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDoStartsOverWhenAllWereTried(t *testing.T) {
	bubble(t, Options{Members: endpoints(2), Retry: Retry{Tries: 5}}, func(t *testing.T, p *Pool) {
		n := 0
		err := p.Do(t.Context(), nil, func(context.Context, *Member) error { n++; return errSick })
		if !errors.Is(err, errSick) || n != 5 || !strings.Contains(err.Error(), "after 5 tries") {
			t.Fatal(n, err)
		}
	})
}

func TestWhatIsNotTriedAgain(t *testing.T) {
	for _, c := range []struct {
		err     error
		outcome Outcome
		tries   int
	}{
		{nil, OK, 1},
		{As(Declined, errSick), Declined, 1},
		{Final(errSick), Failed, 1},
		{Final(fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)), Broken, 1},
		{As(Busy, Final(errSick)), Busy, 1},
		{As(Busy, errSick), Busy, 3},
		{fmt.Errorf("%w", As(Garbled, errSick)), Garbled, 3},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, Refused, 3},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Broken, 3},
		{&net.OpError{Op: "read", Err: context.DeadlineExceeded}, TimedOut, 3},
		{context.Canceled, Cancelled, 1},
		{&net.DNSError{Err: "no such host"}, Refused, 3},
		{errSick, Failed, 3},
	} {
		bubble(t, Options{Members: endpoints(1)}, func(t *testing.T, p *Pool) {
			n := 0
			err := p.Do(t.Context(), nil, func(context.Context, *Member) error { n++; return c.err })
			s := p.Stats().Members[0]
			if n != c.tries || s.Outcomes[c.outcome] != uint64(n) || s.Calls() != uint64(n) || !errors.Is(err, c.err) {
				t.Errorf("%v: %d tries, %v, %v", c.err, n, s.Outcomes, err)
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	r := Retry{Pause: 10 * time.Millisecond, MaxPause: 50 * time.Millisecond}
	for i, bound := range []time.Duration{10, 20, 40, 50, 50} {
		var longest time.Duration
		for range 1000 {
			longest = max(longest, r.before(i+1))
		}
		if bound *= time.Millisecond; longest > bound || longest < bound*9/10 {
			t.Errorf("before round %d: up to %v, expected %v", i+1, longest, bound)
		}
	}
}

// A pool that fails altogether gets its share of retries and no more.
func TestTheBudgetBoundsRetries(t *testing.T) {
	o := Options{Members: endpoints(1), Breaker: Breaker{Off: true}, Retry: Retry{Tries: 4, Share: 0.1, PerSecond: 1, Pause: time.Nanosecond}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		var unbudgeted atomic.Int32
		for range 1000 {
			if err := p.Do(t.Context(), nil, func(context.Context, *Member) error { return errSick }); errors.Is(err, ErrBudget) && errors.Is(err, errSick) {
				unbudgeted.Add(1)
			}
		}
		s := p.Stats()
		if s.Retries != 110 || s.Unbudgeted != uint64(unbudgeted.Load()) || unbudgeted.Load() == 0 {
			t.Errorf("%d retries, %d were not allowed (%d seen)", s.Retries, s.Unbudgeted, unbudgeted.Load())
		}
		wait(11 * time.Second) // those calls are forgotten
		n := 0
		for range 100 {
			if p.budget.spend(p.now()) {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d retries without a call in ten seconds", n)
		}
		wait(100 * time.Hour)
		p.budget.call(p.now())
		if p.budget.at != p.now()/second || !p.budget.spend(p.now()) {
			t.Error("after a long time:", p.budget.at, p.now()/second)
		}
	})
}

func TestEachTryHasItsTimeout(t *testing.T) {
	o := Options{Members: endpoints(3), Retry: Retry{Tries: 3, Timeout: time.Second, Pause: time.Nanosecond}, Timeout: 2500 * time.Millisecond}
	bubble(t, o, func(t *testing.T, p *Pool) {
		start := time.Now()
		err := p.Do(t.Context(), nil, func(ctx context.Context, _ *Member) error {
			<-ctx.Done()
			return net.ErrClosed // as a connection says that was closed for it
		})
		if d := time.Since(start); d != 2500*time.Millisecond || Classify(err) != Broken && Classify(err) != TimedOut {
			t.Error(d, err)
		}
		var sum [outcomes]uint64
		for _, m := range p.Stats().Members {
			for o, n := range m.Outcomes {
				sum[o] += n
			}
		}
		// The third one was cut short: nothing is known of its member.
		if sum[TimedOut] != 2 || sum[Cancelled] != 1 || sum[Broken] != 0 {
			t.Error(sum)
		}
	})
}

func TestACallerThatGivesUpBlamesNobody(t *testing.T) {
	bubble(t, Options{Members: endpoints(2)}, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		err := p.Do(ctx, nil, func(ctx context.Context, _ *Member) error {
			cancel()
			return &net.OpError{Op: "read", Err: net.ErrClosed}
		})
		s := p.Stats()
		if err == nil || s.Members[0].Failures()+s.Members[1].Failures() != 0 || s.Retries != 0 {
			t.Errorf("%v, %+v", err, s)
		}
	})
}

func TestAPanicEndsTheCall(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second} {
		bubble(t, Options{Members: endpoints(2), Hedge: Hedge{After: after}}, func(t *testing.T, p *Pool) {
			defer func() {
				if r := recover(); r != "broken" {
					t.Error(r)
				}
				s := p.Stats().Members
				if n := s[0].InFlight + s[1].InFlight; n != 0 || s[0].Failures()+s[1].Failures() != 1 {
					t.Errorf("%d in flight; %+v", n, s)
				}
			}()
			p.Do(t.Context(), nil, func(context.Context, *Member) error { panic("broken") })
		})
	}
}

func TestTheRateIsHeld(t *testing.T) {
	o := Options{Members: endpoints(1), Rate: Rate{PerSecond: 10, Burst: 5, Wait: 100 * time.Millisecond}}
	bubble(t, o, func(t *testing.T, p *Pool) {
		ok := func(context.Context, *Member) error { return nil }
		start := time.Now()
		for range 5 {
			if err := p.Do(t.Context(), nil, ok); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Error("the burst waited")
		}
		if err := p.Do(t.Context(), nil, ok); err != nil || time.Since(start) != 100*time.Millisecond {
			t.Error(err, time.Since(start))
		}
		var group sync.WaitGroup
		var limited atomic.Int32
		for range 3 { // one may wait, the others would wait too long
			group.Go(func() {
				if errors.Is(p.Do(t.Context(), nil, ok), ErrRate) {
					limited.Add(1)
				}
			})
		}
		group.Wait()
		if limited.Load() != 2 || p.Stats().RateLimited != 2 {
			t.Error(limited.Load(), p.Stats().RateLimited)
		}
	})
}

func TestHedges(t *testing.T) {
	type member struct {
		takes time.Duration
		err   error
	}
	for _, c := range []struct {
		name         string
		first, other member
		takes        time.Duration
		err          error
		hedges, won  uint64
	}{
		{"a fast first", member{takes: 50 * time.Millisecond}, member{}, 50 * time.Millisecond, nil, 0, 0},
		{"a slow first", member{takes: time.Hour}, member{takes: 10 * time.Millisecond}, 110 * time.Millisecond, nil, 1, 1},
		{"the first all the same", member{takes: 150 * time.Millisecond}, member{takes: time.Hour}, 150 * time.Millisecond, nil, 1, 0},
		{"the hedge fails", member{takes: 300 * time.Millisecond}, member{err: errSick}, 300 * time.Millisecond, nil, 1, 0},
		{"the first fails late", member{takes: 150 * time.Millisecond, err: errSick}, member{takes: 100 * time.Millisecond}, 200 * time.Millisecond, nil, 1, 1},
		{"both fail", member{takes: 150 * time.Millisecond, err: errSick}, member{takes: 100 * time.Millisecond, err: errSick}, 200 * time.Millisecond, errSick, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Members: endpoints(2), Retry: Retry{Tries: 2}, Hedge: Hedge{After: 100 * time.Millisecond}}
			bubble(t, o, func(t *testing.T, p *Pool) {
				var asked atomic.Int32
				start := time.Now()
				err := p.Do(t.Context(), nil, func(ctx context.Context, _ *Member) error {
					m := c.first
					if asked.Add(1) == 2 {
						m = c.other
					}
					if err := pause(ctx, m.takes); err != nil {
						return err
					}
					return m.err
				})
				s := p.Stats()
				if d := time.Since(start); d != c.takes || !errors.Is(err, c.err) || s.Hedges != c.hedges || s.HedgesWon != c.won {
					t.Errorf("%v, %v, %d hedges, %d won", d, err, s.Hedges, s.HedgesWon)
				}
				var cancelled uint64
				for _, m := range s.Members {
					cancelled += m.Outcomes[Cancelled]
				}
				if c.err == nil && c.hedges == 1 && c.first.err == nil && c.other.err == nil && cancelled != 1 {
					t.Errorf("the slower one's context did not end: %+v", s.Members)
				}
			})
		})
	}
}

func TestAFailureBeforeTheHedgeIsRetried(t *testing.T) {
	bubble(t, Options{Members: endpoints(2), Hedge: Hedge{After: time.Minute}}, func(t *testing.T, p *Pool) {
		n := 0
		err := p.Do(t.Context(), nil, func(context.Context, *Member) error {
			if n++; n == 1 {
				return errSick
			}
			return nil
		})
		if s := p.Stats(); err != nil || s.Retries != 1 || s.Hedges != 0 {
			t.Errorf("%v, %+v", err, s)
		}
	})
}

func TestAClosedPoolTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Options{Members: endpoints(1)})
		run(t, p)()
		if _, err := p.Pick(nil, nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := p.Do(t.Context(), nil, nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// Everything at once, for the race detector; at the end nothing is in flight and
// every try was counted.
func TestManyCallersAtOnce(t *testing.T) {
	for b := RoundRobin; b <= ConsistentHash; b++ {
		p := newPool(t, Options{
			Balance: b, Members: endpoints(8), Retry: Retry{Pause: time.Microsecond, Timeout: time.Second}, Hedge: Hedge{After: 200 * time.Microsecond},
			Breaker: Breaker{Calls: 5, Open: time.Millisecond, Window: 10 * time.Second}, Outlier: Outlier{Failures: 3, Ejection: time.Millisecond}, SlowStart: 5 * time.Millisecond,
			Check: Check{Interval: time.Millisecond, Checker: func(_ context.Context, m *Member) error { return nil }},
		})
		stop := run(t, p)
		var group sync.WaitGroup
		var tries atomic.Uint64
		for g := range 8 {
			group.Go(func() {
				for i := range 300 {
					p.Do(t.Context(), fmt.Append(nil, i), func(ctx context.Context, m *Member) error {
						tries.Add(1)
						switch (g + i) % 7 {
						case 0:
							return errSick
						case 1:
							return pause(ctx, 300*time.Microsecond)
						}
						return nil
					})
					if i%50 == 0 {
						p.found(Found{Endpoints: endpoints(5 + (g+i)%4)})
						p.Stats()
					}
				}
			})
		}
		group.Wait()
		stop()
		if n := p.inFlight.Load(); n != 0 {
			t.Errorf("%v: %d in flight", b, n)
		}
		for _, m := range p.Members() {
			if m.InFlight() != 0 {
				t.Errorf("%v: %s: %d in flight", b, m.Address(), m.InFlight())
			}
		}
		if s := p.Stats(); s.Calls != 2400 || tries.Load() > s.Calls+s.Retries+s.Hedges {
			t.Errorf("%v: %d tries; %+v", b, tries.Load(), s)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"there twice":       {Members: []Endpoint{{Address: "a"}, {Address: "a"}}},
		"no address":        {Members: []Endpoint{{}}},
		"its weight is -1":  {Members: []Endpoint{{Address: "a", Weight: -1}}},
		"Retry.Tries is 9":  {Retry: Retry{Tries: 9}},
		"Outlier.Share":     {Outlier: Outlier{Share: 1.5}},
		"HashLoad is 0.5":   {HashLoad: 0.5},
		"SlowStart is -1ns": {SlowStart: -1},
		"Check.Interval":    {Check: Check{Interval: -1}},
		"Breaker.Window":    {Retry: Retry{Timeout: time.Minute}, Breaker: Breaker{Window: time.Second}},
		"no balance":        {Balance: 99},
	} {
		o.Name, o.Logger = "p", discard
		if _, err := New(o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q: %v", want, err)
		}
	}
	for b := RoundRobin; b <= ConsistentHash; b++ {
		if got, err := ParseBalance(b.String()); got != b || err != nil {
			t.Error(b, got, err)
		}
	}
	if _, err := ParseBalance("best"); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
