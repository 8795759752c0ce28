package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
)

// toRetained keeps a message for later subscribers, whatever protocol it came by, and
// takes it to those who are there. It is kept first: who subscribes between the two
// gets it twice rather than not at all.
func (p *path) toRetained(m *abi.Message) int {
	kept := p.retain(m)
	found := p.cache.Lookup(m.Topic)
	copies := p.toFound(m, &found)
	if copies == 0 && kept && p.why == delivery.NoSubscriber {
		return 1 // it is where it was to go
	}
	return copies
}

// retain keeps a message for later subscribers.
func (p *path) retain(m *abi.Message) (kept bool) {
	p.begin()
	if p.again != nil && m.Flags&abi.FlagRedelivered != 0 {
		return len(m.Payload) == 0
	}
	if p.server.mqtt.retained.Set(m, mqtt.ExpiresAt(m.Attrs, m.Time)) != nil { // which counts it
		return false
	}
	p.server.retained.changed(m.Topic)
	return true
}
