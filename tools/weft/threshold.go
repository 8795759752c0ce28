package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weftrun/weft/tools/load"
)

// threshold is one --threshold of bench: what a result must keep to.
type threshold struct {
	what    string
	percent float64       // of a latency
	latency time.Duration // at most
	number  float64       // rate: at least; lost: at most
}

func parseThresholds(texts []string) ([]threshold, error) {
	var list []threshold
	for _, text := range texts {
		t, err := parseThreshold(text)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

func parseThreshold(text string) (threshold, error) {
	what, limit, _ := strings.Cut(text, "=")
	t := threshold{what: what}
	var err error
	switch {
	case what == "rate" || countOf(what) != nil:
		t.number, err = strconv.ParseFloat(limit, 64)
	case what == "max":
		t.percent = 100
		t.latency, err = time.ParseDuration(limit)
	case strings.HasPrefix(what, "p"):
		if t.percent, err = strconv.ParseFloat(what[1:], 64); err == nil {
			t.latency, err = time.ParseDuration(limit)
		}
	default:
		return t, usageError("--threshold %q: expected p50, p99, p99.9 or the like, max, rate, lost, duplicates, out_of_order, foreign, unsent or failed, then = and the limit", text)
	}
	if err != nil || t.percent < 0 || t.percent > 100 || t.number < 0 || t.latency < 0 {
		return t, usageError("--threshold %q: expected such as p99=5ms, rate=100000 or lost=0", text)
	}
	return t, nil
}

// broken says how the result breaks the threshold; empty if it does not.
func (t threshold) broken(r *load.Result) string {
	if count := countOf(t.what); count != nil {
		if n := count(r); float64(n) > t.number {
			return fmt.Sprintf("%s is %d, at most %.0f is allowed", t.what, n, t.number)
		}
		return ""
	}
	switch t.what {
	case "rate":
		if r.Measured.Rate < t.number {
			return fmt.Sprintf("the rate is %.0f a second, not %.0f", r.Measured.Rate, t.number)
		}
	default:
		if r.Histogram.Count() == 0 {
			return fmt.Sprintf("%s is unknown, as nothing was measured; --duration was too short", t.what)
		}
		if got := time.Duration(r.Histogram.Quantile(t.percent)); got > t.latency {
			return fmt.Sprintf("%s is %s, at most %s is allowed", t.what, got, t.latency)
		}
	}
	return ""
}

// countOf is how a result counts what a threshold names; nil if it is no count.
func countOf(what string) func(r *load.Result) uint64 {
	switch what {
	case "lost":
		return func(r *load.Result) uint64 { return r.Counts.Lost }
	case "duplicates":
		return func(r *load.Result) uint64 { return r.Counts.Duplicates }
	case "out_of_order":
		return func(r *load.Result) uint64 { return r.Counts.OutOfOrder }
	case "foreign":
		return func(r *load.Result) uint64 { return r.Counts.Foreign }
	case "unsent":
		return func(r *load.Result) uint64 { return r.Counts.Unsent }
	case "failed":
		return func(r *load.Result) uint64 {
			if r.Checked == nil {
				return 0
			}
			return r.Checked.Failed
		}
	}
	return nil
}
