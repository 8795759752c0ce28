package load

import (
	"fmt"
	"io"
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
	if r.Server != nil {
		row("server CPU", "%.3f us a message", r.Server.PerMessage)
	}
	if r.Driver != nil {
		row("driver CPU", "%.3f us a message", r.Driver.PerMessage)
	}
	return t.Flush()
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
