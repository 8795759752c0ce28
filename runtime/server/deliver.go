package server

import (
	"bytes"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// Beside the reasons for which a copy is not taken.
const (
	// taken: the receiver has it.
	taken = delivery.Reason(delivery.NumReasons)
	// asDeadLetter: it went on as a dead letter.
	asDeadLetter = taken + 1
)

// deliver takes the message to one destination and says how many receivers took
// it; if none, p.why says why. found is what the cache knows of the message's own
// topic; name is empty or belongs to the destination.
func (p *path) deliver(m *abi.Message, kind abi.DestinationKind, name []byte, found *router.Entry[router.Subscriber]) int {
	copies := p.deliverTo(m, kind, name, found)
	if f := p.tail.of(m); f != nil {
		f.went(kind, name, copies)
	}
	return copies
}

func (p *path) deliverTo(m *abi.Message, kind abi.DestinationKind, name []byte, found *router.Entry[router.Subscriber]) int {
	switch kind {
	case abi.ToSubscribers:
		if len(name) > 0 {
			return p.toTopic(m, name)
		}
		return p.toSubscribers(m, found)
	case abi.ToNode:
		return p.toNode(m, name)
	case abi.ToAll:
		return p.toAll(m)
	case abi.ToQueue:
		return p.toQueue(m, name)
	case abi.ToReply:
		return p.toSender(m)
	case abi.ToDeadLetter:
		return p.toDeadLetter(m)
	case abi.ToUpstream:
		return p.toUpstream(m, name)
	}
	p.why = delivery.NoUpstream
	return 0
}

func (p *path) toSubscribers(m *abi.Message, found *router.Entry[router.Subscriber]) int {
	if found.Err != nil {
		p.why = delivery.BadTopic
		return 0
	}
	if m.Flags&abi.FlagRetain != 0 && p.server.mqtt != nil {
		return p.toRetained(m)
	}
	return p.toFound(m, found)
}

// toFound takes the message to the subscribers that were found for its topic.
func (p *path) toFound(m *abi.Message, found *router.Entry[router.Subscriber]) int {
	if len(found.Subscribers) == 0 {
		p.why = delivery.NoSubscriber
		return 0
	}
	copies := 0
	for by := found.Subscribers; len(by) > 0; {
		if n, sessions := p.elsewhere(by); n > 0 {
			if p.took(p.postTo(m, loopOf(by[0].Session), by[:n], sessions, false)) {
				copies += sessions
				p.ledger.Copies += uint64(sessions - 1)
			} else {
				p.ledger.CopiesDropped[p.why] += uint64(sessions - 1)
			}
			by = by[n:]
			continue
		}
		if p.far != nil && isFar(by[0].Session) {
			n := far(by)
			if p.why = delivery.NoSubscriber; !p.here {
				copies += p.toNodes(m, by[:n], found.Subscribers)
			}
			by = by[n:]
			continue
		}
		n := 1
		for n < len(by) && by[n].Session == by[0].Session {
			n++
		}
		if asks := isAsk(m.Session) || isFar(m.Session); asks && p.askBy(m, by[0].Session, by[:n]) || !asks && p.sendBy(m, by[0].Session, by[:n]) {
			copies++
		}
		by = by[n:]
	}
	return copies
}

// elsewhere counts the subscriptions at the front that belong to sessions of one other
// loop which outlive their connections, and these sessions: they get one copy together.
func (p *path) elsewhere(by []router.Subscriber) (subscriptions, sessions int) {
	if p.single || !isStay(by[0].Session) {
		return 0, 0
	}
	at := loopOf(by[0].Session)
	if at == p.loop.Index() {
		return 0, 0
	}
	last := uint64(0)
	for _, s := range by {
		if !isStay(s.Session) || loopOf(s.Session) != at {
			break
		}
		subscriptions++
		if s.Session != last {
			sessions++
			last = s.Session
		}
	}
	return subscriptions, sessions
}

// toTopic delivers the message under another topic than its own.
func (p *path) toTopic(m *abi.Message, topic []byte) int {
	if bytes.HasPrefix(topic, []byte(replyPrefix)) {
		if p.took(p.toAsker(m, topic)) {
			return 1
		}
		return 0
	}
	found := p.cache.Lookup(topic)
	own := m.Topic
	m.Topic = topic
	p.encoded.changed(abi.ChangedTopic)
	copies := p.toSubscribers(m, &found)
	m.Topic = own
	p.encoded.changed(abi.ChangedTopic)
	return copies
}

func (p *path) toNode(m *abi.Message, name []byte) int {
	id, ok := p.server.sessions.Lookup(name)
	if !ok {
		return p.toFarNode(m, name)
	}
	if p.crowded(abi.ToNode, name) {
		return 0
	}
	if !p.roomAt(id) {
		p.noRoom(abi.ToNode, name)
		return 0
	}
	if p.sendOne(m, id) {
		return 1
	}
	return 0
}

func (p *path) toAll(m *abi.Message) int {
	copies := 0
	p.why = delivery.NoNode
	p.server.sessions.Names(func(_ string, id uint64) bool {
		if id != m.Session && p.send(m, id) {
			copies++
		}
		return true
	})
	return copies + p.toFarAll(m)
}

// toQueue offers the message to the group's members in turn until one takes it.
func (p *path) toQueue(m *abi.Message, name []byte) int {
	if p.crowded(abi.ToQueue, name) {
		return 0
	}
	group, wait := p.server.sessions.Queue(name), false
	p.why = delivery.NoMember
	turn := group.Turn() // others of the loops take theirs meanwhile
	for i := range uint64(group.Len()) {
		switch id, ok := group.Member(turn + i); {
		case !ok:
		case !p.roomAt(id):
			wait = true
		case p.sendOne(m, id):
			return 1
		}
	}
	copies := p.toFarQueue(m, name)
	if copies == 0 && wait {
		p.noRoom(abi.ToQueue, name)
	}
	return copies
}

func (p *path) toSender(m *abi.Message) int {
	if m.Session == 0 {
		p.why = delivery.NoReply
		return 0
	}
	if p.send(m, m.Session) {
		return 1
	}
	return 0
}

func (p *path) toDeadLetter(m *abi.Message) int {
	p.why = delivery.DeadLetterLost
	if p.bury(m) {
		p.why = asDeadLetter
		return 1
	}
	return 0
}

// bury keeps the message's dead letter and publishes it; false if neither is
// possible.
func (p *path) bury(m *abi.Message) bool {
	if p.again != nil && m.Flags&abi.FlagRedelivered != 0 {
		p.again.letter = p.letter // it is in the store already
		return true
	}
	if p.setup.dead == nil {
		p.kept = p.keep(m)
		return p.kept
	}
	letter := *m
	letter.Receipt = 0
	grown, ok := p.setup.dead.Build(p.scratch, p.letter, &letter)
	p.scratch = grown
	if !ok {
		return false
	}
	p.kept = p.keep(m)
	found := p.cache.Lookup(letter.Topic)
	if p.kept && len(found.Subscribers) == 0 {
		return true // nobody listens, and nothing is lost
	}
	own, token := p.encoded, p.receipts.token
	p.encoded.reset(abi.ChangesKnown)
	p.receipts.token = 0 // the letter is another message
	p.ledger.Emitted++
	p.settled(&letter, p.toSubscribers(&letter, &found))
	p.encoded, p.receipts.token = own, token
	return true
}
