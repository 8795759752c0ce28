package server

import "github.com/weftrun/weft/runtime/engine"

// A session that outlives its connection has an id of its own, which no connection
// has: the loop in bits 56 to 63, stayBit, a generation in bits 24 to 54, a slot in
// the rest.
const (
	stayBit       = 1 << 55
	staySlotBits  = 24
	staySlots     = 1 << staySlotBits
	stayLoopShift = 56
	maxStay       = 1<<31 - 1
)

// isStay tells the id of such a session from that of a connection.
func isStay(id uint64) bool { return id&stayBit != 0 && !isAPI(id) }

// loopOf is the loop that a session lives on; that of the API is none.
func loopOf(id uint64) int { return engine.ConnID(id).Loop() }

// stay is one session that outlives its connections.
type stay struct {
	peer     *peer // its connection; nil while it has none
	said     *mqttSession
	id       uint64
	listener uint32
}

// stays are a loop's sessions of that kind.
type stays struct {
	slots []*stay
	gens  []uint32
	free  []uint32
}

// add makes room for a session of the listener and names it: nil if there are too
// many.
func (t *stays) add(loop int, listener uint32) *stay {
	var slot uint32
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		if len(t.slots) >= staySlots {
			return nil
		}
		slot = uint32(len(t.slots))
		t.slots, t.gens = append(t.slots, nil), append(t.gens, 0)
	}
	t.gens[slot] = t.gens[slot]%maxStay + 1
	s := &stay{listener: listener, id: uint64(loop)<<stayLoopShift | stayBit | uint64(t.gens[slot])<<staySlotBits | uint64(slot)}
	t.slots[slot] = s
	return s
}

// get finds a session of this loop; nil if it is gone.
func (t *stays) get(id uint64) *stay {
	slot := id & (staySlots - 1)
	if slot >= uint64(len(t.slots)) {
		return nil
	}
	if s := t.slots[slot]; s != nil && s.id == id {
		return s
	}
	return nil
}

// remove forgets a session.
func (t *stays) remove(id uint64) {
	if t.get(id) == nil {
		return
	}
	slot := uint32(id & (staySlots - 1))
	t.slots[slot] = nil
	t.free = append(t.free, slot)
}
