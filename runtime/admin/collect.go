package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weftrun/weft/runtime/life"
)

// collector asks the sources at every scrape. It announces no metrics
// beforehand, because plugins come and go with theirs.
type collector []Source

// Describe announces nothing, which makes the collector an unchecked one.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads every source.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, source := range c {
		for _, metric := range source.Metrics() {
			desc := prometheus.NewDesc(metric.Name, metric.Help, metric.Labels, nil)
			for _, sample := range metric.Samples {
				out <- toPrometheus(desc, metric.Type, sample)
			}
		}
	}
}

// toPrometheus turns a sample that does not fit its metric into an error of the
// scrape, which leaves the others alone.
func toPrometheus(desc *prometheus.Desc, kind MetricType, s Sample) prometheus.Metric {
	var m prometheus.Metric
	var err error
	switch kind {
	case Counter:
		m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, s.Value, s.Labels...)
	case Gauge:
		m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, s.Value, s.Labels...)
	case Histogram:
		m, err = prometheus.NewConstHistogram(desc, s.Count, s.Value, s.Buckets, s.Labels...)
	default:
		err = fmt.Errorf("unknown metric type %d", kind)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	if len(s.Exemplars) > 0 {
		return withExemplars(m, s.Exemplars)
	}
	return m
}

func withExemplars(m prometheus.Metric, from []Exemplar) prometheus.Metric {
	list := make([]prometheus.Exemplar, 0, len(from))
	for _, e := range from {
		list = append(list, prometheus.Exemplar{Value: e.Value, Timestamp: e.Time, Labels: prometheus.Labels{"trace_id": e.Trace}})
	}
	with, err := prometheus.NewMetricWithExemplars(m, list...)
	if err != nil {
		return m
	}
	return with
}

// lifeSource shows the process's state, one sample a state.
func lifeSource(l *life.Life) Source {
	states := []life.State{life.Initializing, life.Running, life.Draining, life.Stopped, life.Failed}
	return SourceFunc(func() []Metric {
		now, _ := l.State()
		m := Metric{Name: "weft_state", Help: "1 for the state in which the process is, 0 for the others.", Type: Gauge, Labels: []string{"state"}}
		for _, s := range states {
			value := 0.0
			if s == now {
				value = 1
			}
			m.Samples = append(m.Samples, Sample{Labels: []string{s.String()}, Value: value})
		}
		return []Metric{m}
	})
}

// metrics is a source of the service's own figures.
func (s *messages) metrics() []Metric {
	return []Metric{
		{Name: "weft_api_subscriptions", Help: "Subscriptions that are open through the API.", Type: Gauge, Samples: []Sample{{Value: float64(s.open.Load())}}},
		{Name: "weft_api_requests_waiting", Help: "Requests through the API that wait for their answer.", Type: Gauge, Samples: []Sample{{Value: float64(s.asking.Load())}}},
		{Name: "weft_api_subscription_missed_total", Help: "Messages that subscriptions through the API missed because their reader was slow.", Type: Counter, Samples: []Sample{{Value: float64(s.missed.Load())}}},
	}
}

// metricsHandler serves a registry of its own in Prometheus's format. An error
// of one metric costs that metric, not the scrape.
func metricsHandler(sources []Source, logger *slog.Logger) (http.Handler, *prometheus.CounterVec, error) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weft_api_calls_total", Help: "Calls of the API that ended.",
	}, []string{"procedure", "code"})
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collector(sources), calls, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      scrapeLog{logger},
		// For exemplars, and for who asks for that form.
		EnableOpenMetrics: true,
	}), calls, nil
}

type scrapeLog struct{ logger *slog.Logger }

// Println gets the errors of a scrape.
func (l scrapeLog) Println(v ...any) {
	l.logger.Warn("some metrics could not be collected", "error", fmt.Sprint(v...))
}

// counting is an interceptor that counts calls by how they ended.
type counting struct{ calls *prometheus.CounterVec }

func (c counting) count(spec connect.Spec, err error) {
	code := "ok"
	if err != nil {
		if code = connect.CodeOf(err).String(); errors.Is(err, context.Canceled) {
			code = connect.CodeCanceled.String()
		}
	}
	c.calls.WithLabelValues(spec.Procedure, code).Inc()
}

// WrapUnary counts unary calls.
func (c counting) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		answer, err := next(ctx, r)
		c.count(r.Spec(), err)
		return answer, err
	}
}

// WrapStreamingClient is not used: this is a server.
func (c counting) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler counts streams.
func (c counting) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		c.count(conn.Spec(), err)
		return err
	}
}
