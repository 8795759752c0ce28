package mqtt

import (
	"runtime"
	"testing"
)

// identifiers are n of them, other ones for each turn.
func identifiers(turn, n int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(turn*7%1000 + i + 1)
	}
	return ids
}

// TestIdentifiersAreInTheBudget: a thousand overlapping filters that carry
// identifiers make a tiny message large. The budget says so, and all is given back.
func TestIdentifiersAreInTheBudget(t *testing.T) {
	const messages, each = 10_000, 1000
	before := heap0()
	budget := NewBudget(0)
	store := NewStore(budget)
	s := NewSession(store, 1, &Limits{Messages: messages, Bytes: 1 << 30})
	for i := range messages {
		m := text("a", "x")
		m.Time = int64(i)
		if o := s.Offer(m, Copy{QoS: 1, Identifiers: identifiers(i, each)}, 0); o != Taken {
			t.Fatalf("message %d: %v", i, o)
		}
	}
	heap := heap0() - before
	t.Logf("%d B on the heap, %d B in the budget", heap, budget.Used())
	if off := float64(budget.Used()) / float64(heap); off < 0.8 || off > 1.25 {
		t.Errorf("the budget says %d bytes, the heap %d", budget.Used(), heap)
	}
	s.End()
	if budget.Used() != 0 {
		t.Errorf("%d bytes of the budget are lost", budget.Used())
	}
	if left := heap0() - before; left > 3<<20 {
		t.Errorf("%d bytes are left on the heap", left)
	}
	runtime.KeepAlive(store)
}

// TestIdentifiersMeetTheBounds: of the session and of all, by either policy, and
// messages that share a set pay for it once.
func TestIdentifiersMeetTheBounds(t *testing.T) {
	const each = 1000
	one := entrySize + 2 + 4*each // of the session's bytes
	for _, policy := range []Policy{DropNewest, DropOldestFirst} {
		for _, test := range []struct {
			name   string
			budget int64
			bytes  int
			want   Outcome
		}{
			{"the session", 0, 3*one + 10, DropBytes},
			{"all", int64(3*(messageCost+64+setSize(each)) + chunkCost + 100), 0, DropBudget},
		} {
			budget := NewBudget(test.budget)
			s := NewSession(NewStore(budget), 1, &Limits{Bytes: test.bytes, Policy: policy})
			for i := range 8 {
				m := text("a", "x")
				m.Time = int64(i)
				want := Taken
				if i >= 3 && policy == DropNewest {
					want = test.want
				}
				if o := s.Offer(m, Copy{QoS: 1, Identifiers: identifiers(i, each)}, 0); o != want {
					t.Errorf("%s, policy %d, message %d: %v, want %v", test.name, policy, i, o, want)
				}
			}
			if s.Len() != 3 || s.Bytes() != 3*one || budget.Used() > budget.Limit() {
				t.Errorf("%s, policy %d: %d messages, %d bytes, %d of the budget", test.name, policy, s.Len(), s.Bytes(), budget.Used())
			}
			s.End()
			if s.Bytes() != 0 || budget.Used() != 0 {
				t.Errorf("%s, policy %d: left are %d bytes, %d of the budget", test.name, policy, s.Bytes(), budget.Used())
			}
		}
	}
	budget := NewBudget(0)
	s := NewSession(NewStore(budget), 1, &Limits{})
	m := text("a", "x")
	s.Offer(m, Copy{QoS: 1, Identifiers: identifiers(0, each)}, 0)
	used := budget.Used()
	s.Offer(m, Copy{QoS: 1, Identifiers: identifiers(0, each)}, 0)
	if budget.Used() != used {
		t.Errorf("a set that is shared costs %d bytes again", budget.Used()-used)
	}
}
