package recording

import (
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/abi"
)

// Version is the format's version that this package writes, and the only one
// that it reads.
const Version = 1

// The errors of a Reader. Each is wrapped with the line and what is wrong.
var (
	// ErrNotRecording: the text does not begin with a recording's header.
	ErrNotRecording = errors.New("not a recording")
	// ErrVersion: the recording has a version that this package does not read.
	ErrVersion = errors.New("the recording's version does not fit")
	// ErrMalformed: a line is no entry.
	ErrMalformed = errors.New("malformed recording")
)

// Header is a recording's first line.
type Header struct {
	// Version is set by NewWriter.
	Version int `json:"weft_recording"`
	// Weft is the version of the weft that recorded.
	Weft    string    `json:"weft,omitempty"`
	Created time.Time `json:"created"`
	// Listener is the listener whose chain was recorded; empty for every place
	// at which Plugin stands.
	Listener string `json:"listener,omitempty"`
	// Plugin: messages as they reached this plugin, with its own verdicts and
	// changes. Empty: messages as they reached the chain of Listener, with what
	// the whole chain made of them.
	Plugin string `json:"plugin,omitempty"`
	// Chain is the names of the listener's plugins in order.
	Chain []string `json:"chain,omitempty"`
	// Every is 1 for a complete recording, N where one batch of N was recorded.
	Every uint64 `json:"every"`
}

// Entry is one message of a recording, or one session for the hooks open and
// close: then Session, Listener, Time, Attributes and Context count.
type Entry struct {
	// Batch numbers the calls of the chain, or of the plugin's place, from 1 on:
	// entries with the same number came in one batch, in this order. Numbers
	// that are missing were not recorded.
	Batch uint64 `json:"batch"`
	// Hook is open, messages, close or resume: what became of a message after a pause.
	Hook string `json:"hook"`
	Message
	// Outcome is what the running weft made of the message.
	Outcome Outcome `json:"outcome"`
}

// Message is an abi.Message with the listener's name in place of its index. Its
// bytes are its own.
type Message struct {
	Session    uint64     `json:"session,omitempty,string"`
	Time       time.Time  `json:"time,omitzero"`
	Listener   string     `json:"listener,omitempty"`
	Type       string     `json:"type,omitempty"` // event where it is empty
	Flags      abi.Flags  `json:"flags,omitempty"`
	Priority   uint8      `json:"priority,omitempty"`
	QoS        uint8      `json:"qos,omitempty"`
	Seq        uint64     `json:"seq,omitempty,string"`
	Topic      Text       `json:"topic,omitempty"`
	Attributes Attributes `json:"attributes,omitempty"`
	Context    Attributes `json:"context,omitempty"`
	Payload    []byte     `json:"payload,omitempty"`
}

// Outcome is what became of a message.
type Outcome struct {
	// Verdict is continue, drop, reply, route or close. Where the plugin failed
	// it is the verdict of its failure policy, and Cause says so.
	Verdict string `json:"verdict"`
	// Plugin is the plugin that decided, empty if none did.
	Plugin string `json:"plugin,omitempty"`
	// Generation is that plugin's generation, 0 where it is not known.
	Generation uint64 `json:"generation,omitempty"`
	// Cause is plugin for a verdict of its own; trap, fuel, depth, fault,
	// back_off or buffer where the policy answered; empty where nothing happened.
	Cause string `json:"cause,omitempty"`
	// Out is what the verdict carries: a reason, an answer, destinations.
	Out []byte `json:"out,omitempty"`
	// Changed has what is not as it was; nil if nothing is.
	Changed *Changed `json:"changed,omitempty"`
	// Emitted is the messages that were made because of this one, in order.
	Emitted []Message `json:"emitted,omitempty"`
	// Subscriptions is what plugins subscribed the session to or from.
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
}

// Changed is the new value of each field that plugins changed; nil for those
// that they left alone. A plugin that wrote the same value again has changed it.
type Changed struct {
	Topic      *Text       `json:"topic,omitempty"`
	Attributes *Attributes `json:"attributes,omitempty"`
	Context    *Attributes `json:"context,omitempty"`
	Payload    *[]byte     `json:"payload,omitempty"`
	Seq        *uint64     `json:"seq,omitempty,string"`
	Type       *string     `json:"type,omitempty"`
	Priority   *uint8      `json:"priority,omitempty"`
	QoS        *uint8      `json:"qos,omitempty"`
}

