package load

import (
	"sync"
	"time"
)

// Interval is a part of a run's measurement: the series of all is the run over time,
// and each step of a ramp is one. Rates are by the clock; latencies are those of the
// messages that were due in the interval, however late they came.
type Interval struct {
	// From is when it began, in seconds since the measurement began.
	From    float64 `json:"from_seconds"`
	Seconds float64 `json:"seconds"`
	// TargetRate is what was due a second; 0 where there is no schedule.
	TargetRate float64 `json:"target_rate"`
	SentRate   float64 `json:"sent_rate"`
	// Rate is messages received a second, sent if there are no subscribers.
	Rate    float64 `json:"rate"`
	Latency Latency `json:"latency_ns"`
	// Histogram has two significant digits. It is there between workers only.
	Histogram *Histogram `json:"histogram,omitempty"`
}

// maxIntervals bounds a series: what is due later counts in the last one.
const maxIntervals = 600

// series gathers latencies by when a message was due. Its recorders share it.
type series struct {
	width int64 // nanoseconds
	start int64 // since the run's epoch
	count int

	mu   sync.Mutex
	list []*Histogram
}

// widthOf chooses how long an interval is: so that the steps of a ramp end with one.
func widthOf(c *Config) time.Duration {
	if c.Width > 0 {
		return c.Width
	}
	width := time.Second
	if c.Duration > 0 {
		width = min(width, max(c.Duration/20, 20*time.Millisecond))
		for c.Duration/width >= maxIntervals {
			width *= 2
		}
	}
	if len(c.Steps) > 0 {
		common := c.Steps[0].For
		for _, s := range c.Steps[1:] {
			for a, b := common, s.For; ; a, b = b, a%b {
				if b == 0 {
					common = a
					break
				}
			}
		}
		width = common / max(1, (common+width-1)/width)
		for width < 10*time.Millisecond || c.Duration/width >= maxIntervals {
			width *= 2 // steps then share intervals
		}
	}
	return width
}

func newSeries(width time.Duration, start int64, c *Config) *series {
	s := &series{width: int64(width), start: start, count: maxIntervals}
	if c.Duration > 0 {
		s.count = min(maxIntervals, int((c.Duration+width-1)/width))
	}
	s.list = make([]*Histogram, s.count)
	return s
}

// recorder is one connection's part of a series: the histograms of two neighbouring
// intervals, so that the shared ones are seldom touched.
type recorder struct {
	series *series
	own    [2]*Histogram
	which  [2]int
}

// record notes the latency of a message.
func (r *recorder) record(due, latency int64) {
	s := r.series
	if s == nil || due < s.start {
		return
	}
	i := min(int((due-s.start)/s.width), s.count-1)
	slot := i & 1
	if r.own[slot] == nil {
		r.own[slot], r.which[slot] = newCoarse(), i
	} else if r.which[slot] != i {
		r.give(slot)
		r.which[slot] = i
	}
	r.own[slot].Record(latency)
}

// give hands a histogram's values to the series.
func (r *recorder) give(slot int) {
	if r.own[slot] == nil || r.own[slot].Count() == 0 {
		return
	}
	s := r.series
	s.mu.Lock()
	i := r.which[slot]
	if s.list[i] == nil {
		s.list[i] = newCoarse()
	}
	s.list[i].Merge(r.own[slot])
	s.mu.Unlock()
	r.own[slot].Reset()
}

// finish gives all.
func (r *recorder) finish() {
	r.give(0)
	r.give(1)
}

// intervals sums up, with the counters as they were at each of moments.
func (s *series) intervals(moments []moment, last moment, plan *schedule, received bool) []Interval {
	var list []Interval
	end := last.at
	for i := range s.count {
		from := s.start + int64(i)*s.width
		if from >= end {
			break
		}
		to := min(from+s.width, end)
		if i == s.count-1 {
			to = end
		}
		if s.list[i] == nil {
			s.list[i] = newCoarse()
		}
		list = append(list, s.interval(from, to, s.list[i], moments, plan, received))
	}
	return list
}

func (s *series) interval(from, to int64, h *Histogram, moments []moment, plan *schedule, received bool) Interval {
	seconds := float64(to-from) / 1e9
	a, b := between(moments, from), between(moments, to)
	out := Interval{From: float64(from-s.start) / 1e9, Seconds: seconds, Latency: h.Summary(), Histogram: h}
	out.SentRate = (b.sent - a.sent) / seconds
	if out.Rate = (b.received - a.received) / seconds; !received {
		out.Rate = out.SentRate
	}
	if plan != nil {
		out.TargetRate = plan.rate(float64(from), float64(to))
	}
	return out
}

// counters are what was counted at a time between two moments.
type counters struct{ sent, received float64 }

func between(moments []moment, at int64) counters {
	for i := 1; i < len(moments); i++ {
		a, b := moments[i-1], moments[i]
		if b.at < at && i < len(moments)-1 {
			continue
		}
		share := 0.0
		if b.at > a.at {
			share = min(max(float64(at-a.at)/float64(b.at-a.at), 0), 1)
		}
		return counters{
			float64(a.sent) + share*float64(b.sent-a.sent), float64(a.received) + share*float64(b.received-a.received),
		}
	}
	return counters{}
}
