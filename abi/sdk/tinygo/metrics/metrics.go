// Package metrics has counters, gauges and histograms, with the operator's grant
// metrics. Make them once, in Init; a name matches [a-z][a-z0-9_]{0,63}. Errors
// are of type weft.HostError.
package metrics

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

func metric(kind int32, name string) (int32, error) {
	id := host.Metric(kind, name)
	return id, host.Check(int64(id))
}

// Counter is a number that only goes up. Make it by NewCounter.
type Counter struct{ id int32 }

// NewCounter is the counter of this name.
func NewCounter(name string) (Counter, error) {
	id, err := metric(host.MetricCounter, name)
	return Counter{id}, err
}

// Add adds n.
func (c Counter) Add(n uint64) { host.MetricAdd(c.id, int64(min(n, 1<<63-1))) }

// Gauge is a number that goes up and down. Make it by NewGauge.
type Gauge struct{ id int32 }

// NewGauge is the gauge of this name.
func NewGauge(name string) (Gauge, error) {
	id, err := metric(host.MetricGauge, name)
	return Gauge{id}, err
}

// Set sets it.
func (g Gauge) Set(value float64) { host.MetricSet(g.id, value) }

// Histogram is how values are distributed. Make it by NewHistogram.
type Histogram struct{ id int32 }

// NewHistogram is the histogram of this name.
func NewHistogram(name string) (Histogram, error) {
	id, err := metric(host.MetricHistogram, name)
	return Histogram{id}, err
}

// Observe records a value.
func (h Histogram) Observe(value float64) { host.MetricObserve(h.id, value) }
