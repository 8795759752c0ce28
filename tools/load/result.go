package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Result is what a run found. Its JSON field names are stable. Times are in
// nanoseconds where the name says so, else in seconds.
type Result struct {
	Protocol     string `json:"protocol"`
	Mode         Mode   `json:"mode"`
	Publishers   int    `json:"publishers"`
	Subscribers  int    `json:"subscribers"`
	Topics       int    `json:"topics"`
	PayloadBytes int    `json:"payload_bytes"`
	// FrameBytes is the length of the first topic's frame as sent.
	FrameBytes int `json:"frame_bytes"`
	// TargetRate and Window are the configuration's, 0 where the mode has none.
	TargetRate float64 `json:"target_rate"`
	Window     int     `json:"window"`

	Counts   Counts   `json:"counts"`
	Measured Measured `json:"measured"`
	Latency  Latency  `json:"latency_ns"`
	// Histogram holds what Latency summarises.
	Histogram *Histogram `json:"histogram"`
	// Server is nil if no process was named.
	Server *CPU `json:"server"`
	// Driver is the load generator's own use of CPU.
	Driver *CPU `json:"driver"`

	// CutOff is why the run ended before its time; empty if it did not.
	CutOff string `json:"cut_off,omitempty"`

	// Checked is nil if nothing was to be checked and nothing was refused.
	Checked *Checked `json:"checked"`
	// Series is the measurement over time, Steps by the steps of a ramp.
	Series []Interval `json:"series"`
	Steps  []Interval `json:"steps,omitempty"`
	// Knee is what a search for the highest rate found.
	Knee *Knee `json:"knee,omitempty"`
	// Workers are those that made the load, if there were any beside this process.
	Workers []Worker `json:"workers,omitempty"`
	// About is where, when and how the run was made, as far as who ran it has said so.
	About *About `json:"about,omitempty"`
}

// Worker is a process that made a part of the load.
type Worker struct {
	Name string `json:"name"`
	Host string `json:"host"`
	CPUs int    `json:"cpus"`
	// Rate is what it measured by itself.
	Rate float64 `json:"rate"`
}

// About is where, when and how a run was made.
type About struct {
	Began   time.Time `json:"began"`
	Version string    `json:"version"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
}

// Machine is what a run was made on.
type Machine struct {
	Host   string `json:"host"`
	System string `json:"system"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes"`
	Go     string `json:"go"`
}

// Counts account for every message of the whole run, warm-up included. With
// Expected = Sent times each message's subscribers:
// Expected = Received - Duplicates - Foreign + Lost.
type Counts struct {
	Sent     uint64 `json:"sent"`
	Expected uint64 `json:"expected"`
	Received uint64 `json:"received"`
	Lost     uint64 `json:"lost"`
	// Duplicates came once more after they had come.
	Duplicates uint64 `json:"duplicates"`
	// OutOfOrder came after a later message of the same publisher and topic.
	OutOfOrder uint64 `json:"out_of_order"`
	// Foreign are messages of which the run knows nothing.
	Foreign uint64 `json:"foreign"`
	// Elsewhere are messages of the publishers of other workers: they are counted here
	// and nowhere else.
	Elsewhere uint64 `json:"elsewhere"`
	// Unsent were due in Open mode when the run ended, but the server had not
	// taken what was sent before them.
	Unsent uint64 `json:"unsent"`
}

// Measured is what happened between the warm-up's end and the last message sent
// (with a Count and no Duration: the last one received).
type Measured struct {
	Seconds  float64 `json:"seconds"`
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	// Rate is messages received a second; sent if there are no subscribers.
	Rate float64 `json:"rate"`
	// MegabytesPerSecond is Rate in payload bytes, in units of 10^6.
	MegabytesPerSecond float64 `json:"megabytes_per_second"`
	// LagNanoseconds is how far the driver was behind its own schedule at worst
	// in Open mode. The latencies contain it.
	LagNanoseconds int64 `json:"lag_ns"`
}

// Latency summarises a histogram, in nanoseconds.
type Latency struct {
	Samples int64 `json:"samples"`
	Min     int64 `json:"min"`
	Mean    int64 `json:"mean"`
	P50     int64 `json:"p50"`
	P90     int64 `json:"p90"`
	P99     int64 `json:"p99"`
	P999    int64 `json:"p99_9"`
	P9999   int64 `json:"p99_99"`
	Max     int64 `json:"max"`
}

