package server_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/rollout"
)

// wordsAtStart are, for each counter of an alert that has a label of weft's words, those
// words: a counter that is absent until it is 1 never increases.
func wordsAtStart() map[string][]string {
	var reasons []string
	for r := range delivery.Reasons() {
		reasons = append(reasons, r.String())
	}
	causes := []string{"hand"}
	for _, c := range rollout.Causes() {
		causes = append(causes, string(c))
	}
	return map[string][]string{
		"weft_messages_dropped_total":       reasons,
		"weft_copies_dropped_total":         reasons,
		"weft_plugin_rollbacks_total":       causes,
		"weft_plugin_failures_total":        {"trap", "fuel", "depth", "fault"},
		"weft_dead_letters_discarded_total": {"displaced", "flood"},
		"weft_log_refused_total":            {"full", "away", "too_large"},
		"weft_trace_spans_dropped_total":    {"queue_full", "refused", "unreachable", "shutdown"},
	}
}

var (
	overTime  = regexp.MustCompile(`\b(?:rate|irate|increase)\((weft_[a-z0-9_]+)(?:\{([^}]*)\})?\[`)
	oneOf     = regexp.MustCompile(`([a-z_]+)=~?"([^"]*)"`)
	labelPair = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// What an alert takes a rate or an increase of is there, at 0, before anything has
// happened: otherwise its first increase is none.
func TestAlertsSeeTheFirst(t *testing.T) {
	text, err := os.ReadFile("../../configs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	_, page := get(t, start(t, "auto", everythingOn(t)).url()+"/metrics")
	// values are those of each label, by metric and label.
	names, values := map[string]bool{}, map[string][]string{}
	for _, m := range sampleLine.FindAllStringSubmatch(page, -1) {
		names[m[1]] = true
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			values[m[1]+" "+pair[1]] = append(values[m[1]+" "+pair[1]], pair[2])
		}
	}
	words, seen := wordsAtStart(), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			for _, m := range overTime.FindAllStringSubmatch(r.Expr, -1) {
				seen++
				metric := m[1]
				if !names[metric] {
					t.Errorf("%s: a fresh weft exports no %s", r.Alert, metric)
				}
				need := map[string][]string{} // by label
				for _, pair := range oneOf.FindAllStringSubmatch(m[2], -1) {
					need[pair[1]] = strings.Split(pair[2], "|")
				}
				for _, label := range []string{"reason", "cause", "result", "state"} {
					if _, has := values[metric+" "+label]; !has {
						continue
					}
					if words[metric] == nil {
						t.Errorf("%s: say in wordsAtStart which %ss %s has", r.Alert, label, metric)
					}
					need[label] = append(need[label], words[metric]...)
				}
				for label, all := range need {
					for _, word := range all {
						if !slices.Contains(values[metric+" "+label], word) {
							t.Errorf("%s: a fresh weft exports no %s", r.Alert, fmt.Sprintf("%s{%s=%q}", metric, label, word))
						}
					}
				}
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d rates and increases were found", seen)
	}
}
