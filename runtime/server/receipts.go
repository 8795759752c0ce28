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

// pendingReceipt is one message that other loops or upstream pools have.
type pendingReceipt struct {
	session, seq      uint64
	listener, receipt uint32
	left              int // loops and pools that have not answered, and 1 while it is being delivered
	taken             bool
	why               delivery.Reason

	message *abi.Message // while it is being delivered
	tells   bool         // its speaker waits to hear of it
	open    bool         // only pools have it: it ends in the ledger when they have answered
	dead    bool         // it went on as a dead letter
	copies  int          // that pools have taken
	text    string       // why a pool has not
	done    func(*pendingReceipt)
}

// receipts are those of a path. A token is a place in pending, counted from 1.
type receipts struct {
	pending []pendingReceipt
	free    []uint32
	token   uint32                // of the message that is being delivered; 0: it went nowhere yet
	sentTo  int                   // copies of it that went to other loops or to pools
	pooled  int                   // of them, to pools
	open    int                   // messages that are open
	done    func(*pendingReceipt) // of a message of the API: what is called when pools have answered
	picked  bool                  // a pool has it, and calls it
	owed    []owedOutcome
}

// expect has done called if pools have the message that is delivered next, when they
// have answered.
func (r *receipts) expect(done func(*pendingReceipt)) { r.done, r.picked = done, false }

// expected tells whether done will be called.
func (r *receipts) expected() bool {
	r.done = nil
	return r.picked
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
	if !p.confirms && !p.isPatient(m) {
		return 0
	}
	return p.newToken(m)
}

// newToken names the message that is being delivered, whoever waits for it.
func (p *path) newToken(m *abi.Message) uint32 {
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
		*r.at(r.token) = pendingReceipt{session: m.Session, seq: m.Seq, listener: m.Listener, receipt: m.Receipt, left: 1, message: m, tells: p.isPatient(m)}
		r.sentTo, r.pooled = 0, 0
		if r.done != nil && m.Flags&abi.FlagEmitted == 0 {
			r.at(r.token).done, r.done, r.picked = r.done, nil, true
		}
	}
	return r.token
}

// isPatient tells whether somebody waits to hear of the message, and may be told later.
func (p *path) isPatient(m *abi.Message) bool {
	if m.Receipt == 0 || m.Flags&abi.FlagEmitted != 0 || int(m.Listener) >= len(p.speakers) {
		return false
	}
	_, ok := p.speakers[m.Listener].(patient)
	return ok
}

func (r *receipts) at(token uint32) *pendingReceipt { return &r.pending[token-1] }

func (at *pendingReceipt) is(m *abi.Message) bool {
	return at.session == m.Session && at.receipt == m.Receipt && at.listener == m.Listener && (m.Receipt != 0 || at.message == m)
}

// sent notes that another loop has the message, for so many sessions.
func (r *receipts) sent(token uint32, sessions int) {
	if token != 0 {
		r.at(token).left++
		r.sentTo += sessions
	}
}

// awaits notes how far a message that was delivered came on this loop, so many copies
// in all, and tells whether its sender hears of it later, and whether it is open: only
// pools have it, and what became of it is not known yet.
func (p *path) awaits(m *abi.Message, copies int, why delivery.Reason) (later, open bool) {
	r := &p.receipts
	token := r.token
	if token == 0 || !r.at(token).is(m) {
		return false, false
	}
	r.token = 0
	at := r.at(token)
	at.message = nil
	at.taken = at.taken || copies > r.sentTo
	if why != taken {
		at.why = why
	}
	if r.answered(token) {
		return false, false
	}
	if at.open = copies > 0 && copies == r.pooled; at.open {
		r.open++
	}
	return at.tells, at.open
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
	if r.answered(token) {
		p.known(at)
	}
}

// known tells of a message when all who had it have answered.
func (p *path) known(at *pendingReceipt) {
	if at.open {
		at.open = false
		p.receipts.open--
		switch {
		case at.taken:
			p.ledger.Delivered++
		case at.dead:
			p.ledger.Dead++
		default:
			p.ledger.Drop(at.why)
		}
	}
	if at.done != nil {
		at.done(at)
		at.done = nil
	}
	if !at.tells {
		return
	}
	m := abi.Message{Session: at.session, Seq: at.seq, Listener: at.listener, Receipt: at.receipt}
	if at.taken {
		p.tell(&m, taken)
	} else {
		p.tell(&m, at.why)
	}
}
