package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
)

// lane is what one listener's messages of a turn wait in, and the chain that
// they wait for.
type lane struct {
	listener *listener
	chain    *plugins.Chain
	batch    plugins.Batch
	payloads [][]byte // as received, where the listener acknowledges
	running  bool     // the batch is being run
	left     int      // of a batch that is being run: messages that have not ended
	at       int      // and the first of them, once the chain has run
	counts   listenerCounts
	web      *webCounts // nil without WebSocket
}

// maxLane is how many messages a lane collects before it is run within a turn: what
// plugins make of one batch is bounded.
const maxLane = 1024

// carry keeps with each message that is held what its acknowledgement needs.
func (l *lane) carry() {
	if l.listener.acknowledge == nil {
		return
	}
	l.batch.Carry = func(origin int32) any { return asReceived(append([]byte{}, l.payloads[origin]...)) }
}

func (l *lane) reset() {
	l.batch.Reset()
	clear(l.payloads)
	l.payloads = l.payloads[:0]
	l.running, l.left, l.at = false, 0, 0
}

// runNow is run before the turn ends. A panic then costs the lane's messages, and
// goes on to the engine.
func (p *path) runNow(l *lane) {
	defer func() {
		if l.running {
			p.abandon(l)
		}
	}()
	p.run(l)
}

// runFull runs a lane that has collected as much as it may, unless it is being run.
func (p *path) runFull(l *lane) {
	if len(l.batch.Messages) >= maxLane && !l.running {
		p.runNow(l)
	}
}

// abandon ends the messages of a lane that cannot be run, and those that wait in a
// stage.
func (p *path) abandon(l *lane) {
	lost := len(l.batch.Messages)
	if l.running {
		lost = l.left
	}
	p.ledger.Dropped[delivery.Internal] += uint64(lost)
	p.tellLost(l.batch.Messages[l.at:])
	l.reset()
	p.abandonStages()
}

// tellLost tells who waits for them what a panic has cost: acknowledgements are given
// in order, so that one that never comes would hold up all behind it. It does no harm
// to tell of one that has ended already.
func (p *path) tellLost(messages []abi.Message) {
	for i := range messages {
		p.tell(&messages[i], delivery.Internal)
	}
}
