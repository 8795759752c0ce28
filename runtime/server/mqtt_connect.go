package server

import (
	"bytes"
	"strconv"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/session"
)

// mqttProtocol is what plugins and the API call it.
const mqttProtocol = "mqtt"

// introduced takes a client's CONNECT, which rest begins with. It answers true if the
// connection has moved to the loop of the client's session and goes on there.
func (s *mqttSpeaker) introduced(from *peer, c *mqttConn, unit, rest []byte) (moved bool) {
	s.counts.received[packet.TypeOf(unit)]++
	m := &s.connect
	err := error(nil)
	if packet.TypeOf(unit) != packet.TypeConnect {
		err = violation(packet.TypeOf(unit), packet.ProtocolError, "MQTT-3.1.0-1", "the first packet is no CONNECT")
		m.Version = 0
	} else {
		err = m.Decode(unit)
	}
	c.version = m.Version
	if err != nil {
		s.fail(from, c, err)
		return false
	}
	c.largest = m.Properties.Number(packet.MaximumPacketSize, 0)
	c.problems = c.version == packet.V5 && m.Properties.Number(packet.RequestProblemInfo, 1) == 1
	client, assigned := string(m.ClientID), false
	if client == "" {
		if client, err = mqtt.AssignClientID(s.fits); err != nil {
			s.refuse(from, c, packet.ServerUnavailable, nil, engine.ReasonDenied)
			return false
		}
		assigned = true
	} else if at := s.path.server.publishTo(m.ClientID); at != s.path.loop.Index() {
		s.counts.received[packet.TypeConnect]-- // it is counted there
		if s.path.move(from, at, rest) {
			return true
		}
		s.refuse(from, c, packet.ServerUnavailable, nil, engine.ReasonDenied)
		return false
	}
	if reason, text := s.offered(m); reason != packet.Success {
		s.refuse(from, c, reason, []byte(text), engine.ReasonDenied)
		return false
	}
	if s.admitted(from, c, m, client) {
		s.begin(from, c, m, unit, client, assigned)
	}
	return false
}

// fits tells whether a client id belongs to this loop.
func (s *mqttSpeaker) fits(id string) bool {
	return s.path.server.publishTo([]byte(id)) == s.path.loop.Index()
}

// offered tells whether the client asks for something that this listener does not
// have.
func (s *mqttSpeaker) offered(m *packet.Connect) (packet.Code, string) {
	switch {
	case s.path.server.State() == life.Draining:
		return packet.ServerUnavailable, "weft is shutting down"
	case m.Properties.Has(packet.AuthMethod):
		return packet.BadAuthenticationMethod, "enhanced authentication is not offered; use a user name and a password"
	case m.HasWill && int(m.Will.QoS) > s.setup.MaxQoS:
		return packet.QoSNotSupported, "the will's quality of service is higher than this listener offers"
	case m.HasWill && m.Will.Retain && !s.setup.Retain:
		return packet.RetainNotSupported, "retained messages are not offered, and the will is one"
	}
	return packet.Success, ""
}

// admitted asks the plugins whether the client may be here.
func (s *mqttSpeaker) admitted(from *peer, c *mqttConn, m *packet.Connect, client string) bool {
	p := s.path
	start := len(p.scratch)
	attrs := abi.Attributes(p.scratch).AppendString("client_id", client).
		AppendString("protocol_level", strconv.Itoa(int(m.Version))).AppendString("clean", strconv.FormatBool(m.CleanStart))
	if m.Username != nil {
		attrs = attrs.Append("user", m.Username)
	}
	if m.Password != nil {
		attrs = attrs.Append(attrPassword, m.Password)
	}
	attrs = appendConnectProperties(attrs, m.Properties)
	p.scratch = attrs
	own := session.New(uint64(from.conn.ID()), s.listener.index, p.now, from.conn.Remote())
	ok, reason := p.join(from, own, attrs[start:len(attrs):len(attrs)])
	if !ok {
		code := packet.NotAuthorized
		if m.Username != nil || m.Password != nil {
			code = packet.BadUserNameOrPassword
		}
		p.server.crowd.Info("session refused", "listener", s.listener.name, "remote", from.conn.Remote(), "client", client, "reason", string(reason))
		s.refuse(from, c, code, reason, engine.ReasonDenied)
		return false
	}
	if given := from.session.Context(); len(given) > 0 {
		from.besides().given = given
	}
	c.rights = s.rightsOf(from, []byte(client))
	if m.HasWill && (!c.rights.mayPublish(m.Will.Topic) || bytes.HasPrefix(m.Will.Topic, []byte(sysPrefix))) {
		p.leave(from, engine.ReasonDenied, true)
		from.session = nil
		const text = "the will's topic is not one that the client may publish to"
		p.server.crowd.Info("session refused", "listener", s.listener.name, "remote", from.conn.Remote(), "client", client, "reason", text, "topic", string(m.Will.Topic))
		s.refuse(from, c, packet.NotAuthorized, []byte(text), engine.ReasonDenied)
		return false
	}
	return true
}

