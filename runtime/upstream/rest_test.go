package upstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks for a pause gets nothing meanwhile, and is back when it is over; the others
// have its share.
func TestRest(t *testing.T) {
	bubble(t, Options{Members: endpoints(2), Retry: Retry{Tries: 2}}, func(t *testing.T, p *Pool) {
		asked := map[string]int{}
		call := func(tired string) error {
			return p.Do(t.Context(), nil, func(_ context.Context, m *Member) error {
				if asked[m.Address()]++; m.Address() == tired {
					return RestUntil(10*time.Second, As(Busy, errSick))
				}
				return nil
			})
		}
		tired := p.Members()[0].Address()
		for range 20 {
			if err := call(tired); err != nil {
				t.Fatal(err)
			}
		}
		if asked[tired] != 1 {
			t.Errorf("%s was asked %d times while it rested", tired, asked[tired])
		}
		s := member(p, tired).stats(p.now())
		if s.Up || s.Why != whyResting || s.Rests != 1 || s.Outcomes[Busy] != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		for range 20 {
			if err := call(""); err != nil {
				t.Fatal(err)
			}
		}
		if asked[tired] < 5 {
			t.Errorf("%s was asked %d times after its rest", tired, asked[tired])
		}
	})
}

// A longer rest prolongs one that goes on, a shorter one does not cut it.
func TestRestsAddNothing(t *testing.T) {
	bubble(t, Options{Members: endpoints(1)}, func(t *testing.T, p *Pool) {
		m := p.Members()[0]
		for _, d := range []time.Duration{5 * time.Second, time.Second, 8 * time.Second} {
			p.rest(m, d)
		}
		p.settle()
		for _, c := range []struct {
			after time.Duration
			up    bool
		}{{7 * time.Second, false}, {1100 * time.Millisecond, true}} {
			time.Sleep(c.after)
			synctest.Wait()
			if up := m.left() == ""; up != c.up {
				t.Errorf("after %v: %v", c.after, m.left())
			}
		}
	})
}

// The only member's pause is the call's, if it is no longer than a pause may be; else
// the call ends with what the member said.
func TestTheOnlyMemberRests(t *testing.T) {
	for _, c := range []struct {
		rest time.Duration
		took time.Duration
		well bool
	}{{800 * time.Millisecond, 800 * time.Millisecond, true}, {time.Minute, 0, false}} {
		bubble(t, Options{Members: endpoints(1), Retry: Retry{Tries: 2, Pause: time.Millisecond}}, func(t *testing.T, p *Pool) {
			begun, n := time.Now(), 0
			err := p.Do(t.Context(), nil, func(context.Context, *Member) error {
				if n++; n == 1 {
					return RestUntil(c.rest, As(Busy, errSick))
				}
				return nil
			})
			took := time.Since(begun)
			if (err == nil) != c.well || took < c.took || took > c.took+100*time.Millisecond {
				t.Errorf("%v: %v after %v", c.rest, err, took)
			}
			if !c.well && (!errors.Is(err, errSick) || n != 1) {
				t.Errorf("%d tries, %v", n, err)
			}
			if c.well {
				return
			}
			if _, err := p.Pick(nil, nil); !errors.Is(err, ErrNoMember) || !strings.Contains(err.Error(), whyResting) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRestSaysNothingElse(t *testing.T) {
	if RestUntil(time.Second, nil) != nil || restOf(RestUntil(0, errSick)) != 0 {
		t.Error("something became of nothing")
	}
	err := Final(RestUntil(time.Second, As(Busy, errSick)))
	if Classify(err) != Busy || !final(err) || restOf(err) != time.Second || !errors.Is(err, errSick) {
		t.Errorf("%v", err)
	}
}
