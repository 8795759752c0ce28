package server

import (
	"strconv"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/router"
)

// deliver implements speaker. A message of QoS 0 for a client that is there is
// written at once, in the same bytes for all who can share them; any other goes
// through the session, which keeps it until the client has it.
func (s *mqttSpeaker) deliver(m *abi.Message, to uint64, by []router.Subscriber) delivery.Reason {
	session := s.find(to)
	if session == nil {
		return delivery.Closed
	}
	if len(by) == 0 && m.Type == abi.TypeResponse {
		if topic, ok := m.Attrs.Get(attrResponseTopic); ok && packet.ValidTopic(topic) {
			defer func(own []byte) { m.Topic = own }(m.Topic)
			m.Topic = topic // where the client that asked listens
			s.path.encoded.changed(abi.ChangedTopic)
		}
	}
	copied, ok := s.copyFor(m, session, by)
	if !ok {
		return delivery.NoSubscriber
	}
	p := s.path
	if isStay(to) && p.recall.lane != nil && p.recall.seq != 0 && session.kept != nil && copied.Group == 0 {
		return s.deliverLogged(m, session, &copied)
	}
	if session.state.Passes(copied.QoS) && !session.replaying() {
		return s.direct(m, session, &copied)
	}
	if len(m.Attrs) > 0 {
		copied.Expires = mqtt.ExpiresAt(m.Attrs, m.Time)
	}
	switch o := session.state.Offer(m, copied, p.now); o {
	case mqtt.Direct:
		return s.direct(m, session, &copied)
	case mqtt.Taken:
		s.pump(session)
		s.press(m, session)
		return taken
	default:
		return lossOf(o)
	}
}

// copyFor says how the session gets the message: once, however many of its
// subscriptions match, with the highest of their qualities of service and all of
// their identifiers (MQTT-3.3.4-2 to -4). false: none of them wants it.
func (s *mqttSpeaker) copyFor(m *abi.Message, session *mqttSession, by []router.Subscriber) (mqtt.Copy, bool) {
	if len(by) == 0 {
		return mqtt.Copy{QoS: m.QoS}, true
	}
	c := mqtt.Copy{}
	some, asPublished := false, false
	s.identifiers = s.identifiers[:0]
	for i := range by {
		o := by[i].Options
		if o&optionGroup != 0 {
			c.Group = by[i].Identifier
			continue
		}
		if o&router.NoLocal != 0 && session.peer != nil && m.Session == session.peer.session.ID() {
			continue
		}
		some = true
		c.QoS = max(c.QoS, o.QoS())
		asPublished = asPublished || o&router.RetainAsPublished != 0
		if by[i].Identifier != 0 {
			s.identifiers = append(s.identifiers, by[i].Identifier)
		}
	}
	c.QoS = min(c.QoS, m.QoS)
	c.Retain = asPublished && m.Flags&abi.FlagRetain != 0
	c.Identifiers = s.identifiers
	return c, some
}

// optionGroup marks an entry beside a shared subscription's: its identifier is the
// group's number.
const optionGroup router.Options = 1 << 7

// direct writes a message of QoS 0.
func (s *mqttSpeaker) direct(m *abi.Message, session *mqttSession, copied *mqtt.Copy) delivery.Reason {
	to := session.peer
	c := to.said.(*mqttConn)
	if c.phase != mqttOpen {
		return delivery.Closed
	}
	unit, why := s.unit(m, c, copied)
	if why != taken {
		return why
	}
	s.counts.sent[packet.TypePublish]++
	switch s.path.write(to, unit, 0) {
	case engine.Pressed:
		s.path.hold(m, to.conn.ID())
	case engine.Dropped:
		if c.out != nil {
			c.out.Forget(s.alias) // perhaps the client never hears what it stands for
		}
		return delivery.OutboxFull
	case engine.Closed:
		return delivery.Closed
	}
	return taken
}

