package mqtt

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/weftrun/weft/abi"
)

// carryOver takes everything from one session up in a new one, as a record between would.
func carryOver(t *testing.T, from *Session, store *Store, limits *Limits) *Session {
	t.Helper()
	to := NewSession(store, 2, limits)
	for c := range from.Carry() {
		var m *abi.Message
		if c.Message != nil {
			m = new(abi.Message)
			c.Message.Fill(m)
			m.Topic, m.Payload = bytes.Clone(m.Topic), bytes.Clone(m.Payload)
		}
		c.Copy.Identifiers = slices.Clone(c.Copy.Identifiers)
		if o := to.TakeUp(c.ID, m, c.Copy, 1); o != Taken {
			t.Fatalf("%d: %v", c.ID, o)
		}
	}
	for id := range from.Known() {
		if !to.Know(id) || to.Know(id) {
			t.Fatalf("id %d", id)
		}
	}
	return to
}

// A session that is carried over goes on where the other one was: with its packet ids,
// its order and its QoS 2 exchanges, and gives back all its memory.
func TestASessionIsCarriedOver(t *testing.T) {
	budget := NewBudget(1 << 20)
	a, b := NewStore(budget), NewStore(budget)
	limits := &Limits{Window: 5}
	s := NewSession(a, 1, limits)
	s.Attach(Link{})
	for i := range 12 {
		m := abi.Message{Topic: []byte("t"), Payload: fmt.Append(nil, i), Time: int64(i)}
		if o := s.Offer(&m, Copy{QoS: uint8(1 + i%2), Identifiers: []uint32{uint32(i), 7}}, 1); o != Taken {
			t.Fatal(o)
		}
	}
	var sent []Outgoing
	for o, ok := s.Next(1); ok; o, ok = s.Next(1) {
		sent = append(sent, o)
	}
	s.Puback(sent[0].ID, false) // 0 is done
	s.Pubrec(sent[1].ID, false) // 1 waits for PUBCOMP
	for _, id := range []uint16{9, 400} {
		seq, _ := s.Receive(id, 2)
		s.Done(seq, 0)
	}
	s.Receive(77, 2) // on its way
	if s.Unsure() != 1 {
		t.Errorf("%d are unsure", s.Unsure())
	}
	s.Detach()
	c := carryOver(t, s, b, limits)
	s.Move()
	if n := a.Counts(); n.Entries != 0 || n.Messages != 0 || n.Outcomes[DropEnded] != 0 {
		t.Errorf("left behind: %+v", n)
	}
	if c.Len() != 11 || c.InFlight() != 4 || c.Unfinished() != 2 {
		t.Fatalf("%d, %d in flight, %d unfinished", c.Len(), c.InFlight(), c.Unfinished())
	}
	c.Attach(Link{})
	if _, r := c.Receive(9, 2); r != Duplicate {
		t.Errorf("9 is %v", r)
	}
	if _, r := c.Receive(77, 2); r != New {
		t.Errorf("77 is %v", r)
	}
	next := 1
	for o, ok := c.Next(1); ok; o, ok = c.Next(1) {
		again := next <= 4
		switch {
		case next == 1 && (!o.Release || o.ID != sent[1].ID):
			t.Fatalf("1: %+v", o)
		case next > 1 && (string(o.Message.Payload) != fmt.Sprint(next) || o.Dup != again || !slices.Equal(o.Identifiers, []uint32{uint32(next), 7})):
			t.Fatalf("%d: %q %+v", next, o.Message.Payload, o)
		case again && o.ID != sent[next].ID:
			t.Fatalf("%d: id %d, was %d", next, o.ID, sent[next].ID)
		}
		switch id := o.ID; {
		case o.Release:
			c.Pubcomp(id)
		case o.QoS == 1:
			c.Puback(id, false)
		default:
			c.Pubrec(id, false)
			c.Pubcomp(id)
		}
		next++
	}
	if next != 12 {
		t.Errorf("it ended at %d", next)
	}
	c.End()
	if n := b.Counts(); n.Entries != 0 || n.Messages != 0 {
		t.Errorf("left: %+v", n)
	}
	if used := budget.Used(); used != 0 {
		t.Errorf("%d bytes of the budget are not given back", used)
	}
}
