package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/rollout"
)

// rules are those of a configuration that says nothing.
var rules = rollout.Rules{Window: 30 * time.Second, Messages: 1000, Traps: 0.001, Drift: 0.01, Fuel: 1.5, Latency: 2}

type counts = rollout.Counts

func us(n int) time.Duration { return time.Duration(n) * time.Microsecond }

func TestJudge(t *testing.T) {
	steady := counts{Messages: 9000, Fuel: 9000 * 2000, Busy: 9000 * us(3)}
	for _, c := range []struct {
		name            string
		mode            rollout.Mode
		rules           func(*rollout.Rules)
		at              time.Duration
		live, candidate counts
		want            rollout.Decision
		cause           rollout.Cause
		text            string
	}{
		{name: "nothing yet", at: 0, want: rollout.Wait, text: "0 of 1000 messages handled, 30s left"},
		{name: "the window is not over", at: 29 * time.Second, candidate: counts{Messages: 5000}, want: rollout.Wait, text: "1s left"},
		{name: "as people read it", at: 7176 * time.Millisecond, candidate: counts{Messages: 5000}, want: rollout.Wait, text: "handled, 23s left"},
		{name: "near the end", at: 25060 * time.Millisecond, candidate: counts{Messages: 5000}, want: rollout.Wait, text: "handled, 4.9s left"},
		{name: "in whole seconds", at: 30024 * time.Millisecond, candidate: counts{Messages: 1000}, want: rollout.Good, text: "handled in 30s, 0 failed"},
		{name: "too few messages", at: time.Hour, candidate: counts{Messages: 999}, want: rollout.Wait, text: "the window is over"},
		{name: "good", at: 30 * time.Second, candidate: counts{Messages: 1000}, want: rollout.Good, text: "1000 messages handled in 30s, 0 failed"},
		{name: "one failure is allowed", at: 30 * time.Second, candidate: counts{Messages: 1000, Failed: 1}, want: rollout.Good},
		{name: "two failures, early", at: time.Millisecond, candidate: counts{Messages: 2, Failed: 2}, want: rollout.Bad, cause: rollout.Traps,
			text: "it failed on 2 of 2 messages, allowed are 0.1%"},
		{name: "one of a hundred", at: time.Second, candidate: counts{Messages: 200, Failed: 2}, want: rollout.Bad, cause: rollout.Traps},
		{name: "many messages, few failures", at: 31 * time.Second, candidate: counts{Messages: 10000, Failed: 10}, want: rollout.Good},
		{name: "many messages, one failure too many", at: 31 * time.Second, candidate: counts{Messages: 10000, Failed: 11}, want: rollout.Bad, cause: rollout.Traps},
		{name: "none is allowed", rules: func(r *rollout.Rules) { r.Traps = 0 }, candidate: counts{Messages: 100, Failed: 1}, want: rollout.Bad, cause: rollout.Traps},
		{name: "any is allowed", rules: func(r *rollout.Rules) { r.Traps = 1 }, candidate: counts{Messages: 100, Failed: 300}, want: rollout.Wait},
		{name: "no messages are asked for", rules: func(r *rollout.Rules) { r.Messages = 0 }, at: 30 * time.Second, want: rollout.Good},
		{name: "at once compares no fuel", at: 30 * time.Second, live: steady, candidate: counts{Messages: 1000, Fuel: 1e9, Busy: time.Hour}, want: rollout.Good},
		{name: "fuel", mode: rollout.Canary, at: time.Second, live: steady, candidate: counts{Messages: 100, Fuel: 100 * 3001}, want: rollout.Bad, cause: rollout.Fuel,
			text: "it uses 3001 fuel a message, the running generation 2000, allowed are 1.5 times as much"},
		{name: "fuel within the rule", mode: rollout.Canary, at: time.Second, live: steady, candidate: counts{Messages: 100, Fuel: 100 * 3000}, want: rollout.Wait},
		{name: "fuel of few messages", mode: rollout.Canary, at: time.Second, live: steady, candidate: counts{Messages: 99, Fuel: 99 * 9000}, want: rollout.Wait},
		{name: "fuel, nobody could notice", mode: rollout.Canary, at: time.Second, live: counts{Messages: 900, Fuel: 900 * 10}, candidate: counts{Messages: 100, Fuel: 100 * 400}, want: rollout.Wait},
		{name: "fuel, any", mode: rollout.Canary, rules: func(r *rollout.Rules) { r.Fuel = 0 }, live: steady, candidate: counts{Messages: 100, Fuel: 1e9}, want: rollout.Wait},
		{name: "nothing to compare with", mode: rollout.Canary, at: 30 * time.Second, candidate: counts{Messages: 1000, Fuel: 1e9, Busy: time.Hour}, want: rollout.Good},
		{name: "latency", mode: rollout.Canary, at: time.Second, live: steady, candidate: counts{Messages: 1000, Busy: 1000 * us(7)}, want: rollout.Bad, cause: rollout.Latency,
			text: "it takes 7µs a message, the running generation 3µs, allowed are 2 times as much"},
		{name: "latency of few messages", mode: rollout.Canary, at: time.Second, live: steady, candidate: counts{Messages: 999, Busy: time.Second}, want: rollout.Wait},
		{name: "latency of few messages where few are asked for", mode: rollout.Canary, rules: func(r *rollout.Rules) { r.Messages = 10 }, at: time.Second,
			live: steady, candidate: counts{Messages: 999, Busy: time.Second}, want: rollout.Wait},
		{name: "latency beside few messages", mode: rollout.Canary, at: time.Second, live: counts{Messages: 999, Fuel: 1000 * 999, Busy: 999 * us(3)},
			candidate: counts{Messages: 1000, Fuel: 1000 * 1000, Busy: time.Second}, want: rollout.Wait},
		{name: "latency, nobody could notice", mode: rollout.Canary, at: 30 * time.Second, live: counts{Messages: 9000, Busy: 9000 * 100},
			candidate: counts{Messages: 1000, Busy: 1000 * 900}, want: rollout.Good},
		{name: "drift", mode: rollout.Shadow, at: time.Second, live: steady, candidate: counts{Messages: 50, Compared: 50, Differed: 11}, want: rollout.Bad, cause: rollout.Drift,
			text: "it answered 11 of 50 messages otherwise, allowed are 1%"},
		{name: "drift within the rule", mode: rollout.Shadow, at: time.Second, live: steady, candidate: counts{Messages: 50, Compared: 50, Differed: 10}, want: rollout.Wait},
		{name: "drift, any", mode: rollout.Shadow, rules: func(r *rollout.Rules) { r.Drift = 1 }, live: steady, candidate: counts{Messages: 50, Compared: 50, Differed: 50}, want: rollout.Wait},
		{name: "compared is what counts", mode: rollout.Shadow, at: time.Minute, live: steady, candidate: counts{Messages: 5000, Compared: 999}, want: rollout.Wait, text: "999 of 1000 messages compared"},
		{name: "a shadow's failures", mode: rollout.Shadow, at: time.Second, live: steady, candidate: counts{Messages: 50, Failed: 2}, want: rollout.Bad, cause: rollout.Traps},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rules
			if c.rules != nil {
				c.rules(&r)
			}
			start := time.Unix(1000, 0)
			got := rollout.New(c.mode, r, start, counts{}, counts{}).Judge(start.Add(c.at), c.live, c.candidate)
			if got.Decision != c.want || got.Cause != c.cause || !strings.Contains(got.Text, c.text) {
				t.Errorf("got %+v, expected %d %q with %q", got, c.want, c.cause, c.text)
			}
		})
	}
}