// CPU is a process's use of CPU while a run was measured.
type CPU struct {
	Seconds float64 `json:"seconds"`
	// PerMessage is microseconds for each message received (sent if there are
	// no subscribers).
	PerMessage float64 `json:"us_per_message"`
}

// ErrMerge is wrapped by errors about results that do not belong together.
var ErrMerge = errors.New("results cannot be merged")

// Merge adds the result of another driver that ran at the same time with the
// same protocol and mode. Rates and counts add up, histograms merge. The server's
// CPU time is that of whichever result has it: only one driver should measure it.
func (r *Result) Merge(o *Result) error {
	if r.Protocol != o.Protocol || r.Mode != o.Mode {
		return fmt.Errorf("%w: %s %s and %s %s", ErrMerge, r.Protocol, r.Mode, o.Protocol, o.Mode)
	}
	r.Publishers += o.Publishers
	r.Subscribers += o.Subscribers
	r.Topics = max(r.Topics, o.Topics)
	r.TargetRate += o.TargetRate
	r.Window += o.Window
	r.Counts.Add(o.Counts)
	m, n := &r.Measured, o.Measured
	m.Seconds = max(m.Seconds, n.Seconds)
	m.Sent += n.Sent
	m.Received += n.Received
	m.Rate += n.Rate
	m.MegabytesPerSecond += n.MegabytesPerSecond
	m.LagNanoseconds = max(m.LagNanoseconds, n.LagNanoseconds)
	if o.Histogram != nil {
		if r.Histogram == nil {
			r.Histogram = NewHistogram()
		}
		r.Histogram.Merge(o.Histogram)
		r.Latency = r.Histogram.Summary()
	}
	if o.Checked != nil {
		if r.Checked == nil {
			r.Checked = &Checked{}
		}
		r.Checked.Merge(o.Checked)
	}
	r.Series = mergeIntervals(r.Series, o.Series)
	r.Steps = mergeIntervals(r.Steps, o.Steps)
	r.Driver = mergeCPU(r.Driver, o.Driver, m.messages())
	r.Server = mergeCPU(r.Server, o.Server, m.messages())
	return nil
}

// mergeIntervals adds up what ran at the same time.
func mergeIntervals(a, b []Interval) []Interval {
	for i, o := range b {
		if i == len(a) {
			return append(a, b[i:]...)
		}
		v := &a[i]
		v.Seconds = max(v.Seconds, o.Seconds)
		v.TargetRate += o.TargetRate
		v.SentRate += o.SentRate
		v.Rate += o.Rate
		if v.Histogram == nil || o.Histogram == nil {
			continue
		}
		v.Histogram.Merge(o.Histogram)
		v.Latency = v.Histogram.Summary()
	}
	return a
}

// WithoutHistograms drops those of the intervals, whose summaries stay.
func (r *Result) WithoutHistograms() {
	for _, list := range [][]Interval{r.Series, r.Steps} {
		for i := range list {
			list[i].Histogram = nil
		}
	}
}

func mergeCPU(a, b *CPU, messages uint64) *CPU {
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil:
		a = &CPU{}
	case b == nil:
		b = &CPU{}
	}
	return newCPU(time.Duration((a.Seconds+b.Seconds)*float64(time.Second)), messages)
}

func newCPU(used time.Duration, messages uint64) *CPU {
	c := &CPU{Seconds: used.Seconds()}
	if messages > 0 {
		c.PerMessage = used.Seconds() * 1e6 / float64(messages)
	}
	return c
}

func (m Measured) messages() uint64 {
	if m.Received > 0 {
		return m.Received
	}
	return m.Sent
}

// Add sums up the counts of two runs.
func (c *Counts) Add(o Counts) {
	c.Sent += o.Sent
	c.Expected += o.Expected
	c.Received += o.Received
	c.Lost += o.Lost
	c.Duplicates += o.Duplicates
	c.OutOfOrder += o.OutOfOrder
	c.Foreign += o.Foreign
	c.Elsewhere += o.Elsewhere
	c.Unsent += o.Unsent
}

// Clean reports whether every message came once, in order.
func (c Counts) Clean() bool {
	return c.Lost == 0 && c.Duplicates == 0 && c.OutOfOrder == 0 && c.Foreign == 0 && c.Unsent == 0
}

// JSON is the result as indented JSON with a line end.
func (r *Result) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
