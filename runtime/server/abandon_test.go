package server

import (
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// A turn that has panicked leaves nothing behind for the next, and every message
// of it ends once: those that had ended before are not counted again.
func TestAFailedTurnIsAbandoned(t *testing.T) {
	p := &path{lanes: []*lane{{}, {}}, stages: []*stage{{}}, open: 0, cache: &router.Cache[router.Subscriber]{}}
	for i := range p.lanes {
		l := p.lanes[i]
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
		if l := p.lanes[i]; len(l.batch.Messages)+len(l.payloads) != 0 || l.running {
			t.Errorf("lane %d holds %d messages, %d payloads", i, len(l.batch.Messages), len(l.payloads))
		}
	}
	if p.open != noStage {
		t.Error("a stage is open")
	}
}

// Acknowledgements are given in order: one for a message that a panic has cost must
// not be waited for.
func TestAFailedTurnIsToldToSpeakers(t *testing.T) {
	heard := map[uint32]delivery.Reason{}
	p := &path{
		lanes: []*lane{{}, {}}, stages: []*stage{{}}, open: 0,
		cache:    &router.Cache[router.Subscriber]{},
		speakers: []speaker{listens{heard: heard}, listens{heard: heard}},
	}
	receipt := uint32(0)
	messages := func(listener uint32) (list []abi.Message) {
		for range 4 {
			receipt++
			list = append(list, abi.Message{Listener: listener, Receipt: receipt})
		}
		return list
	}
	p.lanes[0].batch.Messages, p.lanes[0].running, p.lanes[0].left, p.lanes[0].at = messages(0), true, 2, 2 // 1 and 2 have ended
	p.lanes[1].batch.Messages = messages(1)
	p.stages[0].batch.Messages = messages(1)
	p.stages[0].left, p.stages[0].at = 1, 3
	p.TurnFailed(nil)
	for _, n := range []uint32{3, 4, 5, 6, 7, 8, 12} {
		if why, told := heard[n]; !told || why != delivery.Internal {
			t.Errorf("of message %d was told %v (%v)", n, why, told)
		}
		delete(heard, n)
	}
	if len(heard) > 0 {
		t.Errorf("told of messages that had ended: %v", heard)
	}
	if n := p.ledger.Dropped[delivery.Internal]; n != 2+4+1 {
		t.Errorf("%d messages are counted as lost", n)
	}
}

// listens is a speaker that notes what becomes of messages.
type listens struct {
	speaker
	heard map[uint32]delivery.Reason
}

func (l listens) ended(m *abi.Message, why delivery.Reason) { l.heard[m.Receipt] = why }

// A speaker that panics as a message of another loop is delivered leaves nothing of
// that message behind.
func TestAPanicLeavesNothingOfAPostedMessage(t *testing.T) {
	p := &path{}
	b := le.AppendUint32(nil, 1)
	b = append(le.AppendUint64(b, 7), make([]byte, postReceiver-8)...)
	b = append(le.AppendUint64(b, 1234), make([]byte, postMessage-8)...)
	p.speakers = []speaker{panics{}}
	err := func() (err any) {
		defer func() { err = recover() }()
		p.Posted(0, b)
		return nil
	}()
	if err == nil || p.foreign != 0 {
		t.Errorf("%v; a message of connection %v goes on", err, p.foreign)
	}
}

// What a WebSocket's bytes leave while they are cut ends with them.
func TestAPanicLeavesNothingOfAWebSocket(t *testing.T) {
	p := &path{speakers: []speaker{panics{}}}
	p.moved = true // as move leaves it
	err := func() (err any) {
		defer func() { err = recover() }()
		_, _, _ = p.cutWrapped(&peer{listener: &listener{}}, nil, []byte("more"))
		return nil
	}()
	if err == nil || p.wrapped != nil || p.moved {
		t.Errorf("%v; %q is left behind, moved %v", err, p.wrapped, p.moved)
	}
}

// panics is a speaker that does.
type panics struct{ speaker }

func (panics) data(*peer, []byte) (consumed, need int) { panic("on purpose") }

// A lane that has collected as much as it may is run, but not while it is being run.
func TestAFullLaneIsRun(t *testing.T) {
	for _, at := range []struct {
		messages int
		running  bool
		runs     bool
	}{{maxLane - 1, false, false}, {maxLane, false, true}, {maxLane, true, false}} {
		p := &path{open: noStage}
		l := &lane{running: at.running}
		l.batch.Messages = make([]abi.Message, at.messages)
		runs := func() (runs bool) {
			defer func() { runs = recover() != nil }() // it has no chain
			p.runFull(l)
			return false
		}()
		if runs != at.runs {
			t.Errorf("%d messages, running %v: it runs: %v", at.messages, at.running, runs)
		}
	}
}