// Subscription is a subscription that a plugin began or ended.
type Subscription struct {
	Pattern Text  `json:"pattern"`
	QoS     uint8 `json:"qos,omitempty"`
	Remove  bool  `json:"remove,omitempty"`
}

// End is a recording's last line.
type End struct {
	// Why is count, time, interrupted or draining.
	Why string `json:"why"`
	// Messages is how many entries the recording has.
	Messages uint64 `json:"messages"`
	// Missed is how many messages were to be recorded and were not, because the
	// reader was slow.
	Missed uint64 `json:"missed"`
	// Skipped is how many messages sampling left out on purpose.
	Skipped uint64 `json:"skipped"`
}

// Complete tells whether nothing between the first message and the last one is
// missing.
func (e *End) Complete() bool { return e != nil && e.Missed == 0 && e.Skipped == 0 }

// NewMessage copies a message. listener is the name of the listener that it came
// in by.
func NewMessage(m *abi.Message, listener string) Message {
	out := Message{
		Session: m.Session, Listener: listener, Flags: m.Flags, Priority: m.Priority, QoS: m.QoS, Seq: m.Seq,
		Topic: clone[Text](m.Topic), Attributes: clone[Attributes](m.Attrs), Context: clone[Attributes](m.Context), Payload: clone[[]byte](m.Payload),
	}
	if m.Type != abi.TypeEvent {
		out.Type = m.Type.String()
	}
	if m.Time != 0 {
		out.Time = time.Unix(0, m.Time).UTC()
	}
	return out
}

func clone[T ~[]byte, S ~[]byte](b S) T {
	if len(b) == 0 {
		return nil
	}
	return append(T(nil), b...)
}

// ABI is the message as plugins see it. Its bytes are those of the recording;
// listener is the index that stands for its listener.
func (m *Message) ABI(listener uint32) (abi.Message, error) {
	kind, err := ParseType(m.Type)
	if err != nil {
		return abi.Message{}, err
	}
	out := abi.Message{
		Session: m.Session, Seq: m.Seq, Listener: listener, Flags: m.Flags, Type: kind, Priority: m.Priority, QoS: m.QoS,
		Topic: m.Topic, Attrs: abi.Attributes(m.Attributes), Context: abi.Attributes(m.Context), Payload: m.Payload,
	}
	if !m.Time.IsZero() {
		out.Time = m.Time.UnixNano()
	}
	return out, nil
}

// ParseType reads the name of a message's type; the empty one is event. It fails
// with ErrMalformed for any other than the names that abi.Type.String gives.
func ParseType(name string) (abi.Type, error) {
	if name == "" {
		return abi.TypeEvent, nil
	}
	for t := abi.TypeEvent; t <= abi.TypeHeartbeat; t++ {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%w: type %.40q: expected event, request, response or ack", ErrMalformed, name)
}

// NewChanged takes from a message what the bits name; nil if none is set.
func NewChanged(changes abi.Changes, m *abi.Message) *Changed {
	if changes == 0 {
		return nil
	}
	c := &Changed{}
	if changes&abi.ChangedTopic != 0 {
		c.Topic = pointer(clone[Text](m.Topic))
	}
	if changes&abi.ChangedAttrs != 0 {
		c.Attributes = pointer(clone[Attributes](m.Attrs))
	}
	if changes&abi.ChangedContext != 0 {
		c.Context = pointer(clone[Attributes](m.Context))
	}
	if changes&abi.ChangedPayload != 0 {
		payload := append([]byte{}, m.Payload...)
		c.Payload = &payload
	}
	if changes&abi.ChangedSeq != 0 {
		c.Seq = pointer(m.Seq)
	}
	if changes&abi.ChangedType != 0 {
		c.Type = pointer(m.Type.String())
	}
	if changes&abi.ChangedPriority != 0 {
		c.Priority = pointer(m.Priority)
	}
	if changes&abi.ChangedQoS != 0 {
		c.QoS = pointer(m.QoS)
	}
	return c
}

func pointer[T any](v T) *T { return &v }
