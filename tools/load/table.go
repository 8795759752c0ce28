package load

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the result for a person to read.
func (r *Result) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) // tabwriter reports at Flush
	}
	m, c, l := r.Measured, r.Counts, r.Latency
	row("protocol", "%s, %s, %d publishers, %d subscribers, %d topics, %d B payload in %d B frames",
		r.Protocol, r.Mode, r.Publishers, r.Subscribers, r.Topics, r.PayloadBytes, r.FrameBytes)
	if r.CutOff != "" {
		row("cut off", "%s; what follows is until then", r.CutOff)
	}
	row("measured", "%.2f s", m.Seconds)
	row("rate", "%s msg/s, %.1f MB/s", short(m.Rate), m.MegabytesPerSecond)
	if r.TargetRate > 0 {
		row("target", "%s msg/s; the driver was late by at most %s", short(r.TargetRate), duration(m.LagNanoseconds))
	}
	row("messages", "%d sent, %d received of %d expected", c.Sent, c.Received, c.Expected)
	row("wrong", "%d lost, %d duplicate, %d out of order, %d foreign, %d unsent",
		c.Lost, c.Duplicates, c.OutOfOrder, c.Foreign, c.Unsent)
	if l.Samples > 0 {
		row("latency", "p50 %s  p90 %s  p99 %s  p99.9 %s  p99.99 %s  max %s  min %s (%d samples)", duration(l.P50), duration(l.P90),
			duration(l.P99), duration(l.P999), duration(l.P9999), duration(l.Max), duration(l.Min), l.Samples)
	}
	if c.Elsewhere > 0 {
		row("elsewhere", "%d more came from publishers of other workers", c.Elsewhere)
	}
	if k := r.Checked; k != nil {
		row("checks", "%d passed, %d failed%s", k.Passed, k.Failed, kindsText(k.Kinds))
		for _, s := range k.Samples {
			row("", "%s: client %d, message %d: want %s, got %s", s.Kind, s.Client, s.Seq, cmp.Or(s.Want, "no refusal"), cmp.Or(s.Got, "nothing"))
		}
	}
	for i, s := range r.Steps {
		row(fmt.Sprintf("step %d", i+1), "%.1f s at %s/s: %s sent/s, %s msg/s, p50 %s  p99 %s  p99.9 %s", s.Seconds, short(s.TargetRate),
			short(s.SentRate), short(s.Rate), duration(s.Latency.P50), duration(s.Latency.P99), duration(s.Latency.P999))
	}
	if k := r.Knee; k != nil {
		for _, trial := range k.Trials {
			row("tried", "%s/s: %s msg/s, p50 %s  p99 %s: %s", short(trial.Target), short(trial.Rate), duration(trial.Latency.P50),
				duration(trial.Latency.P99), cmp.Or(trial.Why, "carried"))
		}
		above := "the highest that was tried"
		if k.Above > 0 {
			above = short(k.Above) + "/s is too much"
		}
		row("knee", "%s/s with p%g within %s; %s", short(k.Rate), k.Percent, k.Limit, above)
	}
	for _, w := range r.Workers {
		row("worker", "%s on %s, %d CPUs: %s msg/s", w.Name, w.Host, w.CPUs, short(w.Rate))
	}
	if r.Server != nil {
		row("server CPU", "%.3f us a message", r.Server.PerMessage)
	}
	if r.Driver != nil {
		row("driver CPU", "%.3f us a message", r.Driver.PerMessage)
	}
	return t.Flush()
}

// kindsText lists counts by kind.
func kindsText(kinds map[string]uint64) string {
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		list = append(list, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// short writes a number with three significant digits and k or M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

func duration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}
