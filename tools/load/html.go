package load

import (
	"cmp"
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"
)

//go:embed report.html
var reportPage string

// reportData is what the page shows.
type reportData struct {
	*Result
	Verdict string
	Bad     bool
	Numbers []reportNumber
	Rows    []reportRow
	Errors  []reportBar
	Plots   []reportPlot
}

type reportNumber struct{ Name, Value, Note string }
type reportRow struct{ Name, Value string }

type reportBar struct {
	Name  string
	Count uint64
	Width float64 // percent
}

type reportPlot struct {
	Title, About string
	SVG          template.HTML
	Lines        []reportLine
}

// reportLine is a line of a plot's legend.
type reportLine struct {
	Name  string
	Class int
}

// WriteHTML writes the result as one page with plots. It needs nothing else: no
// request leaves it, and its policy allows none. Intervals without histograms are fine.
func (r *Result) WriteHTML(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{"short": short, "dur": duration}).Parse(reportPage)
	if err != nil {
		return fmt.Errorf("the report's page: %w", err)
	}
	d := reportData{Result: r, Numbers: r.numbers(), Rows: r.rows(), Errors: r.bars()}
	d.Verdict, d.Bad = r.verdict()
	d.Plots = r.plots()
	if err := page.Execute(w, &d); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// verdict is the run in a sentence.
func (r *Result) verdict() (text string, bad bool) {
	failed := uint64(0)
	if r.Checked != nil {
		failed = r.Checked.Failed
	}
	p99 := ""
	if r.Latency.Samples > 0 {
		p99 = ", p99 " + duration(r.Latency.P99)
	}
	switch c := r.Counts; {
	case r.CutOff != "":
		return fmt.Sprintf("Cut off after %.1f s: %s. Until then %s messages a second%s.", r.Measured.Seconds, r.CutOff, short(r.Measured.Rate), p99), true
	case !c.Clean():
		return fmt.Sprintf("%s messages a second%s; %d lost, %d duplicate, %d out of order, %d foreign, %d unsent.", short(r.Measured.Rate), p99,
			c.Lost, c.Duplicates, c.OutOfOrder, c.Foreign, c.Unsent), true
	case failed > 0:
		return fmt.Sprintf("%s messages a second%s; %d checks failed.", short(r.Measured.Rate), p99, failed), true
	}
	return fmt.Sprintf("%s messages a second%s; every message came once, in order.", short(r.Measured.Rate), p99), false
}

func (r *Result) numbers() []reportNumber {
	m, l := r.Measured, r.Latency
	list := []reportNumber{{"Rate", short(m.Rate) + "/s", fmt.Sprintf("%.1f MB/s of payload", m.MegabytesPerSecond)}}
	if r.TargetRate > 0 {
		list[0].Note = "of " + short(r.TargetRate) + "/s due at most"
	}
	if l.Samples > 0 {
		list = append(list, reportNumber{"p50", duration(l.P50), "half are faster"}, reportNumber{"p99", duration(l.P99), "1 in 100 is slower"},
			reportNumber{"p99.9", duration(l.P999), "1 in 1,000 is slower"}, reportNumber{"max", duration(l.Max), fmt.Sprintf("%d samples", l.Samples)})
	}
	return append(list, reportNumber{"Lost", fmt.Sprint(r.Counts.Lost), fmt.Sprintf("%d of %d came", r.Counts.Received, r.Counts.Expected)})
}

// rows are the configuration and the machine.
func (r *Result) rows() []reportRow {
	list := []reportRow{
		{"Protocol", r.Protocol},
		{"Pacing", string(r.Mode)},
		{"Clients", fmt.Sprintf("%d publishers, %d subscribers, %d topics", r.Publishers, r.Subscribers, r.Topics)},
		{"Message", fmt.Sprintf("%d B payload in %d B frames", r.PayloadBytes, r.FrameBytes)},
		{"Measured", fmt.Sprintf("%.2f s", r.Measured.Seconds)},
	}
	if r.Window > 0 {
		list = append(list, reportRow{"Window", fmt.Sprintf("%d deliveries under way at most", r.Window)})
	}
	if r.TargetRate > 0 {
		list = append(list, reportRow{"Lateness", duration(r.Measured.LagNanoseconds) + " at worst: how far the driver was behind its own schedule"})
	}
	if r.Server != nil {
		list = append(list, reportRow{"Server CPU", fmt.Sprintf("%.3f us a message", r.Server.PerMessage)})
	}
	if r.Driver != nil {
		list = append(list, reportRow{"Driver CPU", fmt.Sprintf("%.3f us a message", r.Driver.PerMessage)})
	}
	a := r.About
	if a == nil {
		return list
	}
	m := a.Machine
	return append(list, reportRow{"Began", a.Began.Format(time.RFC3339)}, reportRow{"Machine", m.Host}, reportRow{"CPU", fmt.Sprintf("%d x %s", m.CPUs, cmp.Or(m.CPU, "unknown"))},
		reportRow{"Memory", fmt.Sprintf("%.1f GiB", float64(m.Memory)/(1<<30))}, reportRow{"System", m.System + " " + m.Kernel}, reportRow{"Version", a.Version + ", " + m.Go})
}

// bars are the errors by kind.
func (r *Result) bars() []reportBar {
	c := r.Counts
	list := []reportBar{
		{Name: "lost", Count: c.Lost}, {Name: "duplicate", Count: c.Duplicates}, {Name: "out of order", Count: c.OutOfOrder},
		{Name: "foreign", Count: c.Foreign}, {Name: "unsent", Count: c.Unsent},
	}
	if r.Checked != nil {
		for _, kind := range slices.Sorted(maps.Keys(r.Checked.Kinds)) {
			list = append(list, reportBar{Name: "check: " + kind, Count: r.Checked.Kinds[kind]})
		}
	}
	most := uint64(1)
	for _, b := range list {
		most = max(most, b.Count)
	}
	for i := range list {
		list[i].Width = 100 * float64(list[i].Count) / float64(most)
	}
	return slices.DeleteFunc(list, func(b reportBar) bool { return b.Count == 0 })
}
