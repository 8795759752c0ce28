package server

import (
	"time"

	"github.com/weftrun/weft/runtime/admin"
)

// wayBounds are the buckets of weft_message_seconds: powers of two of nanoseconds, less
// one, which are bounds of the buckets that are counted, from 8 us to 8.6 s.
var wayBounds = func() (list []time.Duration) {
	for bits := 13; bits <= 33; bits += 2 {
		list = append(list, 1<<bits-1)
	}
	return list
}()

// flowMetrics are where messages go, and how long they take.
func (s *Server) flowMetrics() []admin.Metric {
	routed := newFamily("weft_route_messages_total", "Messages that a route has decided about; plugin are those for which a plugin named the places.", admin.Counter, "route")
	flowed := s.flowed()
	for rule := byPlugin; rule < flowed.rules; rule++ {
		sum := uint64(0)
		for listener := range flowed.listeners {
			sum += flowed.routed(listener, rule)
		}
		name := map[int]string{byPlugin: "plugin", byDefault: "default"}[rule]
		if rule >= 0 {
			name = flowed.setup.cfg.Routes[rule].Name
		}
		routed.add(sum, name)
	}
	way := s.way()
	sample := admin.Sample{Value: way.Sum.Seconds(), Count: way.Count(), Buckets: map[float64]uint64{}}
	for i, n := range way.Below(wayBounds) {
		sample.Buckets[wayBounds[i].Seconds()] = n
	}
	sample.Exemplars = s.exemplars()
	return []admin.Metric{routed.Metric, {
		Name: "weft_message_seconds", Help: "How long messages took through weft: from when a loop woke up for them until it had handed to the operating system what they became; with what plugins waited for.",
		Type: admin.Histogram, Samples: []admin.Sample{sample},
	}}
}
