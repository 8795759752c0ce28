package server

import (
	"errors"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// frames cuts frames off b.
func (p *path) frames(from *peer, b []byte) (consumed, need int) {
	l := from.listener
	lane := p.lanes[l.index]
	for consumed < len(b) && !from.refused {
		messages := append(lane.batch.Messages, abi.Message{})
		m := &messages[len(messages)-1]
		lane.batch.Messages = messages
		n, grown, err := l.format.Decode(b[consumed:], p.scratch, m)
		p.scratch = grown
		if n > 0 && err == nil {
			// The frame keeps the capacity of what follows it: frames that are
			// sent on unchanged and side by side are written as one.
			m.Frame = b[consumed : consumed+n]
			consumed += n
			from.faults = 0
			received := m.Payload
			if p.admit(from, m) && p.translate(m) {
				if l.acknowledge != nil {
					lane.payloads = append(lane.payloads, received)
				}
				if len(messages) >= maxLane {
					p.runNow(lane)
				}
				continue
			}
			lane.batch.Messages = messages[:len(messages)-1]
			continue
		}
		lane.batch.Messages = messages[:len(messages)-1]
		if err == nil {
			return consumed, l.format.Need(b[consumed:])
		}
		lane.counts.bad(err)
		p.offends(from, offenceFrame)
		if p.server.debugging() {
			p.server.log.Debug("not a frame", "listener", l.name, "remote", from.conn.Remote(), "skipped", n, "error", err)
		}
		if from.faults++; n == 0 || from.faults > maxFaults {
			from.refused = true
			p.badFrame(from, err)
			from.conn.CloseAfterFlush(engine.ReasonProtocol)
		}
		consumed += n
	}
	if from.refused {
		consumed = len(b)
	}
	return consumed, 0
}

// maxFaults is how many times in a row a connection may send what is no frame in
// a format that finds its way back: looking for the next frame costs time.
const maxFaults = 64

// admit completes a message that was cut from a frame; false if it is not to go
// further.
func (p *path) admit(from *peer, m *abi.Message) bool {
	l := from.listener
	if (m.Type == abi.TypeHeartbeat || m.Type == abi.TypeResponse && l.beats) && p.isHeartbeat(from, m) {
		p.answerHeartbeat(from, m)
		return false
	}
	m.Session, m.Listener, m.Time = from.session.ID(), l.index, p.now
	m.Context = from.session.Context()
	p.ledger.In++
	p.lanes[l.index].counts.in(m)
	if !p.identify(from, m) {
		p.ledger.Drop(delivery.TooLarge)
		return false
	}
	if l.nodeAttr != "" {
		if !p.address(from, m) {
			return false
		}
		m.Context = from.session.Context() // which its name may have brought back
	}
	switch {
	case len(m.Topic) > 0:
	case l.fixedTopic != nil:
		m.Topic = l.fixedTopic
	default:
		return p.makeTopic(l, m)
	}
	return true
}

// isHeartbeat tells a heartbeat, or the answer to weft's own, from a frame that
// looks the same and is for another node.
func (p *path) isHeartbeat(from *peer, m *abi.Message) bool {
	l := from.listener
	if m.Type == abi.TypeResponse && (!l.format.IsHeartbeatReply(m) || l.format.SeqBits() > 0 && p.server.requests.Len() > 0) {
		return false
	}
	if l.nodeAttr == "" {
		return true
	}
	number, _ := m.Attrs.Get(l.nodeAttr)
	own := from.session.Name()
	if own == "" || string(number) == own || string(number) == l.beatNode {
		return true
	}
	return !l.format.AsMessage(m)
}

// answerHeartbeat answers a heartbeat. It names its node as a message does: a node
// that only listens can be reached.
func (p *path) answerHeartbeat(from *peer, m *abi.Message) {
	if l := from.listener; l.nodeAttr != "" && from.session.Name() == "" {
		if number, _ := m.Attrs.Get(l.nodeAttr); string(number) != l.beatNode && !p.named(from, m, number) {
			return
		}
	}
	start := len(p.scratch)
	if grown, ok := from.listener.format.AppendHeartbeatReply(p.scratch, m); ok {
		p.scratch = grown
		p.answer(from, grown[start:], abi.MaxPriority)
	}
	p.lanes[from.listener.index].counts.heartbeats++
}

// answer sends weft's own answer to what the connection sent. Who does not read its
// answers is not read from until it does.
func (p *path) answer(to *peer, unit []byte, priority uint8) {
	if p.write(to, unit, priority) == engine.Pressed {
		p.loop.Hold(to.conn.ID(), to.conn.ID())
	}
}

// makeTopic fills in the topic of a frame that carries none.
func (p *path) makeTopic(l *listener, m *abi.Message) bool {
	start := len(p.scratch)
	p.values.set(l.name, m)
	grown, err := l.topic.Append(p.scratch, &p.values)
	p.scratch = grown
	if err != nil {
		p.drop(m, topicReason(err))
		if p.server.debugging() {
			p.server.log.Debug("no topic", "listener", l.name, "session", m.Session, "error", err)
		}
		return false
	}
	m.Topic = grown[start:len(grown):len(grown)]
	return true
}

func topicReason(err error) delivery.Reason {
	switch {
	case errors.Is(err, router.ErrMissing):
		return delivery.NoTopic
	case errors.Is(err, router.ErrUnsafe):
		return delivery.UnsafeTopic
	}
	return delivery.BadTopic
}

// address deals with frames that carry a node's number. The first one names the
// session, unless the listener says what its name is made of. A later one with
// another number is for that node, 255 for everybody: its receiver reads the
// sender's number in it, so that it can answer.
func (p *path) address(from *peer, m *abi.Message) bool {
	attribute := from.listener.nodeAttr
	number, _ := m.Attrs.Get(attribute)
	own := from.session.Name()
	if own == "" {
		if !p.named(from, m, number) {
			p.drop(m, delivery.Closed)
			return false
		}
		return true
	}
	if string(number) == own {
		return true
	}
	p.readdress(m, attribute, own, number)
	return true
}

// readdress says in a message's attributes which node it is from, and for which.
func (p *path) readdress(m *abi.Message, attribute, own string, to []byte) {
	start := len(p.scratch)
	block := abi.Attributes(p.scratch).AppendString(attribute, own).Append(attrTo, to)
	for name, value := range m.Attrs.All() {
		if string(name) != attribute {
			block = block.Append(string(name), value)
		}
	}
	p.scratch, m.Attrs, m.FrameStale = block, block[start:len(block):len(block)], true
}

// named gives a session without a name the one that its first frame brings;
// false if it may not have it and is being closed.
func (p *path) named(from *peer, first *abi.Message, number []byte) bool {
	if from.listener.node == nil {
		if string(number) == everybody {
			p.refuse(from, errEverybody)
			return false
		}
		if !p.claim(from, number, session.Refuse) {
			return false
		}
	}
	p.introduce(from, first)
	return !from.refused
}

const (
	// attrTo names the node that a frame is addressed to.
	attrTo = "to"
	// everybody is the node number that stands for all nodes.
	everybody = "255"
)
