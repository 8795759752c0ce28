package server

import "github.com/weftrun/weft/runtime/admin"

// metrics are those of the link to other nodes; none without.
func (c *cluster) metrics() []admin.Metric {
	if c == nil || c.link == nil {
		return nil
	}
	st, nodes := c.link.Stats(), c.link.Nodes()
	interests := newFamily("weft_link_node_interests", "Topic patterns, shared subscriptions, queue groups and names that another node has told.", admin.Gauge, "node")
	for _, n := range nodes {
		interests.add(uint64(n.Interests), n.Name)
	}
	repairs := newFamily("weft_link_interest_messages_total", "What this node has sent to tell what it has receivers for, and asked others to tell again.", admin.Counter, "kind")
	repairs.add(st.Deltas, "delta")
	repairs.add(st.Snapshots, "snapshot")
	repairs.add(st.Repairs, "repair")
	list := []admin.Metric{
		single("weft_link_nodes", "Other nodes that are there.", admin.Gauge, uint64(len(nodes))),
		single("weft_link_interests", "What other nodes are told that this one has receivers for.", admin.Gauge, uint64(st.Told)),
		single("weft_link_interests_untold", "What they are not told because there is no room: messages for it do not come from other nodes.", admin.Gauge, uint64(st.Untold)),
		single("weft_link_interests_coarse", "1 if other nodes are told less exactly what there are receivers for, because it is so much.", admin.Gauge, uint64(flag(st.Coarse))),
		single("weft_link_conflicts_total", "Notes of another weft that has this one's name.", admin.Counter, st.Conflicts),
		single("weft_link_malformed_total", "What came from other nodes and could not be read.", admin.Counter, st.Malformed+c.malformed.Load()),
		single("weft_link_overflow_batches_total", "Batches of other nodes that came faster than they were taken, and were dropped.", admin.Counter, st.Overflowed),
		interests.Metric, repairs.Metric,
	}
	return append(list, c.traffic()...)
}

// traffic is what went to each node and came from it.
func (c *cluster) traffic() []admin.Metric {
	families := func(what, help string) [2]*family {
		return [2]*family{
			newFamily("weft_link_out_"+what+"_total", help+" sent to another node.", admin.Counter, "node"),
			newFamily("weft_link_in_"+what+"_total", help+" received from another node.", admin.Counter, "node"),
		}
	}
	records, bytes, batches := families("records", "Messages"), families("bytes", "Bytes of messages"), families("batches", "Batches of messages")
	lost := newFamily("weft_link_dropped_total", "Messages between nodes that were lost on the way, by reason.", admin.Counter, "node", "reason")
	sizes := newFamily("weft_link_batch_records", "How many messages a batch for another node has.", admin.Histogram, "node")
	for slot := range c.nodes {
		n := &c.nodes[slot]
		name := c.nameOf(slot)
		if name == "" {
			continue
		}
		for way, counts := range [2]*farCounts{&n.sent, &n.got} {
			records[way].add(counts.records.Load(), name)
			bytes[way].add(counts.bytes.Load(), name)
			batches[way].add(counts.batches.Load(), name)
		}
		for why := range n.lost {
			lost.add(n.lost[why].Load(), name, farLossNames[why])
		}
		sizes.Samples = append(sizes.Samples, n.histogram(name))
	}
	list := []admin.Metric{lost.Metric, sizes.Metric}
	for _, f := range [...][2]*family{records, bytes, batches} {
		list = append(list, f[0].Metric, f[1].Metric)
	}
	return list
}

// histogram is that of batches by the records in them.
func (n *farNode) histogram(name string) admin.Sample {
	s := admin.Sample{Labels: []string{name}, Value: float64(n.sent.records.Load()), Buckets: map[float64]uint64{}}
	for i := range n.sizes {
		s.Count += n.sizes[i].Load()
		if i < len(batchBounds) {
			s.Buckets[batchBounds[i]] = s.Count
		}
	}
	return s
}