// begin gives the client its session: the one that is there, or a new one.
func (s *mqttSpeaker) begin(from *peer, c *mqttConn, m *packet.Connect, unit []byte, client string, assigned bool) {
	identity, _ := from.session.Context().Get("identity")
	key := mqtt.Key{Principal: string(identity), ClientID: client}
	start := s.startOf(c, m)
	if !s.path.server.durable.knows(s.listener.name, key, start) {
		s.putOff(from, c)
		return
	}
	if !assigned && s.mustClaim(key, start) {
		s.claim(from, c, unit, key, claimant{client: client, start: start})
		return
	}
	s.begun(from, c, m, key, start, assigned, nil)
}

// startOf is how the client begins, and for how long its session outlives the connection:
// as long as a client of MQTT 5 says, within the listener's bound, and for others the
// listener's time to live.
func (s *mqttSpeaker) startOf(c *mqttConn, m *packet.Connect) mqtt.Start {
	start, most := mqtt.Begin3(m.CleanStart, s.setup.ttl), s.setup.ttl
	if c.version == packet.V5 {
		most = s.setup.expiryMax
		start = mqtt.Begin5(m.CleanStart, m.Properties.Number(packet.SessionExpiry, 0), most)
	}
	if most == 0 { // no session outlives its connection here
		start.Told = start.Told || start.Expiry != 0
		start.Expiry = 0
	}
	return start
}

// begun gives the client its session, which is no other node's: got says what came from
// one.
func (s *mqttSpeaker) begun(from *peer, c *mqttConn, m *packet.Connect, key mqtt.Key, start mqtt.Start, assigned bool, got *claimed) {
	p := s.path
	if got == nil {
		s.outrun(key, start)
	}
	s.takeOver(key, start)
	if got != nil {
		s.taking = got.own
		defer func() { s.taking = nil }()
		if got.record != nil && !start.Clean && s.clients.Find(key) == nil {
			s.restore(key, got.record, got.own)
		}
	}
	found := s.clients.Find(key)
	state, session := found, (*mqttSession)(nil)
	if state == nil {
		if session = s.newSession(key, start); session == nil {
			s.turnAway(from, c, "as many sessions as there may be, or no memory for one that is kept (mqtt.queue.total)")
			return
		}
		state = session.state
	} else {
		session = s.find(state.ID())
		s.away.Return(state)
	}
	former := session.start
	session.start = start
	if m.HasWill && !s.setWill(from, session, m) {
		session.start = former // what waits for the client is not lost; a new session ends
		s.away.Leave(state, former.Expiry, p.now)
		s.due()
		s.turnAway(from, c, "there is no room for the will")
		return
	}
	s.attach(from, c, m, session, start.Present(found != nil), assigned)
	s.announce(session, start, assigned)
}

// announce tells the other nodes that the client is here.
func (s *mqttSpeaker) announce(session *mqttSession, start mqtt.Start, assigned bool) {
	if server := s.path.server; !assigned && server.cluster != nil && server.durable != nil {
		moves, key := &server.durable.kept.moves, keptKey(s.listener.name, session.key)
		alone := start.Clean && start.Expiry == 0
		if alone {
			moves.discard(key)
		}
		if s.stamps == nil {
			s.stamps = map[uint64]uint64{}
		}
		s.stamps[session.id] = moves.here(key, alone)
	}
}

