package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
)

// A message that somebody waits to hear of, and that went to sessions of other loops,
// is not acknowledged before these loops have said what became of it: that the way to
// a loop has taken it says nothing of the sessions there.

// patient is a speaker whose messages may wait for other loops: ended is called later,
// with a message that has nothing but Session, Listener, Seq and Receipt.
type patient interface{ patient() }

// postedOutcome marks what is posted to a loop as the outcome of what it has posted.
const postedOutcome = 1

// pendingReceipt is one message that other loops have.
type pendingReceipt struct {
	session, seq      uint64
	listener, receipt uint32
	left              int // loops that have not answered, and 1 while it is being delivered
	taken             bool
	why               delivery.Reason
}

// receipts are those of a path. A token is a place in pending, counted from 1.
type receipts struct {
	pending []pendingReceipt
	free    []uint32
	token   uint32 // of the message that is being delivered; 0: it went nowhere yet
	sentTo  int    // copies of it that went to other loops
	owed    []owedOutcome
}

// owedOutcome is an outcome that the way to its loop has not taken yet.
type owedOutcome struct {
	loop int
	unit [6]byte
}

// landing is what becomes of a posted message on this loop.
type landing struct {
	taken bool
	why   delivery.Reason
}

// tokenFor names the message to other loops; 0 if nobody waits to hear of it.
func (p *path) tokenFor(m *abi.Message) uint32 {
	if m.Receipt == 0 || m.Flags&abi.FlagEmitted != 0 || int(m.Listener) >= len(p.speakers) {
		return 0
	}
	if _, ok := p.speakers[m.Listener].(patient); !ok {
		return 0
	}
	r := &p.receipts
	if r.token != 0 && !r.at(r.token).is(m) {
		r.token = 0 // left behind by what did not come to its end
	}
	if r.token == 0 {
		if n := len(r.free); n > 0 {
			r.token, r.free = r.free[n-1], r.free[:n-1]
		} else {
			r.pending = append(r.pending, pendingReceipt{})
			r.token = uint32(len(r.pending))
		}
		*r.at(r.token) = pendingReceipt{session: m.Session, seq: m.Seq, listener: m.Listener, receipt: m.Receipt, left: 1}
		r.sentTo = 0
	}
	return r.token
}

func (r *receipts) at(token uint32) *pendingReceipt { return &r.pending[token-1] }

func (at *pendingReceipt) is(m *abi.Message) bool {
	return at.session == m.Session && at.receipt == m.Receipt && at.listener == m.Listener
}

// sent notes that another loop has the message, for so many sessions.
func (r *receipts) sent(token uint32, sessions int) {
	if token != 0 {
		r.at(token).left++
		r.sentTo += sessions
	}
}

// awaits notes how far a message that was delivered came on this loop, so many copies
// in all, and tells whether what became of it is not known yet.
func (p *path) awaits(m *abi.Message, copies int, why delivery.Reason) bool {
	r := &p.receipts
	token := r.token
	if token == 0 || !r.at(token).is(m) {
		return false
	}
	r.token = 0
	at := r.at(token)
	at.taken = at.taken || copies > r.sentTo
	if why != taken {
		at.why = why
	}
	return !r.answered(token)
}

// answered takes one answer off a receipt; true with the last of them, which gives the
// token back.
func (r *receipts) answered(token uint32) bool {
	at := r.at(token)
	if at.left--; at.left > 0 {
		return false
	}
	r.free = append(r.free, token)
	return true
}

// arrived notes what became of a posted message with one session of this loop.
func (p *path) arrived(why delivery.Reason) {
	if why == taken {
		p.landed.taken = true
		return
	}
	p.landed.why = why
	p.ledger.DropCopy(why)
}

// answerPost says what became of a posted message to the loop that waits for it.
func (p *path) answerPost(token uint32, loop int) {
	o := owedOutcome{loop: loop}
	le.PutUint32(o.unit[:], token)
	o.unit[4], o.unit[5] = flag(p.landed.taken), byte(p.landed.why)
	if len(p.receipts.owed) > 0 || p.loop.Post(loop, postedOutcome, o.unit[:]) == engine.Dropped {
		p.receipts.owed = append(p.receipts.owed, o)
	}
}

// repay posts the outcomes that are owed, in order, as far as the ways take them.
func (p *path) repay() {
	owed := p.receipts.owed
	for len(owed) > 0 && p.loop.Post(owed[0].loop, postedOutcome, owed[0].unit[:]) != engine.Dropped {
		owed = owed[1:]
	}
	if len(owed) < len(p.receipts.owed) {
		p.receipts.owed = append(p.receipts.owed[:0], owed...)
	}
}

// heard takes the outcome of a message that was posted.
func (p *path) heard(b []byte) {
	r := &p.receipts
	token := le.Uint32(b)
	if token == 0 || int(token) > len(r.pending) || r.at(token).left == 0 {
		return
	}
	at := r.at(token)
	at.taken = at.taken || b[4] != 0
	if b[4] == 0 {
		at.why = delivery.Reason(b[5])
	}
	if !r.answered(token) {
		return
	}
	m := abi.Message{Session: at.session, Seq: at.seq, Listener: at.listener, Receipt: at.receipt}
	if at.taken {
		p.tell(&m, taken)
	} else {
		p.tell(&m, at.why)
	}
}
