package server

import (
	"sync/atomic"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/datagram"
)

// dgramFields names the counters of mcp-dgram, as /metrics shows them.
var dgramFields = [...]struct {
	name, help string
	of         func(*datagram.Counters) uint64
}{
	{"weft_datagram_sent_total", "Datagrams sent.", func(c *datagram.Counters) uint64 { return c.Datagrams }},
	{"weft_datagram_retransmitted_total", "Packets sent again.", func(c *datagram.Counters) uint64 { return c.Retransmitted }},
	{"weft_datagram_spurious_total", "Packets sent again that had only been late.", func(c *datagram.Counters) uint64 { return c.Spurious }},
	{"weft_datagram_duplicates_total", "Records dropped because they had arrived before.", func(c *datagram.Counters) uint64 { return c.Duplicates }},
	{"weft_datagram_out_of_order_total", "Records that came early and waited for those before them.", func(c *datagram.Counters) uint64 { return c.OutOfOrder }},
	{"weft_datagram_beyond_window_total", "Records dropped because they lay outside of the window.", func(c *datagram.Counters) uint64 { return c.Beyond }},
	{"weft_datagram_malformed_total", "Datagrams that were none of the protocol.", func(c *datagram.Counters) uint64 { return c.Malformed }},
	{"weft_datagram_timeouts_total", "Retransmission timeouts.", func(c *datagram.Counters) uint64 { return c.Timeouts }},
	{"weft_datagram_probes_total", "Probes for a lost tail.", func(c *datagram.Counters) uint64 { return c.Probes }},
	{"weft_datagram_unacknowledged_total", "Records dropped from a full outbox, or not acknowledged when their connection ended.", func(c *datagram.Counters) uint64 { return c.Lost }},
	{"weft_datagram_rtt_samples_total", "Round trips measured.", func(c *datagram.Counters) uint64 { return c.RTTCount }},
}

// dgramCounts is what other goroutines may read of a speaker's counters.
type dgramCounts struct {
	fields [len(dgramFields)]atomic.Uint64
	rtt    atomic.Uint64 // ns
}

func (s *dgramCounts) publish(c *datagram.Counters) {
	for i := range dgramFields {
		show(&s.fields[i], dgramFields[i].of(c))
	}
	show(&s.rtt, c.RTTSum)
}

// dgramMetrics are those of listeners that speak mcp-dgram; none if there are none.
func (s *Server) dgramMetrics() []admin.Metric {
	var list []*family
	var rtt *family
	for i, l := range s.setup().each {
		var sums [len(dgramFields)]uint64
		var sum uint64
		found := false
		for _, p := range s.paths {
			d, ok := p.seen().speaker(i).(*dgram)
			if !ok {
				continue
			}
			found = true
			for k := range sums {
				sums[k] += d.shown.fields[k].Load()
			}
			sum += d.shown.rtt.Load()
		}
		if !found {
			continue
		}
		if rtt == nil {
			rtt = newFamily("weft_datagram_rtt_seconds_total", "Time of the round trips that were measured.", admin.Counter, "listener")
			for _, f := range dgramFields {
				list = append(list, newFamily(f.name, f.help, admin.Counter, "listener"))
			}
		}
		for k, f := range list {
			f.add(sums[k], l.name)
		}
		rtt.Samples = append(rtt.Samples, admin.Sample{Labels: []string{l.name}, Value: float64(sum) / 1e9})
	}
	var metrics []admin.Metric
	for _, f := range list {
		metrics = append(metrics, f.Metric)
	}
	if rtt != nil {
		metrics = append(metrics, rtt.Metric)
	}
	return metrics
}
