package server

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/admin"
)

// guestMetrics keeps the metrics that plugins declare. They are shown as three
// families, with the plugin and the metric's name as labels, so that no plugin
// can take a name that means something else.
type guestMetrics struct {
	mu   sync.Mutex
	list []*guestMetric
}

// guestMetric is one metric of a plugin. Any loop may change it.
type guestMetric struct {
	plugin, name string
	kind         abi.MetricKind
	value        atomic.Uint64 // a counter's sum; the bits of a gauge, or of a histogram's sum
	count        atomic.Uint64
	buckets      [len(guestBounds)]atomic.Uint64
}

// guestBounds are the upper bounds of every histogram's buckets.
var guestBounds = [...]float64{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// Metric implements hostfuncs.MetricsSink.
func (g *guestMetrics) Metric(plugin, name string, kind abi.MetricKind) (hostfuncs.Metric, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.list, func(m *guestMetric) bool { return m.plugin == plugin && m.name == name && m.kind == kind })
	if i >= 0 {
		return g.list[i], nil
	}
	m := &guestMetric{plugin: plugin, name: name, kind: kind}
	g.list = append(g.list, m)
	return m, nil
}

// Add implements hostfuncs.Metric.
func (m *guestMetric) Add(delta int64) { m.value.Add(uint64(delta)) }

// Set implements hostfuncs.Metric.
func (m *guestMetric) Set(value float64) { m.value.Store(math.Float64bits(value)) }

// Observe implements hostfuncs.Metric.
func (m *guestMetric) Observe(value float64) {
	for i, bound := range guestBounds {
		if value <= bound {
			m.buckets[i].Add(1)
		}
	}
	m.count.Add(1)
	for {
		old := m.value.Load()
		if m.value.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

// metrics shows them all.
func (g *guestMetrics) metrics() []admin.Metric {
	counters := newFamily("weft_guest_counter_total", "Counters that plugins keep.", admin.Counter, "plugin", "name")
	gauges := newFamily("weft_guest_gauge", "Gauges that plugins keep.", admin.Gauge, "plugin", "name")
	histograms := newFamily("weft_guest_histogram", "Histograms that plugins keep.", admin.Histogram, "plugin", "name")
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.list {
		labels := []string{m.plugin, m.name}
		switch m.kind {
		case abi.MetricCounter:
			counters.add(m.value.Load(), labels...)
		case abi.MetricGauge:
			gauges.Samples = append(gauges.Samples, admin.Sample{Labels: labels, Value: math.Float64frombits(m.value.Load())})
		default:
			histograms.Samples = append(histograms.Samples, m.histogram(labels))
		}
	}
	return []admin.Metric{counters.Metric, gauges.Metric, histograms.Metric}
}

func (m *guestMetric) histogram(labels []string) admin.Sample {
	s := admin.Sample{Labels: labels, Value: math.Float64frombits(m.value.Load()), Count: m.count.Load(), Buckets: map[float64]uint64{}}
	for i, bound := range guestBounds {
		s.Buckets[bound] = m.buckets[i].Load()
	}
	return s
}
