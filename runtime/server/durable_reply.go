package server

import (
	"bytes"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
)

// A record says whose message it is, so that a reply finds its sender. Names of nodes are
// ones that somebody may have; what a client of MQTT calls itself is none of them, however
// it reads, and has a mark in front:
//
//	NAME                       a session that has the name among the nodes; empty for none
//	NUL PRINCIPAL NUL CLIENT   a client of MQTT, whose id has no NUL
//
// Records of former versions have the client id alone: their listener tells them apart.
const mqttMark = 0

// appendSender appends to dst what the message's sender is called outside of this process.
func (p *path) appendSender(dst []byte, m *abi.Message) []byte {
	if m.Session == 0 {
		return dst
	}
	from := p.peer(m.Session)
	if from == nil || from.session == nil {
		return dst
	}
	c, ok := from.said.(*mqttConn)
	if !ok {
		return append(dst, from.session.Name()...)
	}
	session := c.session
	if session == nil {
		session = c.was
	}
	if session == nil {
		return dst
	}
	dst = append(append(dst, mqttMark), session.key.Principal...)
	return append(append(dst, mqttMark), session.key.ClientID...)
}

// mqttSender is the client of MQTT that a record's sender is; false for any other.
func mqttSender(from []byte) (key mqtt.Key, ok bool) {
	if len(from) == 0 || from[0] != mqttMark {
		return key, false
	}
	at := bytes.LastIndexByte(from, mqttMark)
	if at == 0 {
		return key, false
	}
	return mqtt.Key{Principal: string(from[1:at]), ClientID: string(from[at+1:])}, true
}

// shownSender is what people are told of a record's sender.
func shownSender(from []byte) string {
	if key, ok := mqttSender(from); ok {
		return key.ClientID
	}
	return string(from)
}

// recallReply takes an entry to who sent it, if that is here. tried says that it is, or
// that nobody else would say that it is not: home.
func (p *path) recallReply(m *abi.Message, record *delivery.Record, home bool) (tried bool) {
	p.why = delivery.NoReply
	if len(record.From) == 0 || string(record.Node) != p.server.node {
		return home && string(record.Node) == p.server.node
	}
	if int(m.Listener) >= len(p.speakers) {
		return home // its listener is gone
	}
	key, marked := mqttSender(record.From)
	speaker, ok := p.speakers[m.Listener].(*mqttSpeaker)
	if marked && !ok {
		return home // another one has that name
	}
	if ok {
		if !marked {
			identity, _ := m.Context.Get("identity")
			key = mqtt.Key{Principal: string(identity), ClientID: string(record.From)}
		}
		return p.replyMQTT(m, speaker, key)
	}
	id, there := p.server.sessions.Lookup(record.From)
	if !there {
		return home
	}
	if loopOf(id) != p.loop.Index() || !p.recall.lane.feeding.receiver(id) {
		return false
	}
	p.recallOne(m, id)
	return true
}

// replyMQTT takes an entry to a client of MQTT that is there. Its session lives on the
// loop that its id says, and that one alone judges.
func (p *path) replyMQTT(m *abi.Message, s *mqttSpeaker, key mqtt.Key) (tried bool) {
	if p.server.publishTo([]byte(key.ClientID)) != p.loop.Index() {
		return false
	}
	state := s.clients.Find(key)
	if state == nil || s.find(state.ID()).peer == nil {
		return true
	}
	if p.recall.lane.feeding.receiver(state.ID()) {
		p.recallOne(m, state.ID())
	}
	return true
}

// recallOne takes an entry to one session that it is addressed to. That is nothing that the
// session has subscribed to, and has no place in how far it is in the log.
func (p *path) recallOne(m *abi.Message, id uint64) {
	seq := p.recall.seq
	p.recall.seq = 0
	if p.send(m, id) {
		p.recall.lane.feeding.copies++
	}
	p.recall.seq = seq
}
