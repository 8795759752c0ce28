package server

import (
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// farPath is what a loop has of the cluster.
type farPath struct {
	cluster *cluster
	index   int // of the loop
	box     *delivery.Handover[farItem]
	stuck   atomic.Bool // something waits in the box until what was posted is taken
	repost  func()
	turns   [farTurns]uint32 // of nodes, by what they take turns for
	chosen  []farChoice
	keys    []uint64
	slots   chan struct{} // so many batches may wait for the loop

	// Of a message that another node has sent:
	message  abi.Message
	head     farRecord
	slot     int
	tracked  int // requests of it that wait for responses
	filtered []router.Subscriber
}

// farItem is a record for so many nodes.
type farItem struct {
	nodes uint64
	bytes []byte
}

// farChoice is the node that gets a message for a shared subscription.
type farChoice struct {
	number uint32
	slot   int
	key    uint64
}

// far counts the subscriptions of other nodes at the front.
func far(by []router.Subscriber) int {
	n := 0
	for n < len(by) && isFar(by[n].Session) {
		n++
	}
	return n
}

// toNodes takes the message to the nodes that have these subscriptions: once to each.
// Of a shared subscription one node gets it, unless this one has members itself.
func (p *path) toNodes(m *abi.Message, by, all []router.Subscriber) (copies int) {
	f := p.far
	plain := uint64(0)
	f.chosen = f.chosen[:0]
	for i := range by {
		if by[i].Options&optionGroup == 0 {
			plain |= 1 << farSlot(by[i].Session)
		} else {
			p.choose(&by[i], by, all)
		}
	}
	shared := uint64(0)
	for i := range f.chosen {
		if f.chosen[i].slot >= 0 {
			shared |= 1 << f.chosen[i].slot
		}
	}
	if alone := plain &^ shared; alone != 0 {
		copies += p.toEach(m, alone, &farRecord{kind: farTopic, flags: farPlain})
	}
	for ; shared != 0; shared &= shared - 1 {
		slot := bits.TrailingZeros64(shared)
		f.keys = f.keys[:0]
		for i := range f.chosen {
			if f.chosen[i].slot == slot && len(f.keys) < maxFarGroups {
				f.keys = append(f.keys, f.chosen[i].key)
			}
		}
		h := farRecord{kind: farTopic, groups: f.keys}
		if plain&(1<<slot) != 0 {
			h.flags = farPlain
		}
		copies += p.toEach(m, 1<<slot, &h)
	}
	return copies
}

// maxFarGroups is how many shared subscriptions one record can be for.
const maxFarGroups = 255

// choose chooses the node that gets the message for a shared subscription, once for
// each: in turn.
func (p *path) choose(s *router.Subscriber, by, all []router.Subscriber) {
	f := p.far
	if slices.ContainsFunc(f.chosen, func(c farChoice) bool { return c.number == s.Identifier }) {
		return
	}
	key := f.cluster.shared.key(s.Identifier)
	c := farChoice{number: s.Identifier, slot: -1, key: key}
	if key != 0 && !p.hasGroup(all, key) {
		nodes := uint64(0)
		for i := range by {
			if by[i].Options&optionGroup != 0 && by[i].Identifier == s.Identifier {
				nodes |= 1 << farSlot(by[i].Session)
			}
		}
		c.slot = f.next(nodes, key)
	}
	f.chosen = append(f.chosen, c)
}

// hasGroup tells whether this node has members of a shared subscription among those
// that were found.
func (p *path) hasGroup(all []router.Subscriber, key uint64) bool {
	for i := len(all) - 1; i >= 0 && all[i].Session >= farLoop<<stayLoopShift; i-- {
		if isGroup(all[i].Session) && p.groupKey(all[i].Session) == key {
			return true
		}
	}
	return false
}

// groupKey is by what other nodes know a shared subscription of this one; 0 if it is gone.
func (p *path) groupKey(session uint64) uint64 {
	if g := p.server.mqtt.groups.Group(uint32(session)); g != nil {
		return keyOf(g)
	}
	return 0
}

// farTurns is how many things there are a turn for; those of one remainder share it.
const farTurns = 64

// next is the node whose turn it is, of what has that hash.
func (f *farPath) next(nodes, hash uint64) int {
	turn := &f.turns[hash%farTurns]
	*turn++
	for n := int(*turn) % bits.OnesCount64(nodes); n > 0; n-- {
		nodes &= nodes - 1
	}
	return bits.TrailingZeros64(nodes)
}

// toFarNode takes the message to the node that has the name's session.
func (p *path) toFarNode(m *abi.Message, name []byte) int {
	nodes := uint64(0)
	if p.far != nil && !p.here && len(name) <= maxFarName {
		nodes = p.far.cluster.names.lookup(name)
	}
	if nodes == 0 {
		p.why = delivery.NoNode
		return 0
	}
	if p.confirms {
		return p.offerFar(m, nodes, &farRecord{kind: farName, name: name})
	}
	return min(p.toEach(m, nodes, &farRecord{kind: farName, name: name}), 1)
}

// maxFarName is how long a name may be that is told to other nodes.
const maxFarName = 255

// toFarQueue takes the message to one node that has members of the queue group: in turn.
func (p *path) toFarQueue(m *abi.Message, name []byte) int {
	if p.far == nil || p.here || len(name) > maxFarName {
		return 0
	}
	nodes := p.far.cluster.queues.lookup(name)
	if nodes == 0 {
		return 0
	}
	if p.confirms {
		return p.offerFar(m, nodes, &farRecord{kind: farQueue, name: name})
	}
	return p.toEach(m, 1<<p.far.next(nodes, hashOf(name)), &farRecord{kind: farQueue, name: name})
}

// toFarAll takes the message to every node that has sessions with names.
func (p *path) toFarAll(m *abi.Message) int {
	if p.far == nil || p.here {
		return 0
	}
	nodes := p.far.cluster.named.Load()
	if nodes == 0 {
		return 0
	}
	return p.toEach(m, nodes, &farRecord{kind: farAll})
}

// toEach takes the message to each of the nodes and counts its copies. A request whose
// response can be told by a number gets one for each node.
func (p *path) toEach(m *abi.Message, nodes uint64, h *farRecord) (copies int) {
	n := bits.OnesCount64(nodes)
	if p.tracks(m, h) {
		for ; nodes != 0; nodes &= nodes - 1 {
			if p.took(p.ask(m, bits.TrailingZeros64(nodes), h)) {
				copies++
			}
		}
		return copies
	}
	why := p.handOver(m, nodes, h)
	for range n {
		if p.took(why) {
			copies++
		}
	}
	return copies
}

// handOver puts the message's record into the loop's hand-over for so many nodes.
func (p *path) handOver(m *abi.Message, nodes uint64, h *farRecord) delivery.Reason {
	f := p.far
	start := len(p.scratch)
	b := h.append(p.scratch)
	record := delivery.Record{Message: *m}
	record.Message.Context = nil // what plugins of this node know of the session
	b = delivery.AppendRecord(b, &record)
	p.scratch = b[:start] // it is copied below
	b = b[start:]
	le.PutUint32(b, uint32(len(b)-farSize))
	switch {
	case len(b) > f.cluster.link.MaxBatch():
		return delivery.TooLarge
	case !f.box.Room(1, len(b)):
		return delivery.LinkFull
	}
	f.box.Put(farItem{nodes, f.box.Copy(b)})
	return taken
}

// post makes what the loop has handed over ready to be sent; true if some of it has to
// wait until what was posted before is taken.
func (f *farPath) post() (waits bool) {
	if f.box.Post() {
		f.cluster.wake()
	}
	if waits = f.box.Waits(); waits {
		f.stuck.Store(true)
		f.cluster.wake() // should it have been taken meanwhile
	}
	return waits
}
