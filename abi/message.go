package abi

// Message is weft's one message model: what any protocol is decoded into, what
// plugins see and change, and what any protocol is encoded from.
//
// The byte slices are borrowed. They belong to the turn of the loop that cut the
// frame and are valid until that turn ends; who keeps one longer copies it.
type Message struct {
	// Session is the connection's session; 0 is a message made by weft itself
	// or published through the API.
	Session uint64
	// Seq is the protocol's sequence id, 0 where the protocol has none.
	Seq uint64
	// Time is when the frame was cut, in nanoseconds since 1970-01-01 UTC.
	// All messages of one turn carry the same time.
	Time int64
	// Listener is the index of the listener in the running configuration.
	Listener uint32
	Flags    Flags
	Type     Type
	// Priority runs from 0 to MaxPriority; higher is delivered first.
	Priority uint8
	// QoS is 0, 1 or 2: at most once, at least once, exactly once.
	QoS uint8
	// Receipt is by what the protocol that brought the message knows it, where its
	// sender is to be told what became of it; 0: nobody waits. Guests never see it.
	Receipt uint32
	// FrameStale: Frame is what was received, and no longer what the message says.
	FrameStale bool
	// Changed: the message is no longer what came: a plugin, a converter or a route
	// has changed it.
	Changed bool

	Topic   []byte
	Attrs   Attributes
	Context Attributes
	Payload []byte
	// Frame is the whole frame as it was received, whatever plugins have changed
	// since; nil if there was none. Unless FrameStale is set or something that the
	// frame carries has changed, it can be delivered in the same format without
	// encoding the message again.
	Frame []byte
	// Came is the message as it came, where it is Changed; nil if that is not known
	// any more. Its bytes are valid as long as the message's. Guests never see it.
	Came *Message
}

// Type says what a message is for. Values 0 to 4 are those of version 1.0; a
// guest treats a value it does not know as Event.
type Type uint8

// The types of messages.
const (
	// TypeEvent is a message that nobody answers.
	TypeEvent Type = 0
	// TypeRequest expects a response with the same sequence id.
	TypeRequest Type = 1
	// TypeResponse answers the request with the same sequence id.
	TypeResponse Type = 2
	// TypeAck acknowledges that a message was taken over.
	TypeAck Type = 3
	// TypeHeartbeat keeps a connection alive. The engine answers it itself; a
	// plugin never sees one.
	TypeHeartbeat Type = 4
)

// String is the type's name as it appears in logs and configuration.
func (t Type) String() string {
	switch t {
	case TypeEvent:
		return "event"
	case TypeRequest:
		return "request"
	case TypeResponse:
		return "response"
	case TypeAck:
		return "ack"
	case TypeHeartbeat:
		return "heartbeat"
	}
	return "unknown"
}

// Flags are bits about a message. The host sets no bit outside FlagsKnown; a
// guest ignores bits it does not know.
type Flags uint32

// The flags of a message.
const (
	// FlagPayloadPrefix: the guest sees only the first bytes of the payload,
	// as it asked for; payload_total has the whole length.
	FlagPayloadPrefix Flags = 1 << 0
	// FlagRetain: the protocol asked that the message be kept for later
	// subscribers (MQTT RETAIN).
	FlagRetain Flags = 1 << 1
	// FlagRedelivered: the message may have been delivered before.
	FlagRedelivered Flags = 1 << 2
	// FlagEmitted: a plugin made this message.
	FlagEmitted Flags = 1 << 3

	// FlagsKnown is every flag of this version.
	FlagsKnown = FlagPayloadPrefix | FlagRetain | FlagRedelivered | FlagEmitted
)

// MaxPriority is the highest priority a message can have.
const MaxPriority = 7

// MaxQoS is the highest quality of service a message can have.
const MaxQoS = 2
