package mqtt

import (
	"iter"

	"github.com/weftrun/weft/abi"
)

// What a session holds can be written down and taken up by another one, in this process
// or another, so that its client does not notice: packet ids, what was acknowledged, and
// the order stay.

// Carried is one message that a session holds, or what is left of its exchange.
type Carried struct {
	// ID is the packet id of what is in flight; 0 for what waits.
	ID uint16
	// Message is nil when PUBREC has come, and nothing but PUBCOMP is missing. It belongs
	// to the session.
	Message *Message
	// Copy is how the client gets it. Identifiers are valid until the next one is yielded.
	Copy Copy
}

// Carry yields all that the session holds for its client, in order. The session is not
// to be used meanwhile.
func (s *Session) Carry() iter.Seq[Carried] {
	return func(yield func(Carried) bool) {
		for id := s.out.head; id != 0; id = s.out.slots[id-1].next {
			c := Carried{ID: id}
			if sl := &s.out.slots[id-1]; sl.state != awaitComp {
				c.Message, c.Copy = s.carried(&sl.entry)
			}
			if !yield(c) {
				return
			}
		}
		at, get := s.queue.head, s.queue.first
		for range s.queue.n {
			if get == chunkLen {
				at, get = at.next, 0
			}
			var c Carried
			c.Message, c.Copy = s.carried(&at.entries[get])
			if !yield(c) {
				return
			}
			get++
		}
	}
}

func (s *Session) carried(e *entry) (*Message, Copy) {
	m := s.store.messages[e.message]
	s.store.unpacked = s.store.sets.unpack(e.ids, s.store.unpacked[:0])
	return m, Copy{QoS: e.qos, Retain: e.retain, Group: e.group, Identifiers: s.store.unpacked, Expires: m.Expires}
}

// Known yields the packet ids of the client's QoS 2 messages that were taken and not
// released: they must not be taken again.
func (s *Session) Known() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		if s.in == nil {
			return
		}
		for i := range s.in.slots {
			if sl := &s.in.slots[i]; sl.seq != 0 && sl.qos == 2 && sl.done && sl.code < 0x80 && !yield(sl.id) {
				return
			}
		}
	}
}

// Unsure is how many QoS 2 messages of the client are on their way: nobody knows yet
// whether they are taken.
func (s *Session) Unsure() (n int) {
	if s.in == nil {
		return 0
	}
	for i := range s.in.slots {
		if sl := &s.in.slots[i]; sl.seq != 0 && sl.qos == 2 && !sl.done {
			n++
		}
	}
	return n
}

// Will is the will that has not been published nor dropped, which belongs to the session,
// and its delay in seconds; nil if there is none.
func (s *Session) Will() (m *Message, delay uint32) { return s.will, s.willDelay }

// Holds tells whether there is anything that Carry or Known yield.
func (s *Session) Holds() bool { return s.Len() > 0 || s.Unfinished() > 0 }

// TakeUp puts back what another session carried, in its order, while no client is there.
// m is nil as Carried.Message is. What it answers is counted as by Offer.
func (s *Session) TakeUp(id uint16, m *abi.Message, c Copy, now int64) Outcome {
	c.Firm = true
	if id == 0 {
		if m == nil {
			return DropRefused
		}
		return s.Offer(m, c, now)
	}
	o := s.takeUp(id, m, &c)
	s.store.counts.Outcomes[o]++
	s.present()
	return o
}

func (s *Session) takeUp(id uint16, m *abi.Message, c *Copy) Outcome {
	if s.ended || s.out.find(id) != nil {
		return DropRefused
	}
	if m == nil {
		s.out.place(s.store, entry{qos: 2}, id, awaitComp)
		s.store.counts.Entries++
		return Taken
	}
	kept := s.store.keep(m, c.Expires)
	if kept == nil {
		return DropBudget
	}
	ids, ok := s.store.sets.pack(c.Identifiers)
	if !ok {
		s.store.release(kept)
		return DropBudget
	}
	state := awaitAck
	if c.QoS == 2 {
		state = awaitRec
	}
	s.out.place(s.store, entry{message: kept.index, ids: ids, group: c.Group, qos: c.QoS, retain: c.Retain}, id, state)
	s.bytes += entrySize + len(m.Topic) + len(m.Attrs) + len(m.Payload) + idsSize(len(c.Identifiers))
	s.store.counts.Entries++
	return Taken
}

// place puts an entry behind the others, under a packet id that is free.
func (f *flight) place(t *Store, e entry, id uint16, state slotState) {
	for len(f.slots) < int(id) {
		f.grow(t, 65535)
	}
	before := uint16(0)
	for at := f.freeHead; at != id; at = f.slots[at-1].next {
		before = at
	}
	next := f.slots[id-1].next
	if before == 0 {
		f.freeHead = next
	} else {
		f.slots[before-1].next = next
	}
	if f.freeTail == id {
		f.freeTail = before
	}
	f.slots[id-1] = slot{entry: e, prev: f.tail, state: state}
	if f.tail != 0 {
		f.slots[f.tail-1].next = id
	} else {
		f.head = id
	}
	f.tail = id
	f.n++
}

// Know puts back a packet id that another session's Known has yielded; false if there is
// no room for it, or it is there.
func (s *Session) Know(id uint16) bool {
	in := s.incoming()
	if _, ok := in.ids.find(id); ok || id == 0 || in.free == 0 && !in.grow(s.store) {
		return false
	}
	i := uint16(in.add(id, 2))
	in.unlink(i)
	sl := &in.slots[i]
	sl.here, sl.done = false, true
	in.here--
	return true
}

// Move is End for a session that goes on elsewhere: nothing of it counts as lost.
func (s *Session) Move() { s.end(Taken) }

// Number is the id of the shared subscription of this group and filter; 0 if there is
// none.
func (s *Shared) Number(group, filter string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.byName[groupName{group, filter}]; g != nil {
		return g.ID
	}
	return 0
}
