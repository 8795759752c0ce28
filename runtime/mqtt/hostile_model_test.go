package mqtt

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
)

// sound checks what must hold of a flight whatever the client sends.
func (f *flight) sound(t *rapid.T) {
	n, used, prev, again := 0, 0, uint16(0), f.again == 0
	for id := f.head; id != 0; id = f.slots[id-1].next {
		sl := &f.slots[id-1]
		if sl.prev != prev || sl.state == slotFree {
			t.Fatalf("slot %d: before it %d, says %d; state %d", id, prev, sl.prev, sl.state)
		}
		if sl.sent {
			used++
		}
		again = again || id == f.again
		prev = id
		n++
	}
	free := 0
	for id := f.freeHead; id != 0; id = f.slots[id-1].next {
		free++
	}
	if n != int(f.n) || used != int(f.used) || prev != f.tail || !again || n+free != len(f.slots) {
		t.Fatalf("%d in flight (%d), %d used (%d), tail %d (%d), cursor %d, %d free of %d", n, f.n, used, f.used, prev, f.tail, f.again, free, len(f.slots))
	}
}

// TestModelHostile sends any packets with any ids in any order through
// reconnects, evictions, expiry and releases: nothing breaks, nothing grows, and
// every byte is given back in the end.
func TestModelHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(rapid.Int64Range(2_000, 12_000).Draw(t, "budget"))
		store := NewStore(budget)
		limits := Limits{
			Messages: rapid.IntRange(1, 50).Draw(t, "messages"), Bytes: rapid.IntRange(100, 4000).Draw(t, "bytes"),
			Window: rapid.Uint16Range(1, 20).Draw(t, "window"), Policy: Policy(rapid.Uint8Range(0, 1).Draw(t, "policy")),
			KeepQoS0: rapid.Bool().Draw(t, "keep QoS 0"),
		}
		s, other := NewSession(store, 1, &limits), NewSession(store, 2, &limits)
		s.Presence()
		now := int64(second)
		for range rapid.IntRange(50, 300).Draw(t, "steps") {
			id := rapid.Uint16Range(0, 24).Draw(t, "id")
			qos := rapid.Uint8Range(0, 2).Draw(t, "qos")
			switch rapid.IntRange(0, 13).Draw(t, "step") {
			case 0:
				s.Attach(Link{Window: rapid.Uint16Range(1, 20).Draw(t, "receive maximum"), Receive: 7})
			case 1:
				s.Detach()
			case 2, 3, 4:
				m := &abi.Message{Topic: []byte("t"), Payload: []byte(strings.Repeat("x", int(id)*8))}
				c := Copy{QoS: qos, Group: uint32(id) % 2, Identifiers: make([]uint32, id%4)}
				if id%3 == 0 {
					c.Expires = now + int64(id)*second/10
				}
				s.Offer(m, c, now)
				other.Offer(m, c, now)
			case 5, 6:
				s.Next(now)
			case 7:
				s.Puback(id, qos == 0)
			case 8:
				s.Pubrec(id, qos == 0)
			case 9:
				s.Pubcomp(id)
			case 10:
				s.Abandon(id)
			case 11:
				now += int64(id) * second / 20
				s.Sweep(now)
			case 12:
				s.Release(func(m *Message, c Copy) {
					if c.Group == 0 {
						t.Fatal("released what belongs to no group")
					}
				})
			case 13:
				if _, r := s.Receive(id+1, qos|1); r == New && s.in.n > 14 {
					t.Fatalf("%d exchanges", s.in.n)
				}
				s.Done(uint64(id)<<16|uint64(qos), qos*0x80)
				s.NextAck()
				s.Pubrel(id)
			}
			s.out.sound(t)
			if s.Len() > limits.Messages || s.Bytes() > limits.Bytes || s.Bytes() < 0 || int(s.out.n) > 20 {
				t.Fatalf("%d messages of %d, %d bytes of %d, %d in flight", s.Len(), limits.Messages, s.Bytes(), limits.Bytes, s.out.n)
			}
		}
		held0 := 0
		s.queue.filter(store, func(e *entry) bool {
			if e.qos == 0 {
				held0++
			}
			return true
		})
		if held0 != int(s.held0) {
			t.Fatalf("%d messages of QoS 0 wait, it says %d", held0, s.held0)
		}
		s.End()
		other.End()
		if len(store.sets.free) != len(store.sets.sets) {
			t.Fatalf("%d of %d sets of identifiers are free", len(store.sets.free), len(store.sets.sets))
		}
		if c := store.Counts(); budget.Used() != 0 || c.Entries != 0 || c.Messages != 0 {
			t.Fatalf("left: %d bytes, %+v", budget.Used(), c)
		}
	})
}
