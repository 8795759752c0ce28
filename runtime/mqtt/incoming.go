package mqtt

// incoming is what came from the client with QoS 1 or 2 and is not finished.
type incoming struct {
	slots   []received
	free    uint16 // first free slot + 1, linked by next; 0 is none
	head    uint16 // acknowledgements in the order of the publishes; slot + 1
	tail    uint16
	ids     idTable
	counter uint64
	limit   uint16 // our receive maximum on this connection
	n       int    // exchanges that are not finished
	here    int    // of them those that the client sent on this connection
}

// received is one publish from the client.
type received struct {
	seq        uint64 // 0 is a free slot
	id         uint16
	next, prev uint16 // in the order of acknowledgements, if linked
	qos        uint8
	code       byte // of the acknowledgement, once done
	done       bool // the message ended its way
	linked     bool // an acknowledgement is owed on this connection
	here       bool // sent on this connection
}

// Receipt says what an incoming PUBLISH with QoS 1 or 2 is.
type Receipt uint8

// What an incoming PUBLISH is.
const (
	// New: it goes on its way, with the sequence number that Receive returned.
	New Receipt = iota
	// Duplicate: the message is on its way or was there already. Nothing is
	// published; NextAck answers it in its turn.
	Duplicate
	// InUse: the packet id belongs to an exchange of another QoS. Answer PUBACK or
	// PUBREC with 0x91, packet identifier in use (3.1.1: close).
	InUse
	// Exceeded: the client does not keep to our receive maximum, or leaves more
	// unfinished than the budget has room for. Disconnect with 0x93.
	Exceeded
)

// Receive takes note of a PUBLISH with QoS 1 or 2 from the client; id is not 0.
// A New message is published with seq as abi.Message.Seq; when its way has ended
// call Done with it, then NextAck until it has nothing more.
func (s *Session) Receive(id uint16, qos uint8) (seq uint64, r Receipt) {
	in := s.incoming()
	if i, ok := in.ids.find(id); ok {
		r = in.again(i, qos)
		if r == Duplicate {
			s.store.counts.Duplicates++
		}
		return 0, r
	}
	if in.here >= int(in.limit) || in.n >= min(65535, 2*int(in.limit)) {
		return 0, Exceeded
	}
	if in.free == 0 && !in.grow(s.store) {
		return 0, Exceeded
	}
	return in.add(id, qos), New
}

// again is a PUBLISH whose packet id is held.
func (in *incoming) again(i uint16, qos uint8) Receipt {
	sl := &in.slots[i]
	if sl.qos != qos {
		return InUse
	}
	if !sl.here {
		if in.here >= int(in.limit) {
			return Exceeded
		}
		sl.here = true
		in.here++
	}
	if !sl.linked {
		in.link(i)
	}
	return Duplicate
}

// add makes a slot for a new publish. Its sequence number is a counter and the
// slot, so that the end of its way is found without a search, and one that came
// before a reconnect is not taken for one that came after it.
func (in *incoming) add(id uint16, qos uint8) uint64 {
	i := in.free - 1
	sl := &in.slots[i]
	in.free = sl.next
	in.counter++
	seq := in.counter<<16 | uint64(i)
	*sl = received{seq: seq, id: id, qos: qos, here: true}
	in.ids.insert(id, i)
	in.n++
	in.here++
	in.link(i)
	return seq
}

// receivedCost is what a slot takes of the budget, with its part of the table of
// ids.
const receivedCost = 32 + 16

// fewSlots is how many slots anybody gets.
const fewSlots = 32

// grow doubles the slots. The first ones are counted and not refused; a client
// that leaves more than those unfinished gets them as far as the budget goes, as
// version 3.1.1 knows no receive maximum that would bound them.
func (in *incoming) grow(t *Store) bool {
	old := len(in.slots)
	size := min(max(4, 2*old), 65535)
	if cost := (size - old) * receivedCost; size <= fewSlots {
		t.budget.force(cost)
	} else if !t.budget.Take(cost) {
		return false
	}
	slots := make([]received, size)
	copy(slots, in.slots)
	in.slots = slots
	for i := size; i > old; i-- {
		slots[i-1].next, in.free = in.free, uint16(i)
	}
	return true
}

// clear gives everything back.
func (in *incoming) clear(t *Store) { t.budget.Give(len(in.slots) * receivedCost) }

