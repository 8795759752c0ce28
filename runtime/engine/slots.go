package engine

import "sync/atomic"

const (
	pageBits = 10
	pageSize = 1 << pageBits
)

// slotState is what other loops may know of a connection.
type slotState struct {
	id       atomic.Uint64 // the ConnID, 0 while the slot is free
	queued   atomic.Int64  // cost of the outbox, as of the last turn
	flight   atomic.Int64  // cost of what other loops have sent and the owner has not seen
	limit    atomic.Int64  // the outbox's limit
	policy   atomic.Uint32
	listener atomic.Uint32
	// waiting has a bit for each loop that holds publishers back for this
	// connection.
	waiting atomic.Uint64
}

// slotTable is a loop's slot states. Pages never move, so that other loops need
// no lock.
type slotTable struct {
	pages [1 << (slotBits - pageBits)]atomic.Pointer[[pageSize]slotState]
}

// at is the state of a slot, nil if there was never a connection in it.
func (t *slotTable) at(slot uint32) *slotState {
	page := t.pages[slot>>pageBits].Load()
	if page == nil {
		return nil
	}
	return &page[slot&(pageSize-1)]
}

// own is at for the loop that owns the table: it makes the page.
func (t *slotTable) own(slot uint32) *slotState {
	if s := t.at(slot); s != nil {
		return s
	}
	page := new([pageSize]slotState)
	t.pages[slot>>pageBits].Store(page)
	return &page[slot&(pageSize-1)]
}

// table maps slots to connections, for the owner alone.
type table struct {
	conns []*Conn
	gens  []uint32
	free  []uint32
}

// put gives c a slot and an id.
func (t *table) put(c *Conn, loop int) bool {
	var slot uint32
	if n := len(t.free); n > 0 {
		slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		if len(t.conns) > slotMask {
			return false
		}
		slot = uint32(len(t.conns))
		t.conns = append(t.conns, nil)
		t.gens = append(t.gens, 0)
	}
	t.gens[slot] = t.gens[slot]%maxGeneration + 1
	t.conns[slot] = c
	c.id = ConnID(loop)<<loopShift | ConnID(t.gens[slot])<<slotBits | ConnID(slot)
	return true
}

func (t *table) get(id ConnID) *Conn {
	slot := id.slot()
	if int(slot) >= len(t.conns) {
		return nil
	}
	c := t.conns[slot]
	if c == nil || c.id != id {
		return nil
	}
	return c
}

func (t *table) remove(id ConnID) {
	slot := id.slot()
	t.conns[slot] = nil
	t.free = append(t.free, slot)
}
