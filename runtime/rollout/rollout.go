// Package rollout judges a new generation of a plugin by what it has done beside the
// running one, or after it. It is pure: it has no goroutine and no clock.
package rollout

import (
	"fmt"
	"time"
)

// Mode is how a new generation begins.
type Mode uint8

// The modes.
const (
	// AtOnce: it takes every message; what it does has nothing beside it to be
	// compared with but what it fails on.
	AtOnce Mode = iota
	// Canary: it takes the messages of some sessions.
	Canary
	// Shadow: it sees the messages of some sessions, and its answers are compared.
	Shadow
)

// String is the mode's name in the configuration.
func (m Mode) String() string {
	switch m {
	case Canary:
		return "canary"
	case Shadow:
		return "shadow"
	}
	return "at-once"
}

// ParseMode reads a mode's name; the empty one is AtOnce.
func ParseMode(text string) (Mode, error) {
	for _, m := range []Mode{AtOnce, Canary, Shadow} {
		if text == m.String() || text == "" {
			return m, nil
		}
	}
	return 0, fmt.Errorf("mode %.40q: expected at-once, canary or shadow", text)
}

// Rules say what a generation may do while it is watched.
type Rules struct {
	// Window is how long it is watched at least, Messages how many messages it
	// must have handled (a shadow: how many must have been compared) before it
	// is judged good.
	Window   time.Duration
	Messages uint64
	// Traps is the share of messages that it may fail on, Drift the share that a
	// shadow may answer otherwise, 1 for any.
	Traps, Drift float64
	// Fuel and Latency are how many times the fuel and the time a message of the
	// running generation a canary or shadow may use, 0 for any.
	Fuel, Latency float64
}

// Counts is what a generation has done since it was loaded.
type Counts struct {
	Messages uint64
	// Failed is how many of them it could not handle: it trapped, or broke the
	// contract.
	Failed uint64
	Fuel   uint64
	Busy   time.Duration
	// Compared and Differed are a shadow's.
	Compared, Differed uint64
}

// since is what was done after base.
func (c Counts) since(base Counts) Counts {
	return Counts{
		Messages: c.Messages - min(base.Messages, c.Messages), Failed: c.Failed - min(base.Failed, c.Failed),
		Fuel: c.Fuel - min(base.Fuel, c.Fuel), Busy: c.Busy - min(base.Busy, c.Busy),
		Compared: c.Compared - min(base.Compared, c.Compared), Differed: c.Differed - min(base.Differed, c.Differed),
	}
}

func (c Counts) fuel() float64    { return float64(c.Fuel) / float64(c.Messages) }
func (c Counts) latency() float64 { return float64(c.Busy) / float64(c.Messages) }

// Cause is the rule that a generation has broken.
type Cause string

// The causes.
const (
	Traps   Cause = "traps"
	Fuel    Cause = "fuel"
	Latency Cause = "latency"
	Drift   Cause = "drift"
)

// Causes are all of them.
func Causes() []Cause { return []Cause{Traps, Fuel, Latency, Drift} }

// Decision is what a judgement comes to.
type Decision uint8

// The decisions.
const (
	// Wait: not enough is known yet.
	Wait Decision = iota
	// Good: it has kept the rules for as long and as often as they ask.
	Good
	// Bad: it has broken a rule.
	Bad
)

// Judgement is a decision with its grounds.
type Judgement struct {
	Decision Decision
	Cause    Cause  // of Bad
	Text     string // what was found, and what the rule is; or what is waited for
}

// Judge watches one new generation.
type Judge struct {
	mode            Mode
	rules           Rules
	began           time.Time
	live, candidate Counts
}

// New begins to watch. live is what the running generation, or the former one, has
// done so far, candidate the same for the new one.
func New(mode Mode, rules Rules, now time.Time, live, candidate Counts) *Judge {
	return &Judge{mode: mode, rules: rules, began: now, live: live, candidate: candidate}
}

