package server

import (
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
)

// A turn that has panicked leaves nothing behind for the next, and every message
// of it ends once: those that had ended before are not counted again.
func TestAFailedTurnIsAbandoned(t *testing.T) {
	p := &path{lanes: make([]lane, 2), stages: make([]stage, 1), open: 0}
	for i := range p.lanes {
		l := &p.lanes[i]
		l.batch.Messages = make([]abi.Message, 10)
		l.payloads = make([][]byte, 10)
	}
	p.lanes[0].running, p.lanes[0].left = true, 4 // six have ended
	p.stages[0].left = 2                          // of those, two wait for a route's chain
	p.TurnFailed(nil)
	if n := p.ledger.Dropped[delivery.Internal]; n != 4+2+10 {
		t.Errorf("%d messages are counted as lost", n)
	}
	for i := range p.lanes {
		if l := &p.lanes[i]; len(l.batch.Messages)+len(l.payloads) != 0 || l.running {
			t.Errorf("lane %d holds %d messages, %d payloads", i, len(l.batch.Messages), len(l.payloads))
		}
	}
	if p.open != noStage {
		t.Error("a stage is open")
	}
}
