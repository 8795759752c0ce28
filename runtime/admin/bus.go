// Package admin is weft's API: publish, subscribe and request by gRPC, gRPC-Web and
// HTTP with JSON; the same by plain HTTP and Server-Sent Events (plain.go, sse.go);
// the metrics and the health endpoints, all on one address.
package admin

import (
	"context"
	"errors"

	"github.com/weftrun/weft/abi"
)

// Bus is the part of weft that the API publishes to and subscribes at.
type Bus interface {
	// Publish delivers a message as if it had come in by a listener's chain's
	// end: the routes decide where it goes. The message's bytes belong to the
	// callee from here on. It returns when it is known what became of the
	// message locally. Errors wrap those of this package, or the context's.
	Publish(ctx context.Context, m *abi.Message) (Receipt, error)
	// Subscribe returns a subscription to every message whose topic matches one
	// of the patterns; a message that matches several comes once. At most buffer
	// messages wait for the reader; what comes while they do is counted as
	// missed. The subscription is effective when Subscribe returns.
	Subscribe(ctx context.Context, patterns []string, buffer int) (Subscription, error)
	// Request delivers a message as Publish does, as a request, and waits for the
	// first answer until the context ends. The message gets the attributes
	// AttrResponseTopic and AttrCorrelation, by which anybody can answer. Errors are
	// those of Publish, ErrNobody, ErrDropped, ErrLost, or the context's.
	Request(ctx context.Context, m *abi.Message) (Delivery, error)
}

// The attributes by which anybody can answer a request, as MQTT 5 and others name
// them.
const (
	// AttrResponseTopic is the topic to publish the answer to.
	AttrResponseTopic = "response_topic"
	// AttrCorrelation is to be sent back with it.
	AttrCorrelation = "correlation_data"
)

// Receipt is what became of a published message.
type Receipt struct {
	// Delivered is how many local sessions and subscriptions took the message.
	Delivered int
	// Dropped is why the message went nowhere; empty if it did not. It is a
	// value of the label "reason" of the drop counters.
	Dropped string
	// Logged says that a durable route's log has the message: it is delivered from
	// there, later.
	Logged bool
}

// Subscription is a stream of messages. Next is called by one goroutine; Close
// may be called by any, more than once, and makes Next return ErrEnded.
type Subscription interface {
	// Next waits for the next message. It returns ErrEnded after Close,
	// ErrDraining when weft shuts down and the buffer is empty, or the
	// context's error.
	Next(ctx context.Context) (Delivery, error)
	Close()
}

// Delivery is one message of a subscription.
type Delivery struct {
	// Message belongs to the receiver and shares no bytes with anybody.
	Message *abi.Message
	// Listener is the name of the listener that the message came in by; empty
	// for one that was published through the API or made by weft.
	Listener string
	// Missed is how many messages this subscription has missed before this one
	// since it began, because its buffer was full.
	Missed uint64
}

// The errors of a Bus. Each is wrapped with what exactly is wrong; the text goes
// to the client.
var (
	// ErrInvalidPattern: a subscription's pattern is malformed.
	ErrInvalidPattern = errors.New("invalid pattern")
	// ErrInvalidMessage: the topic or another field of a message is malformed.
	ErrInvalidMessage = errors.New("invalid message")
	// ErrBusy: a queue is full; the client should try again later.
	ErrBusy = errors.New("busy")
	// ErrFull: a durable route's log has no room; the client should try again later.
	ErrFull = errors.New("the log is full")
	// ErrAway: a durable route's log cannot be written now.
	ErrAway = errors.New("the log is away")
	// ErrDraining: weft shuts down.
	ErrDraining = errors.New("draining")
	// ErrNobody: there was nobody to answer the request.
	ErrNobody = errors.New("nobody is there to answer")
	// ErrDropped: the request was dropped on its way.
	ErrDropped = errors.New("the message was dropped")
	// ErrLost: everybody who was asked has gone without an answer.
	ErrLost = errors.New("who was asked has gone")
	// ErrEnded: the subscription was closed.
	ErrEnded = errors.New("subscription ended")
)
