package main

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/tools/load"
)

// A percentile of nothing keeps no threshold.
func TestThresholdOfNothing(t *testing.T) {
	limits, err := parseThresholds([]string{"p99=5ms"})
	if err != nil {
		t.Fatal(err)
	}
	result := &load.Result{Histogram: load.NewHistogram()}
	if said := limits[0].broken(result); !strings.Contains(said, "p99 is unknown") {
		t.Errorf("%q", said)
	}
	result.Histogram.Record(1e6)
	if said := limits[0].broken(result); said != "" {
		t.Errorf("%q", said)
	}
	result.Histogram.Record(6e6)
	if said := limits[0].broken(result); !strings.Contains(said, "at most 5ms is allowed") {
		t.Errorf("%q", said)
	}
}
