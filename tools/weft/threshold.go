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
	case what == "rate" || what == "lost":
		t.number, err = strconv.ParseFloat(limit, 64)
	case what == "max":
		t.percent = 100
		t.latency, err = time.ParseDuration(limit)
	case strings.HasPrefix(what, "p"):
		if t.percent, err = strconv.ParseFloat(what[1:], 64); err == nil {
			t.latency, err = time.ParseDuration(limit)
		}
	default:
		return t, usageError("--threshold %q: expected p50, p99, p99.9 or the like, max, rate or lost, then = and the limit", text)
	}
	if err != nil || t.percent < 0 || t.percent > 100 || t.number < 0 || t.latency < 0 {
		return t, usageError("--threshold %q: expected such as p99=5ms, rate=100000 or lost=0", text)
	}
	return t, nil
}

// broken says how the result breaks the threshold; empty if it does not.
func (t threshold) broken(r *load.Result) string {
	switch t.what {
	case "rate":
		if r.Measured.Rate < t.number {
			return fmt.Sprintf("the rate is %.0f a second, not %.0f", r.Measured.Rate, t.number)
		}
	case "lost":
		if float64(r.Counts.Lost) > t.number {
			return fmt.Sprintf("%d messages were lost, at most %.0f are allowed", r.Counts.Lost, t.number)
		}
	default:
		if got := time.Duration(r.Histogram.Quantile(t.percent)); got > t.latency {
			return fmt.Sprintf("%s is %s, at most %s is allowed", t.what, got, t.latency)
		}
	}
	return ""
}
