package hostfuncs

import (
	"context"
	"math"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// MetricsSink keeps the metrics that plugins declare. It is called from several
// goroutines.
type MetricsSink interface {
	// Metric returns the metric of that plugin, name and kind, the same one for
	// the same arguments. An error refuses it. The name matches
	// [a-z][a-z0-9_]{0,63}.
	Metric(plugin, name string, kind abi.MetricKind) (Metric, error)
}

// Metric is one metric. Add is called on counters, Set on gauges and Observe on
// histograms only; deltas are not negative and values are finite.
type Metric interface {
	Add(delta int64)
	Set(value float64)
	Observe(value float64)
}

// DiscardMetrics is a MetricsSink that forgets everything.
type DiscardMetrics struct{}

// Metric returns a metric that does nothing.
func (DiscardMetrics) Metric(string, string, abi.MetricKind) (Metric, error) {
	return discardMetric{}, nil
}

type discardMetric struct{}

func (discardMetric) Add(int64)       {}
func (discardMetric) Set(float64)     {}
func (discardMetric) Observe(float64) {}

// metricFuncs is the metrics of one plugin; an id is an index into metrics.
type metricFuncs struct {
	plugin string
	max    int
	sink   MetricsSink

	mu      sync.RWMutex
	ids     map[string]int
	metrics []declaredMetric
	refused uint64
}

type declaredMetric struct {
	kind   abi.MetricKind
	metric Metric
}

func newMetricFuncs(g MetricsGrant, plugin string, sink MetricsSink) *metricFuncs {
	if g.Max <= 0 {
		g.Max = DefaultMetrics
	}
	return &metricFuncs{plugin: plugin, max: g.Max, sink: sink, ids: make(map[string]int)}
}

func (f *metricFuncs) register(r *registrar) {
	r.add("metric", func(_ context.Context, m api.Module, stack []uint64) {
		if uint32(stack[2]) > abi.MaxMetricName {
			stack[0] = result(abi.StatusInvalid)
			return
		}
		name, ok := guestBytes(m, stack[1], stack[2])
		if !ok {
			stack[0] = result(abi.StatusInvalid)
			return
		}
		stack[0] = uint64(uint32(f.declare(abi.MetricKind(int32(uint32(stack[0]))), string(name))))
	})
	r.add("metric_add", func(_ context.Context, _ api.Module, stack []uint64) {
		delta := int64(stack[1])
		metric, status := f.find(stack[0], abi.MetricCounter, delta >= 0)
		if status == abi.StatusOK {
			metric.Add(delta)
		}
		stack[0] = result(status)
	})
	r.add("metric_set", func(_ context.Context, _ api.Module, stack []uint64) {
		value := math.Float64frombits(stack[1])
		metric, status := f.find(stack[0], abi.MetricGauge, finite(value))
		if status == abi.StatusOK {
			metric.Set(value)
		}
		stack[0] = result(status)
	})
	r.add("metric_observe", func(_ context.Context, _ api.Module, stack []uint64) {
		value := math.Float64frombits(stack[1])
		metric, status := f.find(stack[0], abi.MetricHistogram, finite(value))
		if status == abi.StatusOK {
			metric.Observe(value)
		}
		stack[0] = result(status)
	})
}

// declare returns the id of the metric, or a status.
func (f *metricFuncs) declare(kind abi.MetricKind, name string) int32 {
	if kind < abi.MetricCounter || kind > abi.MetricHistogram || !validMetricName(name) {
		return int32(abi.StatusInvalid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, ok := f.ids[name]; ok {
		if f.metrics[id].kind != kind {
			return int32(abi.StatusConflict)
		}
		return int32(id)
	}
	if len(f.metrics) >= f.max {
		f.refused++
		return int32(abi.StatusLimit)
	}
	metric, err := f.sink.Metric(f.plugin, name, kind)
	if err != nil {
		f.refused++
		return int32(abi.StatusFailed)
	}
	id := len(f.metrics)
	f.ids[name] = id
	f.metrics = append(f.metrics, declaredMetric{kind, metric})
	return int32(id)
}

func (f *metricFuncs) find(id uint64, kind abi.MetricKind, valid bool) (Metric, abi.Status) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	i := uint32(id)
	if uint64(i) >= uint64(len(f.metrics)) {
		return nil, abi.StatusNotFound
	}
	if m := f.metrics[i]; valid && m.kind == kind {
		return m.metric, abi.StatusOK
	}
	return nil, abi.StatusInvalid
}

func (f *metricFuncs) counts() (declared, refused uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return uint64(len(f.metrics)), f.refused
}

func validMetricName(name string) bool {
	if name == "" || len(name) > abi.MaxMetricName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
