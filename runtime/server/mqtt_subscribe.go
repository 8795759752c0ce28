package server

import (
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/router"
)

// subscribed takes a SUBSCRIBE. The answer leaves when every subscription is in force.
func (s *mqttSpeaker) subscribed(from *peer, c *mqttConn, unit []byte) error {
	m := &s.subscribe
	if err := m.Decode(unit, c.version); err != nil {
		return err
	}
	identifier := m.Properties.Number(packet.SubscriptionIdentifier, 0)
	s.codes = s.codes[:0]
	for i := range m.Filters {
		code := s.subscribeTo(c, &m.Filters[i], identifier)
		if code.Failed() {
			s.counts.unsubscribed[code]++
		}
		s.codes = append(s.codes, code)
	}
	answer := packet.Suback{ID: m.ID, Reasons: s.codes}
	p := s.path
	start := len(p.scratch)
	p.scratch = packet.AppendSuback(p.scratch, &answer, c.version)
	if unit := p.scratch[start:]; !s.subackLater(from, c, unit) {
		s.send(from, packet.TypeSuback, unit)
	}
	s.pump(c.session)
	return nil
}

// subscribeTo puts one subscription into force and answers what SUBACK says of it.
func (s *mqttSpeaker) subscribeTo(c *mqttConn, f *packet.Subscription, identifier uint32) packet.Code {
	filter := string(f.Filter)
	group, pattern, shared := "", filter, false
	if c.version == packet.V5 || s.setup.Shared {
		var err error
		if group, pattern, shared, err = mqtt.CutShare(filter); err != nil {
			return packet.TopicFilterInvalid
		}
	}
	switch {
	case shared && !s.setup.Shared:
		return packet.SharedNotSupported
	case router.ValidatePattern(pattern) != nil:
		return packet.TopicFilterInvalid
	case !c.rights.maySubscribe(pattern):
		return packet.NotAuthorized
	}
	qos := min(f.QoS, uint8(s.setup.MaxQoS))
	by := router.Subscriber{Session: c.session.id, Identifier: identifier, Options: router.Options(qos)}
	if f.NoLocal {
		by.Options |= router.NoLocal
	}
	if f.RetainAsPublished {
		by.Options |= router.RetainAsPublished
	}
	session := c.session
	at := slices.IndexFunc(session.subscriptions, func(o mqttSubscription) bool { return o.filter == filter })
	if at < 0 && len(session.subscriptions) >= s.setup.Session.Subscriptions {
		return packet.QuotaExceeded
	}
	replays := !shared && s.setup.Retain && (f.RetainHandling == packet.RetainAlways || f.RetainHandling == packet.RetainIfNew && at < 0)
	if replays && session.replay != nil && !session.replay.Takes(pattern) {
		return packet.QuotaExceeded // rather than a subscription whose retained messages never come
	}
	if at < 0 && !s.budget.Take(mqtt.SubscriptionCost(filter)) {
		return packet.QuotaExceeded
	}
	if code := s.enforce(session, group, pattern, shared, by); code != packet.Success {
		if at < 0 {
			s.budget.Give(mqtt.SubscriptionCost(filter))
		}
		return code
	}
	if at < 0 {
		session.subscriptions = append(session.subscriptions, mqttSubscription{filter, by, shared})
	} else {
		before := &session.subscriptions[at]
		if before.shared != shared || !shared && before.by != by {
			s.lift(session, before)
		}
		before.by, before.shared = by, shared
	}
	if replays {
		session.replays(pattern, qos, identifier)
	}
	return packet.Code(qos)
}

// enforce puts a subscription where messages look for their receivers; anything but
// Success is why it is not there.
func (s *mqttSpeaker) enforce(session *mqttSession, group, pattern string, shared bool, by router.Subscriber) packet.Code {
	if shared {
		if !s.join(session, group, pattern, by) {
			return packet.QuotaExceeded
		}
	} else if _, err := s.path.server.topics.Add(pattern, by); err != nil {
		return packet.TopicFilterInvalid
	}
	return packet.Success
}

