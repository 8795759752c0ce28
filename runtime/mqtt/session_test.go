package mqtt

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/abi"
)

// rig is a session with a store of its own.
type rig struct {
	t      testing.TB
	budget *Budget
	store  *Store
	s      *Session
	now    int64
}

func newRig(t testing.TB, limits Limits) *rig {
	r := &rig{t: t, budget: NewBudget(0), now: 1_000 * second}
	r.store = NewStore(r.budget)
	r.s = NewSession(r.store, 7, &limits)
	return r
}

func text(topic, payload string) *abi.Message {
	return &abi.Message{Topic: []byte(topic), Payload: []byte(payload), QoS: 2}
}

func (r *rig) offer(qos uint8, payload string) Outcome {
	return r.s.Offer(text("a/b", payload), Copy{QoS: qos}, r.now)
}

func (r *rig) want(outcome, want Outcome) {
	r.t.Helper()
	if outcome != want {
		r.t.Fatalf("outcome %v, want %v", outcome, want)
	}
}

// sent drains Next and says what came, such as "1:x 2:y! ~3" (! is DUP, ~ PUBREL).
func (r *rig) sent() string {
	out := ""
	for {
		o, ok := r.s.Next(r.now)
		if !ok {
			return out
		}
		if out != "" {
			out += " "
		}
		switch {
		case o.Release:
			out += fmt.Sprintf("~%d", o.ID)
		case o.Dup:
			out += fmt.Sprintf("%d:%s!", o.ID, o.Message.Payload)
		default:
			out += fmt.Sprintf("%d:%s", o.ID, o.Message.Payload)
		}
	}
}

func (r *rig) wantSent(want string) {
	r.t.Helper()
	if got := r.sent(); got != want {
		r.t.Fatalf("sent %q, want %q", got, want)
	}
}

func TestWindow(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Window: 2})
	for _, p := range []string{"a", "b", "c", "d"} {
		r.want(r.offer(1, p), Taken)
	}
	r.wantSent("1:a 2:b")
	if r.s.Puback(2, false) != Matched {
		t.Fatal("2 is in flight")
	}
	r.wantSent("3:c")
	r.s.Puback(1, false)
	r.s.Puback(3, false)
	r.wantSent("4:d")
	r.s.Puback(4, false)
	if r.s.Len() != 0 || r.s.Bytes() != 0 || r.store.Counts().Entries != 0 || r.store.Counts().Messages != 0 {
		t.Fatalf("left: %d messages, %d bytes, %+v", r.s.Len(), r.s.Bytes(), r.store.Counts())
	}
	r.s.Detach()
	r.s.End()
	if r.budget.Used() != 0 {
		t.Fatalf("%d bytes of the budget are lost", r.budget.Used())
	}
}

// TestIdentifiersRest: an id is used again after all others of the table were, so
// that an acknowledgement sent twice ends nothing else.
func TestIdentifiersRest(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{})
	last := map[uint16]int{}
	for i := range 100 {
		r.offer(1, "x")
		o, _ := r.s.Next(r.now)
		if before, ok := last[o.ID]; ok && i-before < firstSlots {
			t.Fatalf("id %d was used %d messages ago", o.ID, i-before)
		}
		last[o.ID] = i
		r.s.Puback(o.ID, false)
		if r.s.Puback(o.ID, false) != Unknown {
			t.Fatal("it ended twice")
		}
	}
}
