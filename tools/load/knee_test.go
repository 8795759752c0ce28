package load

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestFindKnee looks for a server's known knee at 3,300 a second.
func TestFindKnee(t *testing.T) {
	result, err := FindKnee(t.Context(), Search{From: 1000, To: 1e6, Percent: 99, Limit: time.Millisecond}, func(_ context.Context, rate float64) (*Result, error) {
		r := &Result{Histogram: NewHistogram(), Counts: Counts{Sent: 10, Expected: 10}, Measured: Measured{Seconds: 1, Rate: rate}, TargetRate: rate}
		latency := time.Microsecond
		if rate > 3300 {
			latency = time.Second
		}
		r.Histogram.Record(int64(latency))
		return r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k := result.Knee
	if k.Rate > 3300 || k.Above <= 3300 || k.Above-k.Rate > 0.05*k.Rate || result.TargetRate != k.Rate || len(k.Trials) > 10 {
		t.Errorf("%+v, of the run at %g", k, result.TargetRate)
	}
}

// TestReport: the page shows what went wrong, escapes what came, and asks for nothing.
func TestReport(t *testing.T) {
	h := newCoarse()
	h.Record(5e6)
	r := &Result{
		Protocol: "mqtt", Mode: Open, TargetRate: 10, Subscribers: 1, Histogram: h, Latency: h.Summary(), Counts: Counts{Sent: 2, Expected: 2, Lost: 2},
		Series:  []Interval{{Seconds: 1, Rate: 5, Latency: h.Summary()}, {From: 1, Seconds: 1}},
		Checked: &Checked{Failed: 1, Kinds: map[string]uint64{FailMatch: 1}, Samples: []Failed{{Kind: FailMatch, Want: "x", Got: "<script>alert(1)</script>"}}},
		Knee:    &Knee{Rate: 5, Trials: []Trial{{Why: "too slow"}}}, Workers: []Worker{{Name: "w-1"}}, Steps: []Interval{{Seconds: 1}}, About: &About{Command: "weft bench"},
	}
	var page strings.Builder
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 lost", "no_match", "&lt;script&gt;", "too slow", "w-1", "Throughput", "Latency over time", "Latency by percentile", "default-src 'none'"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "http:", "https:", "url(", "@import", "NaN", "Inf"} {
		if strings.Contains(page.String(), never) {
			t.Errorf("the page has %q", never)
		}
	}
}