// replays makes the session get the retained messages that the pattern matches.
func (s *mqttSession) replays(pattern string, qos uint8, identifier uint32) {
	copied := mqtt.Copy{QoS: qos}
	if identifier != 0 {
		copied.Identifiers = []uint32{identifier}
	}
	if s.replay == nil {
		s.replay = new(mqtt.Replay)
	}
	s.replay.Add(pattern, copied)
}

// join makes the session a member of a shared subscription.
func (s *mqttSpeaker) join(session *mqttSession, group, pattern string, by router.Subscriber) bool {
	g, first, _, err := s.groups.Join(group, pattern, mqtt.Member{
		Session: session.id, Identifier: by.Identifier, QoS: by.Options.QoS(), Options: uint8(by.Options), Presence: session.state.Presence(),
	})
	if err != nil {
		s.path.server.crowd.Warn("shared subscription refused", "listener", s.listener.name, "group", group, "filter", pattern, "error", err)
		return false
	}
	if first {
		_, err = s.path.server.topics.Add(pattern, router.Subscriber{Session: groupSession(g.ID)})
	}
	return err == nil
}

// unsubscribed takes an UNSUBSCRIBE.
func (s *mqttSpeaker) unsubscribed(from *peer, c *mqttConn, unit []byte) error {
	m := &s.unsubscribe
	if err := m.Decode(unit, c.version); err != nil {
		return err
	}
	session := c.session
	s.codes = s.codes[:0]
	for _, filter := range m.Filters {
		at := slices.IndexFunc(session.subscriptions, func(o mqttSubscription) bool { return o.filter == string(filter) })
		if at < 0 {
			s.codes = append(s.codes, packet.NoSubscriptionExisted)
			continue
		}
		s.drop(session, &session.subscriptions[at])
		session.subscriptions = slices.Delete(session.subscriptions, at, at+1)
		s.codes = append(s.codes, packet.Success)
	}
	answer := packet.Unsuback{ID: m.ID, Reasons: s.codes}
	p := s.path
	start := len(p.scratch)
	p.scratch = packet.AppendUnsuback(p.scratch, &answer, c.version)
	s.dirty(session)
	s.send(from, packet.TypeUnsuback, p.scratch[start:])
	return nil
}

// drop takes a subscription out of force, and what it owes with it.
func (s *mqttSpeaker) drop(session *mqttSession, sub *mqttSubscription) {
	s.budget.Give(mqtt.SubscriptionCost(sub.filter))
	if !sub.shared && session.replay != nil {
		session.replay.Remove(sub.filter)
	}
	s.lift(session, sub)
}

// lift undoes what enforce has done for the subscription.
func (s *mqttSpeaker) lift(session *mqttSession, sub *mqttSubscription) {
	if !sub.shared {
		s.path.server.topics.Remove(sub.filter, sub.by)
		return
	}
	group, pattern, _, _ := mqtt.CutShare(sub.filter)
	if g, last := s.groups.Leave(group, pattern, session.id); last {
		s.path.server.topics.Remove(pattern, router.Subscriber{Session: groupSession(g.ID)})
	}
}

// groupLoop stands in the id of a shared subscription where others have a loop.
const groupLoop = 0xfe

func groupSession(id uint32) uint64 { return groupLoop<<stayLoopShift | uint64(id) }

func isGroup(id uint64) bool { return loopOf(id) == groupLoop }

// maxTried is to how many members of a group a message is offered.
const maxTried = 8

// toGroup takes the message to one member of a shared subscription: to another one, if
// that does not take it.
func (p *path) toGroup(m *abi.Message, id uint64) delivery.Reason {
	g := p.server.mqtt.groups.Group(uint32(id))
	if g == nil {
		return delivery.Closed
	}
	why := delivery.NoMember
	var tried [maxTried]uint64
	for n := range tried {
		member, ok := g.Pick(m.QoS, tried[:n]...)
		if !ok {
			break
		}
		p.sharing[0] = router.Subscriber{Session: member.Session, Identifier: member.Identifier, Options: router.Options(member.Options)}
		p.sharing[1] = router.Subscriber{Session: member.Session, Identifier: g.ID, Options: optionGroup}
		if why = p.spoken(m, member.Session, p.sharing[:]); why == taken {
			break
		}
		tried[n] = member.Session
	}
	return why
}
