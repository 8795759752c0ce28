package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
)

// What plugins know of a client outlives its connection but for one part: what the client
// introduced itself with, as by the token that its new connection brings anew. Were that
// inherited, a right that is not in the new token would be back.

// inherited is what is known of a session that its next connection is to have as well:
// without the attributes that it was given when it was introduced, and with those of its
// own first.
func inherited(former, given, own abi.Attributes) abi.Attributes {
	var rest abi.Attributes
	for name, value := range former.All() {
		if _, ok := given.Get(string(name)); !ok {
			rest = rest.Append(string(name), value)
		}
	}
	if len(rest) == 0 {
		return own
	}
	return rest.Merge(nil, own)
}

// namesOf is a block with the names of another one and no values.
func namesOf(block abi.Attributes) (names abi.Attributes) {
	for name := range block.All() {
		names = names.Append(string(name), nil)
	}
	return names
}

// known is what plugins know of a client.
type known struct {
	context abi.Attributes
	given   abi.Attributes // the names of what it introduced itself with
}

// known is what plugins know of the client by now; nil for nothing.
func (s *mqttSpeaker) known(session *mqttSession) *known {
	if session.peer == nil || session.peer.session == nil {
		return session.context
	}
	context := session.peer.session.Context()
	if len(context) == 0 {
		return nil
	}
	k := &known{context: context}
	if rest := session.peer.rest; rest != nil {
		k.given = namesOf(rest.given)
	}
	return k
}

// keepContext keeps what is known of a client that goes away. It is in the budget of what
// MQTT takes; without room it is left and counted.
func (s *mqttSpeaker) keepContext(session *mqttSession) {
	k := s.known(session)
	if session.context != nil {
		s.dropContext(session)
	}
	if k != nil {
		s.holdContext(session, k)
	}
}

func (s *mqttSpeaker) holdContext(session *mqttSession, k *known) {
	if s.budget.Take(k.cost()) {
		session.context = k
		return
	}
	s.contextsLeft.Add(1)
}

func (s *mqttSpeaker) dropContext(session *mqttSession) {
	if k := session.context; k != nil {
		session.context = nil
		s.budget.Give(k.cost())
	}
}

// cost is what it takes of memory, about.
func (k *known) cost() int { return len(k.context) + len(k.given) + 64 }

// bequeath adds to a record what plugins know of the client, and its will.
func (s *mqttSpeaker) bequeath(session *mqttSession, r *keptRecord) {
	if known := s.known(session); known != nil {
		r.context, r.given = known.context, known.given
	}
	will, delay := session.state.Will()
	if will == nil {
		return
	}
	var record delivery.Record
	will.Fill(&record.Message)
	record.Listener = []byte(s.listener.name)
	r.will = keptWill{record: string(delivery.AppendRecord(nil, &record)), delay: delay}
	if session.peer == nil {
		r.will.due = session.kept.will
	}
}

// inherits gives a session back what bequeath has written, before its absence begins.
func (s *mqttSpeaker) inherits(session *mqttSession, r *keptRecord) {
	if len(r.context) > 0 {
		s.holdContext(session, &known{r.context, r.given})
	}
	var record delivery.Record
	if r.will.record == "" || delivery.ParseRecord([]byte(r.will.record), &record) != nil {
		return
	}
	delay := r.will.delay
	if r.will.due != 0 {
		delay = secondsUntil(r.will.due, s.path.now)
	}
	record.Message.Listener = s.listener.index
	if !session.state.SetWill(&record.Message, delay) {
		s.path.server.crowd.Warn("there is no room for the will of a session that was restored: it is left out", "listener", s.listener.name, "client", session.key.ClientID)
	}
}

// secondsUntil is how long it is until then, rounded up; 0 if that was before now.
func secondsUntil(then, now int64) uint32 {
	const second = 1e9
	return uint32(min(max((then-now+second-1)/second, 0), int64(mqtt.Forever)-1))
}

// inherit lets what plugins knew of the session's last connection go on with this one.
func (s *mqttSpeaker) inherit(from *peer, session *mqttSession) {
	if session.context == nil {
		return
	}
	defer s.dropContext(session)
	if err := from.session.SetContext(inherited(session.context.context, session.context.given, from.session.Context())); err != nil {
		s.path.server.crowd.Warn("a session's former context was left", "listener", s.listener.name, "client", session.key.ClientID, "error", err)
	}
}