// turnAway refuses a client for whom there is no room.
func (s *mqttSpeaker) turnAway(from *peer, c *mqttConn, text string) {
	s.path.server.crowd.Warn("session refused", "listener", s.listener.name, "remote", from.conn.Remote(), "reason", text)
	s.path.leave(from, engine.ReasonDenied, true)
	from.session = nil
	s.refuse(from, c, packet.QuotaExceeded, []byte(text), engine.ReasonDenied)
}

// setWill keeps the client's will; false if there is no room for it.
func (s *mqttSpeaker) setWill(from *peer, session *mqttSession, m *packet.Connect) bool {
	w := &m.Will
	will := abi.Message{QoS: w.QoS, Topic: w.Topic, Payload: w.Payload, Listener: s.listener.index, Time: s.path.now}
	if w.Retain {
		will.Flags = abi.FlagRetain
	}
	will.Attrs = appendAttributes(nil, w.Properties)
	if !s.path.identify(from, &will) {
		return false
	}
	return session.state.SetWill(&will, w.Properties.Number(packet.WillDelay, 0))
}

// attach connects the session and tells the client so.
func (s *mqttSpeaker) attach(from *peer, c *mqttConn, m *packet.Connect, session *mqttSession, present, assigned bool) {
	p := s.path
	c.session, c.phase, session.peer = session, mqttOpen, from
	p.stays.get(session.id).peer = from
	most := uint16(s.setup.TopicAliases)
	link := mqtt.Link{}
	if c.version == packet.V5 {
		if theirs := uint16(m.Properties.Number(packet.TopicAliasMaximum, 0)); theirs > 0 && most > 0 && s.setup.firm == 0 {
			// A packet that says what an alias stands for must arrive: no outbox that drops.
			out := mqtt.NewOutAliases(theirs, most)
			c.out = &out
		}
		link = mqtt.Link{Window: uint16(m.Properties.Number(packet.ReceiveMaximum, 0)), Receive: uint16(s.setup.ReceiveMaximum)}
	}
	s.inherit(from, session)
	keepAlive, told := mqtt.KeepAlive(m.KeepAlive, uint16(s.setup.KeepAliveMax.Std().Seconds()))
	from.conn.SetSilence(mqtt.Silence(keepAlive))
	answer := packet.Connack{SessionPresent: present}
	if c.version == packet.V5 {
		answer.Properties = s.terms(m, session, keepAlive, told, assigned)
	}
	start := len(p.scratch)
	p.scratch = packet.AppendConnack(p.scratch, &answer, c.version)
	s.send(from, packet.TypeConnack, p.scratch[start:])
	session.state.Attach(link)
	s.counts.connects++
	s.keepSession(session)
	s.pump(session)
	s.readOn(session)
}

// terms is what CONNACK says of this listener, wherever it is not what a client takes
// for granted.
func (s *mqttSpeaker) terms(m *packet.Connect, session *mqttSession, keepAlive uint16, told, assigned bool) packet.Properties {
	o := s.setup
	t := s.properties[:0]
	if session.start.Told {
		t = t.AppendNumber(packet.SessionExpiry, session.start.Expiry)
	}
	if o.ReceiveMaximum != 65535 {
		t = t.AppendNumber(packet.ReceiveMaximum, uint32(o.ReceiveMaximum))
	}
	if o.MaxQoS < 2 {
		t = t.AppendNumber(packet.MaximumQoS, uint32(o.MaxQoS))
	}
	if !o.Retain {
		t = t.AppendNumber(packet.RetainAvailable, 0)
	}
	t = t.AppendNumber(packet.MaximumPacketSize, uint32(o.longest))
	if assigned {
		t = t.AppendBytes(packet.AssignedClientID, []byte(session.key.ClientID))
	}
	if o.TopicAliases > 0 {
		t = t.AppendNumber(packet.TopicAliasMaximum, uint32(o.TopicAliases))
	}
	if !o.Shared {
		t = t.AppendNumber(packet.SharedAvailable, 0)
	}
	if told {
		t = t.AppendNumber(packet.ServerKeepAlive, uint32(keepAlive))
	}
	s.properties = t
	return t
}
