package plugins

import (
	"hash/maphash"

	"github.com/weftrun/weft/abi"
)

// order is what messages have in common that must not overtake each other: their
// session, or where they have none, as those of the API and of ticks, their topic.
type order struct {
	session uint64
	topic   uint64 // hash, never 0; 0 with a session
}

var orderSeed = maphash.MakeSeed()

// orderOf is the order that a message belongs to. Without a session, the topic with which
// it came into the chain counts, whatever plugins have made of it.
func orderOf(m *abi.Message, o *Outcome) order {
	if m.Session != 0 {
		return order{session: m.Session}
	}
	if o.topic == 0 {
		o.topic = maphash.Bytes(orderSeed, m.Topic) | 1
	}
	return order{topic: o.topic}
}

// arrive notes the order of messages without a session before a plugin changes their
// topics, if one of them could be paused.
func (c *Chain) arrive(b *Batch) {
	if !c.MayPause() && (c.pauses == nil || c.pauses.count == 0) {
		return
	}
	for i := range b.Messages {
		if m := &b.Messages[i]; m.Session == 0 {
			orderOf(m, &b.Outcomes[i])
		}
	}
}

// Ahead tells whether the chain holds messages that m must not overtake: of the same
// session, or without one, of the same topic.
func (c *Chain) Ahead(m *abi.Message) bool {
	if c.pauses == nil || c.pauses.count == 0 {
		return false
	}
	return c.pauses.queues[orderOf(m, &Outcome{})] != nil
}