// Done ends the way of the message with this sequence number. code is the
// reason code for PUBACK or PUBREC: 0x00, 0x10 (nobody subscribed), or one of
// 0x80 and more, which ends a QoS 2 exchange without the message. false is a
// sequence number that is not expected any more, as after a reconnect.
func (s *Session) Done(seq uint64, code byte) bool {
	if s.in == nil {
		return false
	}
	i := uint16(seq)
	if seq == 0 || int(i) >= len(s.in.slots) || s.in.slots[i].seq != seq || s.in.slots[i].done {
		return false
	}
	sl := &s.in.slots[i]
	sl.done, sl.code = true, code
	if !sl.linked && code >= 0x80 {
		s.in.finish(i) // nobody waits for it, and it was not taken: it may come again
	}
	return true
}

// Ack is a PUBACK (QoS 1) or PUBREC (QoS 2) for the client.
type Ack struct {
	ID   uint16
	QoS  uint8
	Code byte
}

// NextAck returns the next acknowledgement that is to be written. They come in
// the order of the publishes, whatever order those ended in (MQTT-4.6.0-2 and
// -3); one that is not Done holds up those behind it.
func (s *Session) NextAck() (a Ack, ok bool) {
	in := s.in
	if !s.online || in == nil || in.head == 0 {
		return a, false
	}
	i := in.head - 1
	sl := &in.slots[i]
	if !sl.done {
		return a, false
	}
	a = Ack{ID: sl.id, QoS: sl.qos, Code: sl.code}
	in.unlink(i)
	if sl.qos == 1 || sl.code >= 0x80 {
		in.finish(i)
	}
	return a, true
}

// Pubrel ends a QoS 2 exchange; the answer is PUBCOMP, with 0x92 (packet
// identifier not found) if there is none of this id.
func (s *Session) Pubrel(id uint16) (known bool) {
	if s.in == nil {
		return false
	}
	i, ok := s.in.ids.find(id)
	if !ok {
		return false
	}
	sl := &s.in.slots[i]
	if sl.qos != 2 || !sl.done {
		return false
	}
	if sl.linked {
		s.in.unlink(i)
	}
	s.in.finish(i)
	return true
}

// Unfinished is how many messages from the client have not been acknowledged in
// full.
func (s *Session) Unfinished() int {
	if s.in == nil {
		return 0
	}
	return s.in.n
}

// Owed is how many acknowledgements the connection is owed: a drain waits for
// them.
func (s *Session) Owed() int {
	if s.in == nil {
		return 0
	}
	owed := 0
	for i := s.in.head; i != 0; i = s.in.slots[i-1].next {
		owed++
	}
	return owed
}

func (s *Session) incoming() *incoming {
	if s.in == nil {
		s.in = &incoming{limit: s.receive, counter: s.counter}
	}
	return s.in
}

// detach forgets what the client sends again. A QoS 2 message stays known: its
// id until PUBREL, and that it is on its way until it is Done.
func (in *incoming) detach() {
	for i := range in.slots {
		sl := &in.slots[i]
		if sl.seq == 0 {
			continue
		}
		if sl.linked {
			in.unlink(uint16(i))
		}
		if sl.here {
			sl.here = false
			in.here--
		}
		if sl.qos == 1 || sl.done && sl.code >= 0x80 {
			in.finish(uint16(i))
		}
	}
}

func (in *incoming) finish(i uint16) {
	sl := &in.slots[i]
	in.ids.remove(sl.id)
	in.n--
	if sl.here {
		in.here--
	}
	*sl = received{next: in.free}
	in.free = i + 1
}

func (in *incoming) link(i uint16) {
	sl := &in.slots[i]
	sl.linked, sl.next, sl.prev = true, 0, in.tail
	if in.tail != 0 {
		in.slots[in.tail-1].next = i + 1
	} else {
		in.head = i + 1
	}
	in.tail = i + 1
}

func (in *incoming) unlink(i uint16) {
	sl := &in.slots[i]
	if sl.prev != 0 {
		in.slots[sl.prev-1].next = sl.next
	} else {
		in.head = sl.next
	}
	if sl.next != 0 {
		in.slots[sl.next-1].prev = sl.prev
	} else {
		in.tail = sl.prev
	}
	sl.linked, sl.next, sl.prev = false, 0, 0
}
