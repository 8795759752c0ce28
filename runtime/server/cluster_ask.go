package server

import (
	"bytes"
	"math"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
)

// A request that goes to another node waits here like one that goes to a session: under
// an id that stands for the node, and a part of the destination's name so that one node
// can be asked more than one session can. The other node asks its session in turn, for
// an id that stands for this node, and sends the response back. Who is gone there, or
// cannot answer by a number, is told at once (farUnasked).

// tracks tells whether the message is a request whose response is told by a number.
func (p *path) tracks(m *abi.Message, h *farRecord) bool {
	if m.Type != abi.TypeRequest || m.Session == 0 || isFar(m.Session) {
		return false
	}
	return isAsk(m.Session) || h.kind == farName || h.kind == farQueue
}

// ask takes a request to one node.
func (p *path) ask(m *abi.Message, slot int, h *farRecord) delivery.Reason {
	p.begin()
	topic := h.name
	if h.kind == farTopic {
		topic = m.Topic
	}
	key := uint32(hashOf(topic))
	to := farSession(slot) | uint64(key)
	deadline := p.answerBy(m)
	seq, err := p.server.requests.Begin(delivery.Request{
		Destination: to, SeqBits: 64, Origin: m.Session, OriginSeq: m.Seq, Deadline: deadline,
	})
	if err != nil {
		return delivery.RequestBusy
	}
	tracked := *h
	tracked.flags |= farTracked
	if isAsk(m.Session) {
		tracked.flags |= farAsk
	}
	tracked.key, tracked.token, tracked.epoch = key, seq, p.far.cluster.epoch
	tracked.wait = uint32(min(max(time.Duration(deadline-p.now).Milliseconds(), 1), math.MaxUint32))
	why := p.handOver(m, 1<<slot, &tracked)
	if why == taken {
		p.asked, p.askedBy = m.Receipt, m.Session
	} else {
		p.server.requests.Cancel(to, seq)
	}
	return why
}

// toFarAsker takes a response to the node whose session's request it answers.
func (p *path) toFarAsker(m *abi.Message, id uint64) delivery.Reason {
	if p.far == nil {
		return delivery.Closed
	}
	h := farRecord{kind: farResponse, key: uint32(id), epoch: farEpoch(id), token: m.Seq}
	return p.handOver(m, 1<<farSlot(id), &h)
}

// responded takes a response of another node to who asked.
func (p *path) responded(m *abi.Message) {
	h := &p.far.head
	if h.epoch != p.far.cluster.epoch {
		p.drop(m, delivery.LateResponse)
		return
	}
	origin, match := p.server.requests.Finish(farSession(p.far.slot)|uint64(h.key), h.token)
	switch match {
	case delivery.Unknown:
		p.drop(m, delivery.UnmatchedResponse)
		return
	case delivery.Late:
		p.drop(m, delivery.LateResponse)
		return
	}
	m.Type, m.Session, m.Seq = abi.TypeResponse, 0, origin.Seq
	copies := 0
	if p.send(m, origin.Session) {
		copies = 1
	}
	p.settled(m, copies)
}

// untracked tells the node that asked that no response is to be waited for: nobody took
// the request, or who did answers otherwise.
func (p *path) untracked(m *abi.Message, delivered bool) {
	h := farRecord{kind: farUnasked, key: uint32(m.Session), epoch: farEpoch(m.Session), token: m.Seq}
	if !delivered {
		h.flags = farLost
	}
	p.handOver(&abi.Message{}, 1<<farSlot(m.Session), &h)
}

// lostFar tells other nodes whose requests they are that who was asked has gone.
func (p *path) lostFar(list []delivery.Pending) {
	for i := range list {
		if id := list[i].Session; p.far != nil && isFar(id) {
			p.untracked(&abi.Message{Session: id, Seq: list[i].Seq}, false)
		}
	}
}

// unasked ends a request that another node will not answer.
func (p *path) unasked(h *farRecord) {
	if h.epoch != p.far.cluster.epoch {
		return
	}
	origin, match := p.server.requests.Finish(farSession(p.far.slot)|uint64(h.key), h.token)
	if match == delivery.Matched && isConfirm(origin.Session) {
		p.confirmed(origin, h.flags&farLost == 0)
		return
	}
	if match != delivery.Matched || h.flags&farLost == 0 {
		return
	}
	p.server.lost.Add(1)
	p.server.bus.abandoned([]delivery.Pending{{Origin: origin}})
	p.lostFar([]delivery.Pending{{Origin: origin}})
}

// asksAPI tells whether the message is a request of the API, of this node or another.
func (p *path) asksAPI(m *abi.Message) bool {
	return isAsk(m.Session) || isFar(m.Session) && p.far.head.flags&farAsk != 0
}

// cutNode takes the node's name off what follows replyPrefix; own is false if another
// node waits for the answer.
func (p *path) cutNode(rest []byte) (number []byte, slot int, own bool) {
	at := bytes.LastIndexByte(rest, '/')
	if at < 0 {
		return rest, 0, true
	}
	name, number := rest[:at], rest[at+1:]
	if string(name) == p.server.node {
		return number, 0, true
	}
	if p.far == nil {
		return number, -1, false
	}
	slot, ok := (*p.far.cluster.byName.Load())[string(name)]
	if !ok {
		slot = -1
	}
	return number, slot, false
}

// replyNode is what stands before the rest of the topics to which requests of the API are
// answered.
func (c *cluster) replyNode() string {
	if c == nil {
		return ""
	}
	return c.server.node + "/"
}
