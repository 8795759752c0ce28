package server

import (
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
)

// What becomes of an entry of a log that an upstream pool has is known later: until
// then the entry is neither acknowledged nor offered again.

// tookHere notes of the message that is being offered how many receivers have taken it,
// those included that will answer, or why none has.
func (r *receipts) tookHere(copies int, why delivery.Reason) {
	if r.token == 0 {
		return
	}
	at := r.at(r.token)
	at.taken = at.taken || copies > r.sentTo
	if copies == 0 && why < taken {
		at.why = why
	}
}

// withPools notes that the message which is being delivered is with pools, and that
// whoever waits for them counts it.
func (p *path) withPools() {
	r := &p.receipts
	if token := r.token; token != 0 {
		r.token = 0
		at := r.at(token)
		at.message = nil
		if r.answered(token) {
			p.known(at)
		}
	}
}

// pooledEntry ends an entry that a pool had.
func (p *path) pooledEntry(w *durableWork, e *backbone.Entry, at *pendingReceipt) offered {
	switch {
	case at.taken:
		p.ledger.Recalled++
		p.ledger.Delivered++
		return offerTaken
	case !e.Last:
		return offerAgain
	}
	var record delivery.Record
	m, ok := p.reviveEntry(w.lane, e, &record)
	if ok {
		p.why = at.why
		p.giveUp(w, e, m, &record)
	}
	return offerEnded
}
