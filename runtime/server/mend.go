package server

import "github.com/weftrun/weft/runtime/delivery"

// mend is deferred by what runs chains and routes outside of a turn. Unless it was
// done, a panic has ended it and goes on to the engine: what it has used is given
// back, and its messages end. before is what was under way when it began.
func (p *path) mend(done *bool, before int64) {
	if *done {
		return
	}
	p.here, p.confirms = false, false
	p.events.Reset()
	p.abandonStages()
	if lost := p.underWay() - before; lost > 0 {
		p.ledger.Dropped[delivery.Internal] += uint64(lost)
	}
}

// underWay is how many messages have neither ended nor are held, nor are on their way to
// a log or with upstream pools.
func (p *path) underWay() int64 {
	return p.ledger.InFlight() - int64(p.held()+p.logging+p.receipts.open)
}

// abandonStages ends the messages that wait in a stage, and counts them as lost.
func (p *path) abandonStages() {
	p.open = noStage
	p.tail.abandon()
	p.receipts.done = nil
	p.receipts.token = 0 // what was being delivered is told of below
	for i := range p.stages {
		s := p.stages[i]
		p.ledger.Dropped[delivery.Internal] += uint64(s.left)
		p.tellLost(s.batch.Messages[s.at:])
		s.reset()
	}
}