// Follow makes it judge by other rules from now on. What was counted so far, and the time
// since it began to watch, count on.
func (j *Judge) Follow(rules Rules) { j.rules = rules }

// A ratio counts only where it is made of enough messages and the difference is one
// that somebody could notice: small guests double their fuel by a single line.
const (
	enough      = 100
	enoughTimed = 1000                      // one call that the system interrupted must not decide
	leastFuel   = 500                       // units a message
	leastDelay  = float64(time.Microsecond) // a message
)

// Judge decides by what both have done until now.
func (j *Judge) Judge(now time.Time, live, candidate Counts) Judgement {
	r, c := j.rules, candidate.since(j.candidate)
	if n := share(c.Failed, max(c.Messages, r.Messages)); r.Traps < 1 && n > r.Traps {
		return bad(Traps, "it failed on %d of %d messages, allowed are %s", c.Failed, c.Messages, percent(r.Traps))
	}
	if j.mode != AtOnce {
		if bad, found := j.compare(c, live); found {
			return bad
		}
	}
	handled, what := c.Messages, "handled"
	if j.mode == Shadow {
		handled, what = c.Compared, "compared"
	}
	if left := r.Window - now.Sub(j.began); left > 0 {
		if handled < r.Messages {
			return Judgement{Text: fmt.Sprintf("%d of %d messages %s, %v left", handled, r.Messages, what, rounded(left))}
		}
		return Judgement{Text: fmt.Sprintf("%d messages %s, %v left", handled, what, rounded(left))}
	}
	if handled < r.Messages {
		return Judgement{Text: fmt.Sprintf("%d of %d messages %s, the window is over", handled, r.Messages, what)}
	}
	return Judgement{Decision: Good, Text: fmt.Sprintf("%d messages %s in %v, %d failed", handled, what, rounded(now.Sub(j.began)), c.Failed)}
}

// rounded is a duration as people read it: 23s, 4.2s, 850ms.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// compare judges what takes a running generation to compare with: what that did in
// the same time, or before, where it did nothing since.
func (j *Judge) compare(c, live Counts) (Judgement, bool) {
	r := j.rules
	if n := share(c.Differed, max(c.Compared, r.Messages)); j.mode == Shadow && r.Drift < 1 && n > r.Drift {
		return bad(Drift, "it answered %d of %d messages otherwise, allowed are %s", c.Differed, c.Compared, percent(r.Drift)), true
	}
	l := live.since(j.live)
	if l.Messages < enough {
		l = live
	}
	least := min(max(r.Messages, 1), enough)
	if l.Messages < least || c.Messages < least {
		return Judgement{}, false
	}
	if mine, its := c.fuel(), l.fuel(); r.Fuel > 0 && its > 0 && mine > r.Fuel*its && mine-its > leastFuel {
		return bad(Fuel, "it uses %.0f fuel a message, the running generation %.0f, allowed are %g times as much", mine, its, r.Fuel), true
	}
	if c.Messages < max(r.Messages, enoughTimed) || l.Messages < enoughTimed {
		return Judgement{}, false // the time is an estimate from one call in sixteen
	}
	if mine, its := c.latency(), l.latency(); r.Latency > 0 && its > 0 && mine > r.Latency*its && mine-its > leastDelay {
		return bad(Latency, "it takes %v a message, the running generation %v, allowed are %g times as much",
			time.Duration(mine), time.Duration(its), r.Latency), true
	}
	return Judgement{}, false
}

func bad(cause Cause, format string, args ...any) Judgement {
	return Judgement{Decision: Bad, Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// share is a part of a whole. The whole is at least what the rules ask for: a rule
// is broken as soon as nothing that is still to come could keep it.
func share(part, whole uint64) float64 {
	if part == 0 {
		return 0
	}
	return float64(part) / float64(max(whole, 1))
}

func percent(share float64) string { return fmt.Sprintf("%.4g%%", share*100) }
