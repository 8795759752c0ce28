package load

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A plot is 720 by 260 units, with room for the axes.
const (
	plotWide, plotHigh                     = 720.0, 260.0
	plotLeft, plotRight, plotTop, plotFoot = 66.0, 34.0, 12.0, 34.0
)

// axis maps values to places.
type axis struct {
	low, high float64
	log       bool
	from, to  float64
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = max(v, a.low)
		return a.from + (a.to-a.from)*math.Log(v/a.low)/math.Log(a.high/a.low)
	}
	return a.from + (a.to-a.from)*(v-a.low)/(a.high-a.low)
}

type point struct{ x, y float64 }

// drawing is a plot under way.
type drawing struct {
	x, y axis
	b    strings.Builder
}

func newDrawing(x, y axis, name string) *drawing {
	x.from, x.to = plotLeft, plotWide-plotRight
	y.from, y.to = plotHigh-plotFoot, plotTop
	d := &drawing{x: x, y: y}
	fmt.Fprintf(&d.b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWide, plotHigh, template.HTMLEscapeString(name))
	return d
}

func (d *drawing) tickX(v float64, label string) {
	fmt.Fprintf(&d.b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="x" x="%.1f" y="%g">%s</text>`,
		d.x.at(v), d.x.at(v), plotTop, plotHigh-plotFoot, d.x.at(v), plotHigh-plotFoot+18, label)
}

func (d *drawing) tickY(v float64, label string) {
	fmt.Fprintf(&d.b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`,
		plotLeft, plotWide-plotRight, d.y.at(v), d.y.at(v), plotLeft-8, d.y.at(v)+4, label)
}

// line draws one line; where a value is missing it is interrupted.
func (d *drawing) line(class string, points []point) {
	var path strings.Builder
	pen := "M"
	for _, p := range points {
		if math.IsNaN(p.y) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, d.x.at(p.x), d.y.at(p.y))
		pen = "L"
	}
	fmt.Fprintf(&d.b, `<path class="%s" d="%s"/>`, class, path.String())
}

func (d *drawing) done() template.HTML {
	d.b.WriteString("</svg>")
	return template.HTML(d.b.String()) // numbers and escaped names only
}

// plots draws what there is to draw.
func (r *Result) plots() []reportPlot {
	var list []reportPlot
	if len(r.Series) > 1 {
		list = append(list, r.plotRate())
	}
	if len(r.Series) > 1 && r.Latency.Samples > 0 {
		list = append(list, r.plotLatency())
	}
	if r.Latency.Samples > 0 && r.Histogram != nil {
		list = append(list, r.plotDistribution())
	}
	return list
}

// times is the axis of the run's time, with its ticks.
func (r *Result) times() (axis, []float64) {
	last := r.Series[len(r.Series)-1]
	end := last.From + last.Seconds
	step := niceStep(end, 8)
	var ticks []float64
	for v := 0.0; v <= end*1.0001; v += step {
		ticks = append(ticks, v)
	}
	return axis{low: 0, high: end}, ticks
}

// niceStep is a step of 1, 2 or 5 times a power of ten that divides a range into n at most.
func niceStep(size float64, n int) float64 {
	if !(size > 0) {
		return 1
	}
	raw := size / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*power >= raw {
			return m * power
		}
	}
	return 10 * power
}

