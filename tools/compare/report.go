package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

// report is everything that was measured; its JSON field names are stable.
type report struct {
	Host      host             `json:"host"`
	Rounds    int              `json:"rounds"`
	Seconds   float64          `json:"seconds"`
	Window    int              `json:"window"`
	Servers   []about          `json:"servers"`
	Scenarios []scenarioReport `json:"scenarios"`
}

type host struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	Model  string `json:"model"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

type about struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type scenarioReport struct {
	Name  string         `json:"name"`
	About string         `json:"about"`
	Rows  []serverReport `json:"servers"`
}

// serverReport is one server's figures over the rounds; nil where the scenario
// does not measure them.
type serverReport struct {
	Name string  `json:"name"`
	Rate *spread `json:"rate"` // messages a second
	CPU  *spread `json:"server_cpu_us"`
	P50  *spread `json:"p50_us"`
	P99  *spread `json:"p99_us"`
	// Bytes is resident memory a connection.
	Bytes *spread `json:"bytes_per_connection"`
	// Ratio is the median rate (memory: bytes) divided by the first server's,
	// CPURatio the same of the CPU time.
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpu_ratio"`
	// Wrong counts messages lost, delivered twice, out of order or not sent.
	Wrong load.Counts `json:"counts"`
}

// spread is a figure over several rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) *spread {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	s := &spread{Median: sorted[mid], Min: sorted[0], Max: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.Median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return s
}

func newReport(o options, servers []server) *report {
	r := &report{
		Host:   host{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), firstLine("/proc/sys/kernel/osrelease"), runtime.Version()},
		Rounds: o.rounds, Seconds: o.seconds, Window: o.window,
	}
	for _, s := range servers {
		r.Servers = append(r.Servers, about{s.name, s.about})
	}
	return r
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo") // elsewhere the model stays empty
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// add sums up a scenario.
func (r *report) add(s scenario, rows []row) {
	out := scenarioReport{Name: s.name, About: s.about}
	for _, row := range rows {
		out.Rows = append(out.Rows, row.sum())
	}
	if first := out.Rows[0]; first.Bytes != nil {
		for i := range out.Rows {
			out.Rows[i].Ratio = ratio(out.Rows[i].Bytes, first.Bytes)
		}
	} else {
		for i := range out.Rows {
			out.Rows[i].Ratio = ratio(out.Rows[i].Rate, first.Rate)
			out.Rows[i].CPURatio = ratio(out.Rows[i].CPU, first.CPU)
		}
	}
	r.Scenarios = append(r.Scenarios, out)
}

func ratio(a, b *spread) float64 {
	if a == nil || b == nil || b.Median == 0 {
		return 0
	}
	return a.Median / b.Median
}

func (w row) sum() serverReport {
	out := serverReport{Name: w.server.name, Bytes: spreadOf(w.bytes)}
	var rate, cpu, p50, p99 []float64
	for _, r := range w.results {
		rate = append(rate, r.Measured.Rate)
		cpu = append(cpu, r.Server.PerMessage)
		p50 = append(p50, float64(r.Latency.P50)/1e3)
		p99 = append(p99, float64(r.Latency.P99)/1e3)
		out.Wrong.Add(r.Counts)
	}
	out.Rate, out.CPU, out.P50, out.P99 = spreadOf(rate), spreadOf(cpu), spreadOf(p50), spreadOf(p99)
	return out
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeTable writes one table a scenario: each figure is the median with the
// lowest and highest round.
func (r *report) writeTable(w io.Writer) error {
	h := r.Host
	if _, err := fmt.Fprintf(w, "%s, %d CPUs, %s %s, kernel %s, %s; %d rounds of %g s, median (min to max), ratios to %s\n",
		h.Model, h.CPUs, h.OS, h.Arch, h.Kernel, h.Go, r.Rounds, r.Seconds, r.Servers[0].Name); err != nil {
		return err
	}
	for _, s := range r.Servers {
		if _, err := fmt.Fprintf(w, "  %s: %s\n", s.Name, s.Version); err != nil {
			return err
		}
	}
	for _, s := range r.Scenarios {
		if _, err := fmt.Fprintf(w, "\n%s: %s\n", s.Name, s.About); err != nil {
			return err
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		s.write(t)
		if err := t.Flush(); err != nil {
			return err
		}
		for _, row := range s.Rows {
			if c := row.Wrong; !c.Clean() {
				program.Say(w, "  %s: %d lost, %d twice, %d out of order, %d foreign, %d not sent", row.Name, c.Lost, c.Duplicates, c.OutOfOrder, c.Foreign, c.Unsent)
			}
		}
	}
	return nil
}

func (s scenarioReport) write(t io.Writer) {
	if s.Rows[0].Bytes != nil {
		program.Say(t, "  server\tbytes a connection\tratio")
		for _, row := range s.Rows {
			program.Say(t, "  %s\t%.0f\t%.2f", row.Name, row.Bytes.Median, row.Ratio)
		}
		return
	}
	program.Say(t, "  server\tk msg/s\tratio\tserver CPU us\tratio\tp50\tp99")
	for _, row := range s.Rows {
		program.Say(t, "  %s\t%s\t%.2f\t%s\t%.2f\t%s\t%s", row.Name, row.Rate.text(1e-3, "%.0f"), row.Ratio,
			row.CPU.text(1, "%.3f"), row.CPURatio, row.P50.times(), row.P99.times())
	}
}

func (s *spread) text(scale float64, format string) string {
	if s.Min == s.Max {
		return fmt.Sprintf(format, s.Median*scale)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.Median*scale, s.Min*scale, s.Max*scale)
}

// times writes microseconds as durations.
func (s *spread) times() string {
	d := func(us float64) string {
		return time.Duration(us * 1e3).Round(time.Duration(max(1, us)) * 10 * time.Nanosecond).String()
	}
	if s.Min == s.Max {
		return d(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", d(s.Median), d(s.Min), d(s.Max))
}