// TestOnlyWhatIsNewCounts begins with generations that have a past.
func TestOnlyWhatIsNewCounts(t *testing.T) {
	start := time.Unix(1000, 0)
	live := counts{Messages: 1e6, Fuel: 1e6 * 8000, Busy: 1e6 * us(9)}
	candidate := counts{Messages: 100, Failed: 100, Fuel: 100 * 5000}
	j := rollout.New(rollout.Canary, rules, start, live, candidate)
	if got := j.Judge(start, live, candidate); got.Decision != rollout.Wait {
		t.Errorf("it was judged by its past: %+v", got)
	}
	// Traffic has become lighter: the candidate is compared with today's.
	live.Messages, live.Fuel = live.Messages+900, live.Fuel+900*1000
	candidate.Messages, candidate.Fuel = candidate.Messages+100, candidate.Fuel+100*3000
	if got := j.Judge(start, live, candidate); got.Cause != rollout.Fuel || !strings.Contains(got.Text, "3000 fuel a message, the running generation 1000") {
		t.Errorf("got %+v", got)
	}
}

// TestOtherRulesCountOn changes the rules of a generation that is watched.
func TestOtherRulesCountOn(t *testing.T) {
	start := time.Unix(1000, 0)
	j := rollout.New(rollout.Canary, rules, start, counts{}, counts{})
	done := counts{Messages: 500, Failed: 1}
	if got := j.Judge(start.Add(time.Second), counts{}, done); got.Decision != rollout.Wait {
		t.Errorf("got %+v", got)
	}
	shorter := rules
	shorter.Window, shorter.Messages, shorter.Traps = time.Second, 500, 0.002
	j.Follow(shorter)
	if got := j.Judge(start.Add(time.Second), counts{}, done); got.Decision != rollout.Good {
		t.Errorf("what was done before counts no more: %+v", got)
	}
	shorter.Traps = 0
	j.Follow(shorter)
	if got := j.Judge(start.Add(time.Second), counts{}, done); got.Cause != rollout.Traps {
		t.Errorf("got %+v", got)
	}
}

func TestModes(t *testing.T) {
	for _, m := range []rollout.Mode{rollout.AtOnce, rollout.Canary, rollout.Shadow} {
		if got, err := rollout.ParseMode(m.String()); got != m || err != nil {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := rollout.ParseMode("blue-green"); err == nil {
		t.Error("an unknown mode was taken")
	}
}
