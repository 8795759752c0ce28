package mqtt

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestModelAway compares with a list that is searched: wills and ends come when
// they are due, once, and not after a return.
func TestModelAway(t *testing.T) {
	type model struct {
		s          *Session
		ends, will int64
		away       bool
	}
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(0)
		store, away := NewStore(budget), NewAway()
		all := make([]model, rapid.IntRange(1, 12).Draw(t, "sessions"))
		for i := range all {
			all[i].s = NewSession(store, uint64(i), &Limits{})
		}
		now := int64(second)
		for range rapid.IntRange(10, 100).Draw(t, "steps") {
			m := &all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step <= 1 && !m.away:
				expiry := rapid.SampledFrom([]uint32{0, 1, 5, 9, Forever}).Draw(t, "expiry")
				m.will, m.ends, m.away = math.MaxInt64, math.MaxInt64, true
				if expiry != Forever {
					m.ends = now + int64(expiry)*second
				}
				if rapid.Bool().Draw(t, "will") {
					delay := rapid.Uint32Range(0, 10).Draw(t, "delay")
					m.s.SetWill(text("w", "gone"), delay)
					m.will = min(now+int64(delay)*second, m.ends)
				}
				m.s.Attach(Link{})
				away.Leave(m.s, expiry, now)
			case step == 2 && m.away && m.will > now && m.ends > now:
				away.Return(m.s)
				m.away = false
			case step == 3 && m.away && m.ends > now:
				away.End(m.s, now)
				if m.ends = now; m.will != math.MaxInt64 {
					m.will = now
				}
			default:
				now += int64(rapid.IntRange(0, 3*second).Draw(t, "time"))
			}
			for d, ok := away.Due(now); ok; d, ok = away.Due(now) {
				m := &all[d.Session.ID()]
				if !m.away || (d.Will != nil) != (m.will <= now) || d.Ended != (m.ends <= now) {
					t.Fatalf("will %v, ended %v at %d: %+v", d.Will != nil, d.Ended, now, m)
				}
				if d.Will != nil && string(d.Will.Payload) != "gone" {
					t.Fatalf("%q", d.Will.Payload)
				}
				m.will = math.MaxInt64
				if d.Ended {
					m.away = false
					m.s.End()
					m.s = NewSession(store, m.s.ID(), &Limits{})
				}
			}
			n, next := 0, int64(math.MaxInt64)
			for _, m := range all {
				if m.away {
					n++
					next = min(next, m.ends, m.will)
				}
			}
			if away.Len() != n || away.Next() != next || next <= now {
				t.Fatalf("%d away, want %d; next %d, want %d", away.Len(), n, away.Next(), next)
			}
		}
		for _, m := range all {
			m.s.End()
		}
		away.Due(now)
		if budget.Used() != 0 {
			t.Fatalf("%d bytes of the budget are lost", budget.Used())
		}
	})
}

// TestGoodbye: DISCONNECT 0x00 takes the will away.
func TestGoodbye(t *testing.T) {
	r, away := newRig(t, Limits{}), NewAway()
	r.s.SetWill(text("w", "gone"), 0)
	r.s.Attach(Link{})
	r.s.DropWill()
	away.Leave(r.s, 0, r.now)
	d, ok := away.Due(r.now)
	if !ok || d.Will != nil || !d.Ended {
		t.Fatalf("%+v", d)
	}
}

// TestCleanStartPublishesTheWill: a clean start ends the session, and with it the
// wait for the will's delay.
func TestCleanStartPublishesTheWill(t *testing.T) {
	r, away := newRig(t, Limits{}), NewAway()
	r.s.SetWill(text("w", "gone"), 100)
	r.s.Attach(Link{})
	away.Leave(r.s, 1000, r.now)
	if _, ok := away.Due(r.now); ok {
		t.Fatal("too early")
	}
	away.End(r.s, r.now)
	if d, ok := away.Due(r.now); !ok || d.Will == nil || !d.Ended {
		t.Fatalf("%+v", d)
	}
}

// BenchmarkIdleTick is a tick with 20,000 sessions away and nothing due.
func BenchmarkIdleTick(b *testing.B) {
	b.ReportAllocs()
	store, away := NewStore(NewBudget(0)), NewAway()
	for i := range 20_000 {
		s := NewSession(store, uint64(i), &Limits{})
		away.Leave(s, uint32(1000+i), 0)
	}
	for b.Loop() {
		away.Due(1)
	}
}
