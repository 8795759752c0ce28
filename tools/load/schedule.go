package load

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// Step is a part of a ramp: from one rate to another, or at one.
type Step struct {
	// From is messages a second over all publishers; the rate goes evenly to To, or
	// stays where To is 0.
	From, To float64
	For      time.Duration
}

// maxSteps bounds a ramp.
const maxSteps = 1000

// Ramp is n steps of equal time from one rate to another, both included, each at one
// rate; with n of 1 a single one that rises (or falls) evenly.
func Ramp(from, to float64, n int, each time.Duration) []Step {
	if n <= 1 {
		return []Step{{From: from, To: to, For: each}}
	}
	steps := make([]Step, n)
	for i := range steps {
		steps[i] = Step{From: from + (to-from)*float64(i)/float64(n-1), For: each}
	}
	return steps
}

func (s Step) end() float64 {
	if s.To == 0 {
		return s.From
	}
	return s.To
}

func validSteps(steps []Step) error {
	if len(steps) > maxSteps {
		return fmt.Errorf("%w: %d steps, at most %d", ErrConfig, len(steps), maxSteps)
	}
	for i, s := range steps {
		if !(s.From > 0) || s.To < 0 || s.For < 10*time.Millisecond || math.IsInf(s.From+s.To, 0) {
			return fmt.Errorf("%w: step %d from %g to %g for %s: expected rates above 0, and at least 10ms", ErrConfig, i+1, s.From, s.To, s.For)
		}
	}
	return nil
}

// schedule says when each message of all publishers together is due.
type schedule struct{ parts []part }

// part is a time in which the rate changes evenly. Times are in seconds.
type part struct {
	at, long   float64
	first      float64 // messages due before
	rate, rise float64 // a second, and a second more each second
}

// newSchedule begins at time 0 with the warm-up, which has the first rate.
func newSchedule(c *Config) *schedule {
	s := &schedule{}
	steps := c.Steps
	if len(steps) == 0 {
		steps = []Step{{From: c.Rate, For: math.MaxInt64}}
	}
	if c.Warmup > 0 && len(c.Steps) > 0 {
		s.add(Step{From: steps[0].From, For: c.Warmup})
	}
	for _, step := range steps {
		s.add(step)
	}
	return s
}

func (s *schedule) add(step Step) {
	p := part{long: step.For.Seconds(), rate: step.From}
	p.rise = (step.end() - step.From) / p.long
	if n := len(s.parts); n > 0 {
		before := s.parts[n-1]
		p.at, p.first = before.at+before.long, before.first+before.sent(before.long)
	}
	s.parts = append(s.parts, p)
}

// sent is how many are due in the part's first t seconds.
func (p *part) sent(t float64) float64 { return p.rate*t + p.rise*t*t/2 }

// due is when message g is due, in nanoseconds; beyond the end as at the last rate.
func (s *schedule) due(g float64) float64 {
	i := 0
	if len(s.parts) > 1 {
		i = max(sort.Search(len(s.parts), func(i int) bool { return s.parts[i].first > g })-1, 0)
	}
	p := &s.parts[i]
	g -= p.first
	if p.rise == 0 {
		return (p.at + g/p.rate) * 1e9
	}
	root := p.rate*p.rate + 2*p.rise*g
	if root < 0 { // behind the end of a rate that falls to nothing
		return math.MaxInt64 / 2
	}
	return (p.at + 2*g/(p.rate+math.Sqrt(root))) * 1e9
}

// until is how many are due before t nanoseconds.
func (s *schedule) until(t float64) float64 {
	t /= 1e9
	i := max(sort.Search(len(s.parts), func(i int) bool { return s.parts[i].at > t })-1, 0)
	return s.parts[i].first + s.parts[i].sent(t-s.parts[i].at)
}

// rate is the rate in the middle of a time, in nanoseconds.
func (s *schedule) rate(from, to float64) float64 {
	if to <= from {
		return 0
	}
	return math.Round((s.until(to)-s.until(from))/(to-from)*1e12) / 1e3
}
