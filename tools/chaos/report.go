package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/weftrun/weft/tools/program"
)

// report is what a scenario found.
type report struct {
	Scenario string             `json:"scenario"`
	Passed   bool               `json:"passed"`
	LeftOut  string             `json:"left_out,omitempty"` // why
	Faults   []string           `json:"faults,omitempty"`
	Notes    []string           `json:"notes,omitempty"`
	Rounds   int                `json:"rounds"`
	Seed     uint64             `json:"seed"`
	Command  string             `json:"command"` // that repeats it
	Seconds  float64            `json:"seconds"`
	Verdict  *verdict           `json:"verdict,omitempty"`
	Figures  map[string]float64 `json:"figures,omitempty"`
}

// finish gathers the figures of a run.
func (r *run) finish(err error) *report {
	p := &report{Scenario: r.scenario.name, Rounds: r.rounds(), Seed: r.seed, Command: r.again(), Figures: r.figures}
	if r.ledger != nil {
		v := r.ledger.verdict()
		p.Verdict = &v
		if s := r.figures["seconds"]; s > 0 {
			r.figures["acknowledged_per_second"] = float64(v.Acknowledged) / s
		}
		r.figures["ack_ms_p50"], r.figures["ack_ms_p99"], r.figures["ack_ms_max"] = r.pace.quantile(50), r.pace.quantile(99), r.pace.quantile(100)
	}
	if err == nil {
		p.Faults = r.scenario.judged(r, p.Verdict)
	} else {
		p.Faults = append(p.Faults, err.Error())
	}
	p.Notes = r.notes
	p.Passed = len(p.Faults) == 0
	return p
}

// again is the command that repeats the run.
func (r *run) again() string {
	c := fmt.Sprintf("go run ./tools/chaos --scenarios %s --seed %d --rounds %d --clients %d --window %d --size %d", r.scenario.name, r.seed, r.rounds(), r.clients, r.window, r.size)
	if r.options.weft != "" {
		c += " --weft " + r.options.weft
	}
	if r.nats != "" {
		c += " --nats " + r.nats
	}
	if r.quick {
		c += " --quick"
	}
	return c
}

// line is the summary, for a person.
func (p *report) line(w io.Writer) {
	word := "ok  "
	switch {
	case p.LeftOut != "":
		program.Say(w, "--   %-18s %s", p.Scenario, p.LeftOut)
		return
	case !p.Passed:
		word = "FAIL"
	}
	text := ""
	if p.Verdict != nil {
		text = p.Verdict.String()
	}
	program.Say(w, "%s %-18s %d rounds, %.0f s: %s", word, p.Scenario, p.Rounds, p.Seconds, text)
	var figures []string
	for _, name := range slices.Sorted(maps.Keys(p.Figures)) {
		figures = append(figures, fmt.Sprintf("%s %s", name, short(p.Figures[name])))
	}
	if len(figures) > 0 {
		program.Say(w, "     %s", strings.Join(figures, ", "))
	}
	for _, note := range p.Notes {
		program.Say(w, "     %s", note)
	}
	for _, fault := range p.Faults {
		program.Say(w, "     fault: %s", fault)
	}
	if p.Passed {
		return
	}
	if p.Verdict != nil {
		for _, o := range p.Verdict.Consumers {
			for _, example := range o.Examples {
				program.Say(w, "     %s: %s", o.Name, example)
			}
		}
	}
	program.Say(w, "     again: %s", p.Command)
}

func short(f float64) string {
	if f == float64(int64(f)) || f >= 1000 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// writeJSON writes all reports.
func writeJSON(w io.Writer, all []*report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
