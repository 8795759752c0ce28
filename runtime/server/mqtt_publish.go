package server

import (
	"bytes"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// published takes a PUBLISH into the listener's lane.
func (s *mqttSpeaker) published(from *peer, c *mqttConn, unit []byte) error {
	m := &s.received
	if err := m.Decode(unit, c.version, packet.FromClient); err != nil {
		return err
	}
	switch {
	case int(m.QoS) > s.setup.MaxQoS:
		return violation(packet.TypePublish, packet.QoSNotSupported, "MQTT-3.2.2-11", "its QoS is higher than the maximum that CONNACK gave")
	case m.Retain && !s.setup.Retain:
		return violation(packet.TypePublish, packet.RetainNotSupported, "MQTT-3.2.2-14", "RETAIN is set, and CONNACK said that it is not available")
	}
	frame := unit
	if len(m.Properties) > 0 {
		alias := m.Properties.Number(packet.TopicAlias, 0)
		if alias != 0 || m.Properties.Has(packet.TopicAlias) {
			if c.in == nil {
				in := mqtt.NewInAliases(uint16(s.setup.TopicAliases))
				c.in = &in
			}
			topic, err := c.in.Resolve(uint16(alias), m.Topic)
			if err != nil {
				return violation(packet.TypePublish, packet.TopicAliasInvalid, "MQTT-3.3.2-10", err.Error())
			}
			if len(m.Topic) == 0 {
				topic = s.keep(topic) // the next packet may change what the alias is
			}
			m.Topic, frame = topic, nil
		}
		if m.Properties.Has(packet.MessageExpiry) {
			frame = nil // its receivers are told what is left of it
		}
	}
	receipt := uint32(0)
	if m.QoS > 0 {
		frame = nil
		seq, what := c.session.state.Receive(m.ID, m.QoS)
		switch what {
		case mqtt.New:
			receipt = mqtt.ReceiptOf(seq)
		case mqtt.Duplicate:
			s.acks(c.session)
			return nil
		case mqtt.InUse:
			if c.version != packet.V5 {
				return violation(packet.TypePublish, packet.PacketIdentifierInUse, "MQTT-2.3.1-2", "its packet identifier belongs to an exchange of another QoS")
			}
			s.answerPublish(from, c, mqtt.Ack{ID: m.ID, QoS: m.QoS, Code: byte(packet.PacketIdentifierInUse)})
			return nil
		default:
			return violation(packet.TypePublish, packet.ReceiveMaximumExceeded, "MQTT-3.3.4-9", "more messages are under way than the receive maximum allows")
		}
	}
	s.enter(from, c, m, frame, receipt)
	return nil
}

// enter makes a message of a PUBLISH.
func (s *mqttSpeaker) enter(from *peer, c *mqttConn, m *packet.Publish, frame []byte, receipt uint32) {
	p := s.path
	am := p.blank()
	am.QoS, am.Seq, am.Receipt, am.Topic, am.Payload = m.QoS, uint64(m.ID), receipt, m.Topic, m.Payload
	if m.Retain {
		am.Flags, frame = abi.FlagRetain, nil
	}
	if m.Dup {
		am.Flags |= abi.FlagRedelivered
	}
	if len(m.Properties) > 0 {
		start := len(p.scratch)
		p.scratch = appendAttributes(p.scratch, m.Properties)
		am.Attrs = p.scratch[start:len(p.scratch):len(p.scratch)]
	}
	am.Frame = frame
	why := taken
	switch {
	case len(am.Attrs) > abi.MaxAttrs:
		why = delivery.TooLarge
	case !c.rights.mayPublish(m.Topic) || len(m.Topic) > 0 && m.Topic[0] == '$' && bytes.HasPrefix(m.Topic, []byte(sysPrefix)):
		why = delivery.NotAllowed
	}
	if why != taken {
		am.Session, am.Listener = from.session.ID(), s.listener.index
		p.ledger.In++
		p.drop(am, why)
		return
	}
	p.enter(from, am)
}

// keep copies bytes to where they last until the turn ends.
func (s *mqttSpeaker) keep(b []byte) []byte {
	p := s.path
	start := len(p.scratch)
	p.scratch = append(p.scratch, b...)
	return p.scratch[start:len(p.scratch):len(p.scratch)]
}

// ended implements speaker: the client is told what became of its message.
func (s *mqttSpeaker) ended(m *abi.Message, why delivery.Reason) {
	from := s.leaving
	if from == nil || from.session.ID() != m.Session {
		from = s.path.peer(m.Session)
	}
	if from == nil {
		return
	}
	c := from.said.(*mqttConn)
	session := c.session
	if session == nil {
		session = c.was
	}
	if s.path.refusedByLog && c.version != packet.V5 {
		s.unkept(from, c, why) // PUBACK of 3.1.1 cannot say no
	}
	if session == nil || !session.state.DoneReceipt(m.Receipt, byte(codeOf(why))) {
		return
	}
	s.acks(session)
}

// codeOf is what PUBACK and PUBREC say about what became of a message.
func codeOf(why delivery.Reason) packet.Code {
	switch why {
	case taken, asDeadLetter:
		return packet.Success
	case delivery.NoSubscriber, delivery.NoRoute, delivery.NoNode, delivery.NoMember:
		return packet.NoMatchingSubscribers
	case delivery.PluginDrop, delivery.PluginClose, delivery.NotAllowed:
		return packet.NotAuthorized
	case delivery.BadTopic, delivery.UnsafeTopic, delivery.NoTopic:
		return packet.TopicNameInvalid
	case delivery.SessionFull, delivery.OutboxFull, delivery.HoldFull, delivery.LoopBusy, delivery.RequestBusy, delivery.UpstreamFull, delivery.TooLarge, delivery.LogFull, delivery.LogBusy:
		return packet.QuotaExceeded
	}
	return packet.UnspecifiedError
}

// unkept closes the connection of a client whose message a log has not kept, without
// an acknowledgement: it sends the message again when it is back.
func (s *mqttSpeaker) unkept(from *peer, c *mqttConn, why delivery.Reason) {
	s.path.server.crowd.Info("a durable message was not kept: its client is disconnected without PUBACK, which could not say so",
		"listener", s.listener.name, "client", clientOf(c), "remote", from.conn.Remote(), "reason", why)
	s.dismiss(from, c, packet.QuotaExceeded, "", engine.ReasonDenied)
}

// acks writes the acknowledgements whose turn has come.
func (s *mqttSpeaker) acks(session *mqttSession) {
	c := session.conn()
	if c == nil || c.phase != mqttOpen {
		return
	}
	for a, ok := session.state.NextAck(); ok; a, ok = session.state.NextAck() {
		s.answerPublish(session.peer, c, a)
	}
}

func (s *mqttSpeaker) answerPublish(to *peer, c *mqttConn, a mqtt.Ack) {
	t := packet.TypePuback
	if a.QoS == 2 {
		t = packet.TypePubrec
	}
	s.sendAck(to, c, t, a.ID, packet.Code(a.Code))
}

func (s *mqttSpeaker) sendAck(to *peer, c *mqttConn, t packet.Type, id uint16, reason packet.Code) {
	p := s.path
	s.ack = packet.Ack{Type: t, ID: id, Reason: reason}
	start := len(p.scratch)
	p.scratch = packet.AppendAck(p.scratch, &s.ack, c.version)
	s.send(to, t, p.scratch[start:])
}

// acknowledged takes an acknowledgement of the client.
func (s *mqttSpeaker) acknowledged(from *peer, c *mqttConn, unit []byte) error {
	a := &s.ack
	if err := a.Decode(unit, c.version); err != nil {
		return err
	}
	id, state := a.ID, c.session.state
	match := mqtt.Matched
	switch a.Type {
	case packet.TypePuback:
		match = state.Puback(id, a.Reason.Failed())
	case packet.TypePubrec:
		failed := a.Reason.Failed()
		if match = state.Pubrec(id, failed); match == mqtt.Matched && !failed {
			s.sendAck(from, c, packet.TypePubrel, id, packet.Success)
		} else if match == mqtt.Unknown && !failed {
			s.sendAck(from, c, packet.TypePubrel, id, packet.PacketIdentifierNotFound)
		}
	case packet.TypePubcomp:
		match = state.Pubcomp(id)
	case packet.TypePubrel:
		reason := packet.Success
		if !state.Pubrel(id) {
			reason = packet.PacketIdentifierNotFound
		}
		s.sendAck(from, c, packet.TypePubcomp, id, reason)
		return nil
	}
	if match == mqtt.Mismatched {
		return violation(a.Type, packet.ProtocolError, "4.3", "the exchange with its packet identifier waits for another packet")
	}
	s.pump(c.session)
	if c.session.kept != nil && len(s.path.logList) > 0 {
		s.dirty(c.session)
		s.readOn(c.session)
	}
	if match == mqtt.Matched {
		c.session.moved = s.path.now
	}
	if c.session.pressed {
		if !s.crowded(c.session, 4) {
			s.relieve(s.path.now)
		}
	}
	return nil
}

// disconnected takes the client's goodbye.
func (s *mqttSpeaker) disconnected(from *peer, c *mqttConn, unit []byte) error {
	var d packet.Disconnect
	if err := d.Decode(unit, c.version, packet.FromClient); err != nil {
		return err
	}
	session := c.session
	if f, ok := d.Properties.Get(packet.SessionExpiry); ok {
		expiry, err := session.start.Leaving(f.Number, s.setup.expiryMax)
		if err != nil {
			return violation(packet.TypeDisconnect, packet.ProtocolError, "MQTT-3.1.2-23", err.Error())
		}
		session.start.Expiry = expiry
	}
	if d.Reason == packet.NormalDisconnection {
		session.state.DropWill()
	}
	c.phase = mqttClosing
	from.conn.CloseAfterFlush(engine.ReasonPeerClosed)
	return nil
}
