package router

import "cmp"

// Subscriber is one session's subscription, without its pattern: what a trie of
// subscriptions holds. Sixteen bytes.
type Subscriber struct {
	// Session is the id of who is subscribed.
	Session uint64
	// Identifier is the number by which the session knows the subscription (MQTT 5,
	// 3.8.2.1.2); 0 for none.
	Identifier uint32
	// Options say how messages are delivered through it.
	Options Options
}

// Options are a subscription's: the quality of service in the two lowest bits, then
// flags. The zero value is at most once, and nothing else.
type Options uint8

// The options, as MQTT 5 names them (3.8.3.1).
const (
	// QoSMask: at most so often are messages delivered.
	QoSMask Options = 3
	// NoLocal: what the session itself published is not delivered to it.
	NoLocal Options = 1 << 2
	// RetainAsPublished: the flag retain stays as the publisher set it.
	RetainAsPublished Options = 1 << 3
)

// QoS is the quality of service: 0, 1 or 2.
func (o Options) QoS() uint8 { return uint8(o & QoSMask) }

// BySession orders subscriptions so that those of one session stand side by side:
// for Cache.OrderBy.
func BySession(a, b Subscriber) int { return cmp.Compare(a.Session, b.Session) }
