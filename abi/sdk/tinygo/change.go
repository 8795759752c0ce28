package weft

import "unsafe"

// SetTopic replaces the topic by the strings joined: 1 to 65,535 bytes, no
// wildcard, no zero byte.
//
//	m.SetTopic("truck/", id, "/telemetry")
func (m *Message) SetTopic(parts ...string) {
	m.r.topic = join(parts)
	m.r.changes |= changedTopic
}

// SetPayload replaces the payload, all of it: at most 16 MiB.
func (m *Message) SetPayload(payload []byte) {
	m.r.payload = lendBytes(payload)
	m.r.changes |= changedPayload
}

// SetPayloadString is SetPayload with the strings joined.
func (m *Message) SetPayloadString(parts ...string) {
	m.r.payload = join(parts)
	m.r.changes |= changedPayload
}

// SetAttribute sets an attribute, in place of one with the same name. If Needs did
// not ask for attributes, those that weft did not show are lost. It panics if the
// name is empty or one of the two has more than 65,535 bytes.
func (m *Message) SetAttribute(name string, value []byte) {
	m.SetAttributeString(name, text(value))
}

// SetAttributeString is SetAttribute with a string.
func (m *Message) SetAttributeString(name, value string) {
	m.r.attributes = with(m.r.attributes, name, value)
	m.r.changes |= changedAttrs
}

// RemoveAttribute removes an attribute; without an effect if there is none of
// the name.
func (m *Message) RemoveAttribute(name string) {
	if _, ok := m.Attribute(name); ok {
		m.r.attributes = remove(m.r.attributes, name)
		m.r.changes |= changedAttrs
	}
}

// ClearAttributes removes every attribute.
func (m *Message) ClearAttributes() {
	m.r.attributes = span{}
	m.r.changes |= changedAttrs
}

// SetContext remembers a value for the session: every plugin sees it with this
// and every later message of the session. 4 KiB for all values together. It panics
// as SetAttribute does.
func (m *Message) SetContext(name string, value []byte) { m.SetContextString(name, text(value)) }

// SetContextString is SetContext with a string.
func (m *Message) SetContextString(name, value string) {
	m.r.context = with(m.r.context, name, value)
	m.r.changes |= changedContext
}

// RemoveContext forgets a value of the session.
func (m *Message) RemoveContext(name string) {
	if _, ok := m.Context(name); ok {
		m.r.context = remove(m.r.context, name)
		m.r.changes |= changedContext
	}
}

// SetSeq changes the sequence id.
func (m *Message) SetSeq(seq uint64) {
	m.r.seq = seq
	m.r.changes |= changedSeq
}

// SetType changes what the message is for.
func (m *Message) SetType(t Type) {
	m.r.kind = uint8(t)
	m.r.changes |= changedType
}

// SetPriority changes the priority, 0 to 7.
func (m *Message) SetPriority(priority uint8) {
	m.r.priority = priority
	m.r.changes |= changedPriority
}

// SetQoS changes the quality of service: 0, 1 or 2.
func (m *Message) SetQoS(qos uint8) {
	m.r.qos = qos
	m.r.changes |= changedQoS
}

// Emit is a message for [Message.Emit].
type Emit struct {
	Topic      string      // 1 to 65,535 bytes, no wildcard, no zero byte
	Payload    []byte      // at most 16 MiB
	Attributes []Attribute // no name twice
	Type       Type        // an event unless said otherwise
	Priority   uint8       // 0 to 7
	QoS        uint8       // 0, 1 or 2
	Seq        uint64      // the sequence id
	Retain     bool        // keep it for later subscribers
}

// Attribute is a name of 1 to 65,535 bytes and a value of at most as many.
type Attribute struct {
	Name  string
	Value []byte
}

// Emit makes a further message, which goes on with the next plugin right behind
// this one, whatever the verdict is. At most 64 effects a message.
func (m *Message) Emit(e Emit) {
	to := m.effect()
	to.what = effectEmit
	to.kind = uint8(e.Type)
	to.priority = e.Priority
	to.qos = e.QoS
	if e.Retain {
		to.flags = flagRetain
	}
	to.seq = e.Seq
	to.topic = lendString(e.Topic)
	to.payload = lendBytes(e.Payload)
	to.attributes = block(e.Attributes)
}

func block(list []Attribute) span {
	var to span
	for _, a := range list {
		check(a.Name, text(a.Value))
		to.size += uint32(attributeHeader + len(a.Name) + len(a.Value))
	}
	to.at = take(to.size)
	free := to.bytes()
	for _, a := range list {
		put(free, a.Name, text(a.Value))
		free = free[attributeHeader+len(a.Name)+len(a.Value):]
	}
	return to
}

// Subscribe subscribes the message's session to a pattern.
func (m *Message) Subscribe(pattern string, qos uint8) {
	to := m.effect()
	to.what, to.qos, to.topic = effectSubscribe, qos, lendString(pattern)
}

// Unsubscribe ends the session's subscription to a pattern.
func (m *Message) Unsubscribe(pattern string) {
	to := m.effect()
	to.what, to.topic = effectUnsubscribe, lendString(pattern)
}

// effect is one more effect record, which is zero. Arrays have room for a power
// of two, and their count tells which.
func (m *Message) effect() *effect {
	const size, first = uint32(unsafe.Sizeof(effect{})), 4
	n := m.r.effectCount
	if n == 0 || n >= first && n&(n-1) == 0 {
		wider := takeAligned(max(n*2, first) * size)
		copy(view(wider, n*size), span{m.r.effects, n * size}.bytes())
		m.r.effects = wider
	}
	m.r.effectCount = n + 1
	e := (*effect)(at(m.r.effects + n*size))
	*e = effect{}
	return e
}

func (m *Message) decide(v Verdict) {
	if v.kind == verdictContinue {
		return
	}
	m.r.verdict, m.r.out = v.kind, v.out
	if v.kind == verdictPause {
		m.r.token = v.token
	}
}

// carry gives later records of the same session in the batch, which were filled
// in before, the context that the session now has (section 4.2).
func (m *Message) carry(address, end uint32) {
	if m.r.changes&changedContext == 0 {
		return
	}
	for address += stride; address != end; address += stride {
		if later := messageAt(address); later.r.session == m.r.session {
			later.r.context = m.r.context
		}
	}
}
