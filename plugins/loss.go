package plugins

import (
	"log/slog"
	"time"
)

// What a plugin's failures may take from its neighbours on the loop. Each one costs
// the call that failed and a new instance, with all that the guest does in its start
// section, _initialize, weft_init and weft_needs. That is not in the budget of any
// message; strikes do not bound it either, for a plugin that fails on one message of a
// hundred earns no rest by them.
const (
	// lossShare of the time may be lost to failures in the long run, lossBurst at once.
	lossShare = 0.1
	lossBurst = 250 * time.Millisecond
	// A new instance that takes longer than lossStall counts lossHeavy times: who waits
	// 20 ms once is worse off than who waits for 1 ms twenty times.
	lossStall = time.Millisecond
	lossHeavy = 4
	// What other work on the machine adds to the time of a new instance does not count
	// beyond lossNoise times the least that one has taken.
	lossNoise = 3
)

// losses is the time that a seat has lost to failures and not made up for yet.
type losses struct {
	owed float64 // nanoseconds
	at   int64   // when owed was last brought up to date, Clock.Monotonic
}

// lose takes note of time that was lost.
func (l *losses) lose(d time.Duration, now int64) {
	l.owed = max(0, l.owed-float64(now-l.at)*lossShare) + float64(d)
	l.at = now
}

// due is how long the seat must rest until it may lose time again: 0 if it may now,
// else until half of the burst is free.
func (l *losses) due(now int64) time.Duration {
	l.lose(0, now)
	if l.owed <= float64(lossBurst) {
		return 0
	}
	return time.Duration((l.owed - float64(lossBurst)/2) / lossShare)
}

// built takes note of what a new instance took.
func (h *seat) built(took time.Duration) {
	if least := time.Duration(h.plugin.leastBuild.Load()); least > 0 {
		took = min(took, lossNoise*least)
	}
	if took > lossStall {
		took *= lossHeavy
	}
	h.losses.lose(took, h.now())
}

// overdrawn lets the plugin rest if its failures have taken too much of the loop's time.
func (h *seat) overdrawn() bool {
	rest := h.losses.due(h.now())
	if rest == 0 {
		return false
	}
	h.restTill = h.now() + int64(rest)
	h.counters.backOffs.add(1)
	h.counters.resting.set(1)
	h.log(slog.LevelError, "plugin's failures take too much of its neighbours' time and it rests; its failure policy answers",
		slog.Duration("rest", rest), slog.String("policy", h.plugin.spec.OnFailure.String()), slog.String("cause", h.failed))
	return true
}

// built takes note of the least that an instance has taken.
func (p *Plugin) built(took time.Duration) {
	for {
		least := p.leastBuild.Load()
		if least > 0 && int64(took) >= least || took <= 0 || p.leastBuild.CompareAndSwap(least, int64(took)) {
			return
		}
	}
}