// unit is the message as a PUBLISH of QoS 0, valid until the turn ends. Clients of one
// version share it unless something in it is for one of them alone.
func (s *mqttSpeaker) unit(m *abi.Message, c *mqttConn, copied *mqtt.Copy) ([]byte, delivery.Reason) {
	if c.out != nil || copied.Retain || len(copied.Identifiers) > 0 {
		return s.ownUnit(m, c, copied)
	}
	e := &s.path.encoded
	shared := &e.mqtt[c.version&1]
	if *shared == nil {
		if m.Frame != nil && !m.FrameStale && e.changes&mqttCarries == 0 && s.path.framedAs(m, c.version) {
			*shared = m.Frame
		} else {
			unit, why := s.ownUnit(m, c, copied)
			if why != taken {
				return nil, why
			}
			*shared = unit
		}
	}
	if c.largest != 0 && len(*shared) > int(c.largest) {
		return nil, delivery.TooLarge
	}
	return *shared, taken
}

// mqttCarries is what of a message a PUBLISH holds.
const mqttCarries = abi.ChangedTopic | abi.ChangedAttrs | abi.ChangedPayload | abi.ChangedQoS

// framedAs tells whether what was received as the message is a PUBLISH of the version.
func (p *path) framedAs(m *abi.Message, v packet.Version) bool {
	if int(m.Listener) >= len(p.setup.listeners) || p.setup.listeners[m.Listener].protocol != mqttProtocol {
		return false
	}
	from := p.peer(m.Session)
	if from == nil {
		return false
	}
	c, ok := from.said.(*mqttConn)
	return ok && c.version == v && m.QoS == 0 && m.Flags&abi.FlagRetain == 0
}

// ownUnit encodes the message for one client.
func (s *mqttSpeaker) ownUnit(m *abi.Message, c *mqttConn, copied *mqtt.Copy) ([]byte, delivery.Reason) {
	expiry, expires := uint32(0), false
	if c.version == packet.V5 && len(m.Attrs) > 0 {
		if at := mqtt.ExpiresAt(m.Attrs, m.Time); at != 0 {
			if at <= s.path.now {
				return nil, delivery.Expired
			}
			expires, expiry = true, remainingSeconds(m.Attrs)
		}
	}
	s.sending = packet.Publish{Retain: copied.Retain, Topic: m.Topic, Payload: m.Payload}
	s.describe(c, m.Attrs, expiry, expires, copied.Identifiers)
	return s.encode(c)
}

// remainingSeconds is the expiry that a message of this turn came with.
func remainingSeconds(attrs abi.Attributes) uint32 {
	text, _ := attrs.Get(attrExpiry)
	n, _ := strconv.ParseUint(string(text), 10, 32)
	return uint32(n)
}

// describe gives the PUBLISH that is being sent its properties.
func (s *mqttSpeaker) describe(c *mqttConn, attrs abi.Attributes, expiry uint32, expires bool, identifiers []uint32) {
	if c.version != packet.V5 {
		return
	}
	properties := s.properties[:0]
	if len(attrs) > 0 {
		properties = appendProperties(properties, attrs)
	}
	if expires {
		properties = properties.AppendNumber(packet.MessageExpiry, expiry)
	}
	for _, id := range identifiers {
		properties = properties.AppendNumber(packet.SubscriptionIdentifier, id)
	}
	s.properties = properties
	s.sending.Properties = properties
}

// encode encodes the PUBLISH that is being sent.
func (s *mqttSpeaker) encode(c *mqttConn) ([]byte, delivery.Reason) {
	m, alias := &s.sending, uint16(0)
	s.alias = 0
	size := m.Size(c.version)
	if size == 0 || c.largest != 0 && size > int(c.largest) {
		return nil, delivery.TooLarge
	}
	if c.out != nil && len(m.Topic) > 3 { // a property of an alias takes 3 bytes
		known := false
		if alias, known = c.out.Use(m.Topic); alias != 0 {
			s.alias = alias
			s.properties = m.Properties.AppendNumber(packet.TopicAlias, uint32(alias))
			m.Properties = s.properties
			if known {
				m.Topic = nil
			}
			if size = m.Size(c.version); c.largest != 0 && size > int(c.largest) {
				c.out.Forget(alias)
				return nil, delivery.TooLarge
			}
		}
	}
	p := s.path
	start := len(p.scratch)
	p.scratch = packet.AppendPublish(p.scratch, m, c.version)
	return p.scratch[start:], taken
}