func (r *Result) plotRate() reportPlot {
	x, ticks := r.times()
	top := 1.0
	for _, i := range r.Series {
		top = max(top, i.Rate, i.SentRate, i.TargetRate)
	}
	step := niceStep(top*1.05, 5)
	d := newDrawing(x, axis{low: 0, high: math.Ceil(top*1.02/step) * step}, "messages a second over time")
	for _, v := range ticks {
		d.tickX(v, fmt.Sprintf("%.3g s", v))
	}
	for v := 0.0; v <= d.y.high*1.0001; v += step {
		d.tickY(v, short(v))
	}
	plot := reportPlot{Title: "Throughput", About: "Messages a second, by the clock."}
	draw := func(name string, class int, value func(Interval) float64) {
		var points []point
		for _, i := range r.Series {
			points = append(points, point{i.From + i.Seconds/2, value(i)})
		}
		d.line(fmt.Sprintf("line c%d", class), points)
		plot.Lines = append(plot.Lines, reportLine{name, class})
	}
	if r.TargetRate > 0 {
		draw("due", 4, func(i Interval) float64 { return i.TargetRate })
	}
	draw("sent", 2, func(i Interval) float64 { return i.SentRate })
	if r.Subscribers > 0 || r.Mode == Request {
		draw("received", 1, func(i Interval) float64 { return i.Rate })
	}
	plot.SVG = d.done()
	return plot
}

// decades is a logarithmic axis for latencies, with its ticks.
func decades(low, high float64) (axis, []float64) {
	a := axis{low: math.Pow(10, math.Floor(math.Log10(max(low, 100)))), high: math.Pow(10, math.Ceil(math.Log10(max(high, 1000)))), log: true}
	if a.high <= a.low {
		a.high = 10 * a.low
	}
	var ticks []float64
	for v := a.low; v <= a.high*1.0001; v *= 10 {
		ticks = append(ticks, v)
	}
	return a, ticks
}

func (r *Result) plotLatency() reportPlot {
	x, ticks := r.times()
	low, high := math.Inf(1), 0.0
	for _, i := range r.Series {
		if i.Latency.Samples > 0 {
			low, high = min(low, float64(i.Latency.P50)), max(high, float64(i.Latency.P999))
		}
	}
	y, marks := decades(low, high)
	d := newDrawing(x, y, "latency over time")
	for _, v := range ticks {
		d.tickX(v, fmt.Sprintf("%.3g s", v))
	}
	for _, v := range marks {
		d.tickY(v, duration(int64(math.Round(v))))
	}
	plot := reportPlot{Title: "Latency over time", About: "By when messages were due, on a logarithmic scale."}
	for n, quantile := range []struct {
		name  string
		value func(Latency) int64
	}{{"p99.9", func(l Latency) int64 { return l.P999 }}, {"p99", func(l Latency) int64 { return l.P99 }}, {"p50", func(l Latency) int64 { return l.P50 }}} {
		var points []point
		for _, i := range r.Series {
			v := math.NaN()
			if i.Latency.Samples > 0 {
				v = float64(quantile.value(i.Latency))
			}
			points = append(points, point{i.From + i.Seconds/2, v})
		}
		class := 3 - n
		d.line(fmt.Sprintf("line c%d", class), points)
		plot.Lines = append(plot.Lines, reportLine{quantile.name, class})
	}
	plot.SVG = d.done()
	return plot
}

// plotDistribution has the percentiles on a scale that gives each nine the same room.
func (r *Result) plotDistribution() reportPlot {
	n := float64(r.Latency.Samples)
	end := min(max(math.Ceil(math.Log10(n)), 1), 6)
	y, marks := decades(float64(r.Latency.Min), float64(r.Latency.Max))
	d := newDrawing(axis{low: 0, high: end}, y, "latency by percentile")
	for nines, label := range []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"} {
		if float64(nines) <= end {
			d.tickX(float64(nines), label)
		}
	}
	for _, v := range marks {
		d.tickY(v, duration(int64(math.Round(v))))
	}
	var points []point
	for place := 0.0; place <= end; place += end / 240 {
		points = append(points, point{place, float64(r.Histogram.Quantile(100 * (1 - math.Pow(10, -place))))})
	}
	d.line("line c1", points)
	return reportPlot{
		Title: "Latency by percentile", About: "How many in 100 are as fast; each nine has the same room.",
		SVG: d.done(), Lines: []reportLine{{"latency", 1}},
	}
}
