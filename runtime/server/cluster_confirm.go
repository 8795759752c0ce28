package server

import (
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
)

// A durable route's message for a queue group, a shared subscription or a name that only another node has goes
// there with the wish to hear what became of it. It waits like a request: the other node
// says whether somebody took it, silence is a no, and the route's log offers it again.

// confirmBit marks the id of who waits for such an answer: a loop of this node.
const confirmBit = 1 << 54

func isConfirm(id uint64) bool { return isFar(id) && id&confirmBit != 0 }

// confirmTo is the id of this loop as who waits.
func (p *path) confirmTo() uint64 {
	return farLoop<<stayLoopShift | confirmBit | uint64(p.loop.Index())
}

// confirmWithin is how long the other node has.
const confirmWithin = 5 * time.Second

// offerFar takes a durable route's message to one of the nodes. What becomes of it is
// known later.
func (p *path) offerFar(m *abi.Message, nodes uint64, h *farRecord) int {
	p.begin()
	hash := hashOf(h.name)
	if len(h.groups) > 0 {
		hash = h.groups[0]
	}
	slot, key := p.far.next(nodes, hash), uint32(hash)
	to := farSession(slot) | uint64(key)
	token := p.newToken(m)
	seq, err := p.server.requests.Begin(delivery.Request{
		Destination: to, SeqBits: 64, OriginSeq: uint64(token), Deadline: p.now + int64(confirmWithin),
		Origin: p.confirmTo(),
	})
	why := delivery.RequestBusy
	if err == nil {
		h.flags |= farConfirm
		h.key, h.token, h.epoch = key, seq, p.far.cluster.epoch
		if why = p.handOver(m, 1<<slot, h); why != taken {
			p.server.requests.Cancel(to, seq)
		}
	}
	if !p.took(why) {
		p.receipts.at(token).why = why // whoever offers it hears of it at once
		return 0
	}
	p.receipts.sent(token, 1)
	p.receipts.pooled++
	return 1
}

// confirm tells the node that wants to know whether somebody here took its message.
func (p *path) confirm(h *farRecord, slot int, took bool) {
	answer := farRecord{kind: farUnasked, key: h.key, epoch: h.epoch, token: h.token}
	if !took {
		answer.flags = farLost
	}
	p.handOver(&abi.Message{}, 1<<slot, &answer)
}

// confirmed ends the wait of one of this node's loops.
func (p *path) confirmed(origin delivery.Origin, took bool) {
	o := owedOutcome{loop: int(origin.Session & 0xff)}
	le.PutUint32(o.unit[:], uint32(origin.Seq))
	o.unit[4], o.unit[5] = flag(took), byte(delivery.NoMember)
	if o.loop == p.loop.Index() {
		here := p.here
		p.here = false
		p.heard(o.unit[:])
		p.here = here
		return
	}
	if len(p.receipts.owed) > 0 || p.loop.Post(o.loop, postedOutcome, o.unit[:]) == engine.Dropped {
		p.receipts.owed = append(p.receipts.owed, o)
	}
}

// unconfirmed ends the waits among these that have been long enough, and answers how
// many the others are.
func (p *path) unconfirmed(expired []delivery.Pending) (others int) {
	for i := range expired {
		if isConfirm(expired[i].Session) {
			p.confirmed(expired[i].Origin, false)
		} else {
			others++
		}
	}
	return others
}
