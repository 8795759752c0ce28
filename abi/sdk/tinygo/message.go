package weft

import "unsafe"

// Type is what a message is for.
type Type uint8

// The types of messages. One of a later version reads as TypeEvent.
const (
	TypeEvent     = Type(typeEvent)     // nobody answers it
	TypeRequest   = Type(typeRequest)   // a response with the same sequence id is expected
	TypeResponse  = Type(typeResponse)  // answers the request with the same sequence id
	TypeAck       = Type(typeAck)       // says that a message was taken over
	TypeHeartbeat = Type(typeHeartbeat) // keeps a connection alive; weft answers these itself
)

// Message is one message of a batch. Reading a field costs a load; changing one
// copies the new value once and tells weft. What the readers return is valid
// until the plugin's method returns, also when the field is changed meanwhile; so
// is the Message itself.
//
// In Open, Close and Tick it is not a message but the event: it has a session
// (except in Tick), attributes, a context, a time and a listener.
type Message struct {
	_ noCopy
	r record
}

// noCopy lets go vet find copies of a Message, which weft would not see.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

func messageAt(address uint32) *Message { return (*Message)(at(address)) }

var _ [recordSize]struct{} = [unsafe.Sizeof(Message{})]struct{}{}

// Topic is the topic.
func (m *Message) Topic() string { return m.r.topic.string() }

// Payload is the payload; only its beginning if PayloadIsCut.
func (m *Message) Payload() []byte { return m.r.payload.bytes() }

// PayloadTotal is the payload's whole length in bytes, also if it is cut.
func (m *Message) PayloadTotal() int { return int(m.r.payloadTotal) }

// PayloadIsCut says that Needs asked for fewer bytes of the payload than there
// are.
func (m *Message) PayloadIsCut() bool { return m.r.flags&flagPayloadPrefix != 0 }

// Attribute is the value of the attribute.
func (m *Message) Attribute(name string) (value []byte, ok bool) { return m.Attributes().Get(name) }

// AttributeString is the value of the attribute as a string.
func (m *Message) AttributeString(name string) (value string, ok bool) {
	v, ok := m.Attributes().Get(name)
	return text(v), ok
}

// Attributes is every attribute.
func (m *Message) Attributes() Attributes { return Attributes{m.r.attributes.bytes()} }

// Context is a value of the session's context.
func (m *Message) Context(name string) (value []byte, ok bool) { return m.Contexts().Get(name) }

// ContextString is a value of the session's context as a string.
func (m *Message) ContextString(name string) (value string, ok bool) {
	v, ok := m.Contexts().Get(name)
	return text(v), ok
}

// Contexts is everything in the session's context.
func (m *Message) Contexts() Attributes { return Attributes{m.r.context.bytes()} }

// Seq is the protocol's sequence id, 0 where it has none.
func (m *Message) Seq() uint64 { return m.r.seq }

// Type is what the message is for.
func (m *Message) Type() Type {
	if t := Type(m.r.kind); t <= TypeHeartbeat {
		return t
	}
	return TypeEvent
}

// Priority is 0 to 7; higher is delivered first.
func (m *Message) Priority() uint8 { return m.r.priority }

// QoS is 0, 1 or 2: at most once, at least once, exactly once.
func (m *Message) QoS() uint8 { return m.r.qos }

// Session names the connection's session; 0 for messages from the API and in
// Tick.
func (m *Message) Session() uint64 { return m.r.session }

// Time is when the message came, in nanoseconds since 1970-01-01 UTC; 0 unless
// the operator grants clock.
func (m *Message) Time() int64 { return m.r.time }

// Listener is the name of the listener that it came in by.
func (m *Message) Listener() string { return m.r.listener.string() }

// Retain says that the sender asked for the message to be kept for later
// subscribers.
func (m *Message) Retain() bool { return m.r.flags&flagRetain != 0 }

// Redelivered says that the message may have been delivered before.
func (m *Message) Redelivered() bool { return m.r.flags&flagRedelivered != 0 }

// Emitted says that a plugin made this message.
func (m *Message) Emitted() bool { return m.r.flags&flagEmitted != 0 }

// Answer is, in Resume, what the asynchronous call brought.
func (m *Message) Answer() Answer {
	return Answer{Token: m.r.token, Status: m.r.answerStatus, Bytes: m.r.answer.bytes()}
}

// text is bytes of the message as a string, without a copy.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
