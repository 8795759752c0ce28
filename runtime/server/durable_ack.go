package server

import (
	"fmt"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
)

// Where there are durable routes, what a listener of frames says in answer to a
// message (acknowledge) waits until the message has ended, as it may end in a log.
// Answers go out in the order of the messages of their connection. One that the log
// did not take gets no answer.

// owedAck is one answer that waits.
type owedAck struct {
	to         *peer
	unit       []byte
	next       uint32 // behind it on the same connection, counted from 1
	generation uint16
	priority   uint8
	ended      bool // it may go out
	void       bool // it is never given
}

// owedAcks are a path's.
type owedAcks struct {
	slots []owedAck
	free  []uint32
}

// ackLine is a connection's answers that wait, first to last, counted from 1.
type ackLine struct{ first, last uint32 }

const (
	ackSlotBits = 20
	maxAckUnit  = 4 << 10 // of which the memory is kept
)

// owe keeps the answer to a message until it has ended, and gives the message the
// receipt by which tell finds it; false if there is no room for more.
func (p *path) owe(m *abi.Message, to *peer, unit []byte) bool {
	a := &p.owed
	var at uint32
	switch n := len(a.free); {
	case n > 0:
		at, a.free = a.free[n-1], a.free[:n-1]
	case len(a.slots) < 1<<ackSlotBits-1:
		a.slots = append(a.slots, owedAck{})
		at = uint32(len(a.slots))
	default:
		return false
	}
	slot := &a.slots[at-1]
	slot.to, slot.unit, slot.priority = to, append(slot.unit[:0], unit...), m.Priority
	slot.next, slot.ended, slot.void = 0, false, false
	m.Receipt = uint32(slot.generation)<<ackSlotBits | at
	acks := &to.besides().acks
	if acks.last != 0 {
		a.slots[acks.last-1].next = at
	} else {
		acks.first = at
	}
	acks.last = at
	return true
}

// acknowledged notes what became of a message that waits to be answered, and gives the
// answers whose turn has come.
func (p *path) acknowledged(receipt uint32, why delivery.Reason) {
	a := &p.owed
	at := receipt & (1<<ackSlotBits - 1)
	if at == 0 || int(at) > len(a.slots) {
		return
	}
	slot := &a.slots[at-1]
	if slot.to == nil || uint32(slot.generation) != receipt>>ackSlotBits {
		return
	}
	slot.ended, slot.void = true, p.refusedByLog || why == delivery.Internal
	to := slot.to
	for line := &to.rest.acks; line.first != 0 && a.slots[line.first-1].ended; {
		at := line.first
		slot := &a.slots[at-1]
		if line.first = slot.next; line.first == 0 {
			line.last = 0
		}
		if !slot.void {
			p.answer(to, p.keepBytes(slot.unit), slot.priority)
		}
		slot.to = nil
		slot.generation = (slot.generation + 1) & (1<<(32-ackSlotBits) - 1)
		if cap(slot.unit) > maxAckUnit {
			slot.unit = nil
		}
		a.free = append(a.free, at)
	}
}

// spokenKey names a message of a listener that has a speaker.
type spokenKey struct {
	session uint64
	receipt uint32
}

// oweSpoken keeps the answer to a message of a listener whose protocol has
// acknowledgements of its own, until the message has ended; false where nothing waits
// for a log.
func (p *path) oweSpoken(m, answer *abi.Message) bool {
	if p.logs == nil || m.Receipt == 0 {
		return false
	}
	if p.oweds == nil {
		p.oweds = map[spokenKey]*abi.Message{}
	}
	p.oweds[spokenKey{m.Session, m.Receipt}] = cloneMessage(answer)
	return true
}

// sayOwed gives such an answer, unless the message was not kept.
func (p *path) sayOwed(m *abi.Message, why delivery.Reason) {
	key := spokenKey{m.Session, m.Receipt}
	answer := p.oweds[key]
	if answer == nil {
		return
	}
	delete(p.oweds, key)
	if p.refusedByLog || why == delivery.Internal {
		return
	}
	own := p.encoded
	p.encoded.reset(abi.ChangesKnown)
	p.send(answer, m.Session)
	p.encoded = own
}

// keepBytes copies bytes to where they last until the turn ends.
func (p *path) keepBytes(b []byte) []byte {
	start := len(p.scratch)
	p.scratch = append(p.scratch, b...)
	return p.scratch[start:len(p.scratch):len(p.scratch)]
}

// owesAck tells whether the message is answered when it has ended, and not before it
// is routed.
func (p *path) owesAck(l *listener) bool { return p.logs != nil && l.format != nil }

// waitingCall is a call of the API that waits for what becomes of its message.
type waitingCall struct {
	done  chan<- admin.Receipt
	told  bool // it has ended
	waits bool // its routing is over, and it has not ended
}

// callReceipt gives a message of the API the receipt by which tell finds who waits.
func (p *path) callReceipt(done chan<- admin.Receipt) uint32 {
	if p.calls == nil {
		p.calls = map[uint32]*waitingCall{}
	}
	for p.lastCall++; p.lastCall == 0 || p.calls[p.lastCall] != nil; {
		p.lastCall++
	}
	p.calls[p.lastCall] = &waitingCall{done: done}
	return p.lastCall
}

// tellCall tells a call of the API what became of its message.
func (p *path) tellCall(receipt uint32, why delivery.Reason) {
	call := p.calls[receipt]
	if call == nil {
		return
	}
	call.told = true
	if !call.waits { // while it is being routed: take says it better
		return
	}
	delete(p.calls, receipt)
	r := admin.Receipt{Logged: p.hearing && why == taken}
	if why < taken {
		r.Dropped = why.String()
	}
	call.done <- r
}

// callWaits tells whether a call's message is in a log, or held by a plugin: its answer
// comes later.
func (p *path) callWaits(receipt uint32) bool {
	call := p.calls[receipt]
	if call == nil {
		return false
	}
	if call.told {
		delete(p.calls, receipt)
		return false
	}
	call.waits = true
	return true
}

// unkept is why a call fails whose message a log has not kept; nil for any other
// outcome.
func unkept(r admin.Receipt) error {
	switch r.Dropped {
	case delivery.LogFull.String():
		return fmt.Errorf("%w: the durable route's log holds as much as it may (durable.size, messages): try again when there is room", admin.ErrFull)
	case delivery.LogBusy.String():
		return fmt.Errorf("%w: too many messages wait for the durable route's log: try again later", admin.ErrBusy)
	case delivery.LogAway.String():
		return fmt.Errorf("%w: the durable route's log cannot be written: weft's log says why; try again later", admin.ErrAway)
	}
	return nil
}
