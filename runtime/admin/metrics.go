package admin

import "time"

// MetricType is the kind of a metric.
type MetricType uint8

// The kinds of metrics.
const (
	// Counter only grows while the process lives.
	Counter MetricType = iota
	// Gauge goes up and down.
	Gauge
	// Histogram counts observations in buckets.
	Histogram
)

// Source gives the values of metrics at the moment at which they are asked for.
// The hot path counts in plain variables; reading them happens here, on the
// goroutine of the scrape, so Metrics must be safe to call at any time.
type Source interface {
	Metrics() []Metric
}

// SourceFunc is a function that is a Source.
type SourceFunc func() []Metric

// Metrics calls the function.
func (f SourceFunc) Metrics() []Metric { return f() }

// Metric is a family of samples with one name.
type Metric struct {
	// Name is the full name, such as weft_messages_received_total: base units,
	// counters end in _total.
	Name string
	// Help is one sentence.
	Help string
	Type MetricType
	// Labels are the names of the labels.
	Labels  []string
	Samples []Sample
}

// Sample is one value of a metric.
type Sample struct {
	// Labels are the values of the metric's labels, in their order.
	Labels []string
	// Value is the value of a counter or gauge, and the sum of a histogram.
	Value float64
	// Count and Buckets belong to histograms: how many observations there were,
	// and for each upper bound how many were not above it.
	Count   uint64
	Buckets map[float64]uint64
	// Exemplars are single observations of a histogram, at most one a bucket, that were
	// traced; OpenMetrics shows them.
	Exemplars []Exemplar
}

// Exemplar is one observation and the trace of what was observed.
type Exemplar struct {
	// Trace is the trace's id, in hexadecimal.
	Trace string
	Value float64
	Time  time.Time
}
