package mqtt

// flight is what was handed out and is not acknowledged in full: slots in a
// table, linked in the order in which they were first sent. A slot's place in
// the table plus one is its packet id; free ones are used in turn, so that an id
// is not used again before all others of the table were.
type flight struct {
	slots      []slot
	head, tail uint16 // in original order; ids, 0 is none
	freeHead   uint16 // first to be used again
	freeTail   uint16
	again      uint16 // the next one to be sent again on this connection; 0 is none
	n          uint16
	used       uint16 // of the window: sent on this connection and not acknowledged
}

type slot struct {
	entry
	next, prev uint16
	state      slotState
	sent       bool // on this connection
}

type slotState uint8

const (
	slotFree  slotState = iota
	awaitAck            // QoS 1: PUBACK
	awaitRec            // QoS 2: PUBREC
	awaitComp           // QoS 2: PUBCOMP; the message is gone
)

// slotCost is what a slot takes of the budget.
const slotCost = 24

const (
	firstSlots = 8
	keptSlots  = 64 // a table of more is given back when nothing is in flight
)

// add puts an entry behind the others and returns its packet id. limit is the
// largest table that is allowed; one slot of it must be free.
func (f *flight) add(t *Store, e entry, limit int) uint16 {
	if f.freeHead == 0 {
		f.grow(t, limit)
	}
	id := f.freeHead
	sl := &f.slots[id-1]
	f.freeHead = sl.next
	if f.freeHead == 0 {
		f.freeTail = 0
	}
	*sl = slot{entry: e, prev: f.tail, state: awaitAck}
	if e.qos == 2 {
		sl.state = awaitRec
	}
	if f.tail != 0 {
		f.slots[f.tail-1].next = id
	} else {
		f.head = id
	}
	f.tail = id
	f.n++
	return id
}

// grow doubles the table. What the session may have in flight bounds it, so the
// budget counts it and does not refuse.
func (f *flight) grow(t *Store, limit int) {
	old := len(f.slots)
	size := min(max(firstSlots, 2*old), max(limit, old+1))
	slots := make([]slot, size)
	copy(slots, f.slots)
	f.slots = slots
	t.budget.force((size - old) * slotCost)
	for i := old; i < size; i++ {
		f.free(uint16(i + 1))
	}
}

func (f *flight) free(id uint16) {
	f.slots[id-1] = slot{}
	if f.freeTail != 0 {
		f.slots[f.freeTail-1].next = id
	} else {
		f.freeHead = id
	}
	f.freeTail = id
}

// find returns the slot of a packet id that is in flight, or nil.
func (f *flight) find(id uint16) *slot {
	if id == 0 || int(id) > len(f.slots) || f.slots[id-1].state == slotFree {
		return nil
	}
	return &f.slots[id-1]
}

// remove ends an exchange.
func (f *flight) remove(id uint16) {
	sl := &f.slots[id-1]
	if f.again == id {
		f.again = sl.next
	}
	if sl.prev != 0 {
		f.slots[sl.prev-1].next = sl.next
	} else {
		f.head = sl.next
	}
	if sl.next != 0 {
		f.slots[sl.next-1].prev = sl.prev
	} else {
		f.tail = sl.prev
	}
	if sl.sent {
		f.used--
	}
	f.n--
	f.free(id)
}

// rewind makes everything due again, for a new connection.
func (f *flight) rewind() {
	f.again, f.used = f.head, 0
	for id := f.head; id != 0; id = f.slots[id-1].next {
		f.slots[id-1].sent = false
	}
}

// mark notes that a slot was sent on this connection.
func (f *flight) mark(id uint16) {
	f.slots[id-1].sent = true
	f.used++
}

// trim gives a large table back if nothing is in it.
func (f *flight) trim(t *Store) {
	if f.n == 0 && len(f.slots) > keptSlots {
		f.clear(t)
	}
}

func (f *flight) clear(t *Store) {
	t.budget.Give(len(f.slots) * slotCost)
	*f = flight{}
}
