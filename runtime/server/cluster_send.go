package server

import (
	"errors"
	"slices"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
)

// batchSize is how large a batch gets before it is sent although more may follow at
// once: the other node begins with it meanwhile.
const batchSize = 64 << 10

func (c *cluster) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// send brings what the loops hand over to the other nodes, until the cluster is closed.
func (c *cluster) send() {
	for {
		select {
		case <-c.woken:
			c.collect()
		case sent := <-c.rounds:
			c.collect()
			close(sent)
		case <-c.end:
			return
		}
	}
}

// collect sends what the loops have posted: one batch a node, more if it is much.
func (c *cluster) collect() {
	for _, f := range c.boxes {
		f.box.Collect(func(p *delivery.Parcel[farItem]) {
			for i := range p.Items {
				c.fill(&p.Items[i])
			}
		})
		if f.stuck.Swap(false) {
			if c.server.engine.Do(f.index, f.repost) != nil {
				f.stuck.Store(true) // its next turn or tick posts it
			}
		}
	}
	for _, slot := range c.filled {
		c.flush(slot)
	}
	c.filled = c.filled[:0]
}

// fill adds a record to the batches of its nodes.
func (c *cluster) fill(item *farItem) {
	eachSlot(item.nodes, func(slot int) {
		n := &c.nodes[slot]
		if n.held > 0 && len(n.batch)+len(item.bytes) > min(batchSize, c.link.MaxBatch()) {
			c.flush(slot)
		}
		if n.held == 0 {
			n.batch = c.link.BeginBatch(n.batch[:0])
			n.begun = len(n.batch)
			if !slices.Contains(c.filled, slot) {
				c.filled = append(c.filled, slot)
			}
		}
		n.batch = append(n.batch, item.bytes...)
		n.held++
	})
}

// flush sends a node's batch.
func (c *cluster) flush(slot int) {
	n := &c.nodes[slot]
	if n.held == 0 {
		return
	}
	records := uint64(n.held)
	n.held = 0
	err := c.link.Send(slot, n.batch)
	switch {
	case err == nil:
		n.sent.records.Add(records)
		n.sent.bytes.Add(uint64(len(n.batch) - n.begun))
		n.sent.batches.Add(1)
		at, _ := slices.BinarySearch(batchBounds[:], float64(records))
		n.sizes[at].Add(1)
	case errors.Is(err, backbone.ErrNoNode):
		n.lost[lostGone].Add(records)
	default:
		if n.lost[lostAway].Add(records) == records {
			c.server.log.Warn("the backbone takes no messages for other nodes: they are dropped and counted", "node", c.nameOf(slot), "error", err)
		}
	}
	if cap(n.batch) > 4*batchSize {
		n.batch = nil
	}
}

// nameOf is what the node in the slot is called, or was last.
func (c *cluster) nameOf(slot int) string {
	if slot >= 0 {
		if name := c.nodes[slot].name.Load(); name != nil {
			return *name
		}
	}
	return ""
}
