package load

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Knee is what FindKnee found.
type Knee struct {
	// Rate is the highest target rate that was carried, 0 if none was; Above the
	// lowest that was not, 0 if all were.
	Rate  float64 `json:"rate"`
	Above float64 `json:"above"`
	// Percent and Limit are what latencies had to keep to.
	Percent float64       `json:"percent"`
	Limit   time.Duration `json:"limit_ns"`
	Trials  []Trial       `json:"trials"`
}

// Trial is one rate that was tried.
type Trial struct {
	Target  float64 `json:"target_rate"`
	Rate    float64 `json:"rate"`
	Latency Latency `json:"latency_ns"`
	// Why it does not count as carried; empty if it does.
	Why string `json:"why"`
}

// Search is how FindKnee looks.
type Search struct {
	// From is the first rate, To the highest to try.
	From, To float64
	// Percent of the latencies must keep to Limit.
	Percent float64
	Limit   time.Duration
	// Within is how near to each other Rate and Above are at the end, as a share of
	// Rate; 0 is 0.05.
	Within float64
	// Progress gets one line a trial; nil for none.
	Progress io.Writer
}

// maxTrials bounds a search.
const maxTrials = 40

// FindKnee looks for the highest rate at which latencies keep to a limit, nothing is
// lost or left unsent, and what comes back is 95 % of what was due: it doubles the rate
// until one is not carried, then halves what is between. run makes one run of Open mode
// at a rate. The result is that of the highest rate that was carried, or of the first.
func FindKnee(ctx context.Context, s Search, run func(ctx context.Context, rate float64) (*Result, error)) (*Result, error) {
	setDefault(&s.Within, 0.05)
	if !(s.From > 0) || s.To < s.From || s.Limit <= 0 || s.Percent <= 0 || s.Percent > 100 {
		return nil, fmt.Errorf("%w: a search from %g to %g for %g %% within %s", ErrConfig, s.From, s.To, s.Percent, s.Limit)
	}
	knee := &Knee{Percent: s.Percent, Limit: s.Limit}
	var best *Result
	for rate := s.From; len(knee.Trials) < maxTrials; {
		result, err := run(ctx, rate)
		if err != nil {
			return nil, fmt.Errorf("at %s a second: %w", short(rate), err)
		}
		trial := s.judge(rate, result)
		knee.Trials = append(knee.Trials, trial)
		s.show(trial)
		if trial.Why == "" {
			knee.Rate, best = rate, result
		} else {
			knee.Above = rate
		}
		if best == nil && len(knee.Trials) == 1 {
			first := *result
			best = &first
			best.Knee = knee
			if trial.Why != "" {
				return best, nil
			}
		}
		switch {
		case knee.Above == 0 && rate >= s.To, knee.Above > 0 && knee.Above-knee.Rate <= s.Within*knee.Rate:
			best.Knee = knee
			return best, nil
		case knee.Above == 0:
			rate = min(2*rate, s.To)
		default:
			rate = (knee.Rate + knee.Above) / 2
		}
	}
	best.Knee = knee
	return best, nil
}

// judge says what is wrong with a rate.
func (s *Search) judge(rate float64, r *Result) Trial {
	t := Trial{Target: rate, Rate: r.Measured.Rate, Latency: r.Latency}
	c := r.Counts
	due := rate * float64(max(1, c.Expected/max(c.Sent, 1)))
	switch got := time.Duration(r.Histogram.Quantile(s.Percent)); {
	case c.Lost > 0 || c.Unsent > 0:
		t.Why = fmt.Sprintf("%d lost, %d unsent", c.Lost, c.Unsent)
	case got > s.Limit:
		t.Why = fmt.Sprintf("p%g is %s", s.Percent, duration(int64(got)))
	case r.Measured.Rate*r.Measured.Seconds+1 < due*(0.95*r.Measured.Seconds-s.Limit.Seconds()): // what is under way may be missing
		t.Why = fmt.Sprintf("%s a second came, of %s", short(r.Measured.Rate), short(due))
	}
	return t
}

func (s *Search) show(t Trial) {
	if s.Progress == nil {
		return
	}
	verdict := "carried"
	if t.Why != "" {
		verdict = "not carried: " + t.Why
	}
	_, _ = fmt.Fprintf(s.Progress, "%s/s: p99 %s, %s\n", short(t.Target), duration(t.Latency.P99), verdict) // progress may be lost
}
