package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weftrun/weft/plugins/meter"
)

// Budgets of CPU time. A budget becomes fuel by the factor that was measured when
// the process began; fuel is what is enforced.
const (
	// DefaultCPU is what a message may take in one plugin.
	DefaultCPU = 50 * time.Microsecond
	// DefaultCallBudget bounds one call, whatever its batch: the collector and
	// the other connections of the loop wait no longer than that.
	DefaultCallBudget = time.Millisecond
	// DefaultStartCPU is what each step of an instance's life beside its hooks
	// may take: _initialize, weft_init, weft_snapshot, weft_restore.
	DefaultStartCPU = 20 * time.Millisecond
	// MaxCPU bounds what a Spec may grant.
	MaxCPU = time.Second
)

// startFuel is the budget of a module's start section. It stands in the rewritten
// module, so it is the same on every machine: the cache of compiled code lasts.
const startFuel = 50_000_000

// leastFuel is what a microsecond is worth at least: a machine that was busy while
// it was measured must not starve its plugins.
const leastFuel = 2000

// calibrated is the process's own factor, measured once.
var calibrated = sync.OnceValues(func() (float64, error) {
	f, err := meter.Calibrate(context.Background())
	return max(f, leastFuel), err
})

// fuelPerMicrosecond is what a microsecond of CPU time is worth in fuel.
func (e *Env) fuelPerMicrosecond() (float64, error) {
	if e.cfg.FuelPerMicrosecond > 0 || e.cfg.Unmetered {
		return e.cfg.FuelPerMicrosecond, nil
	}
	f, err := calibrated()
	if err != nil {
		return 0, fmt.Errorf("%w: measuring what a microsecond is worth in fuel: %w", ErrCompile, err)
	}
	return f, nil
}

// setFuel turns the plugin's budgets into fuel.
func (p *Plugin) setFuel() error {
	factor, err := p.env.fuelPerMicrosecond()
	if err != nil {
		return err
	}
	fuel := func(d time.Duration) int64 { return max(int64(float64(d)/float64(time.Microsecond)*factor), 1) }
	p.fuelPerMicrosecond = factor
	p.messageFuel = fuel(p.spec.CPU)
	p.callFuel = max(fuel(p.env.cfg.CallBudget), p.messageFuel)
	p.stepFuel = fuel(p.spec.StartCPU)
	return nil
}

// FuelPerMicrosecond is what a microsecond of the plugin's CPU budget is worth in
// fuel; 0 if it runs unmetered.
func (p *Plugin) FuelPerMicrosecond() float64 { return p.fuelPerMicrosecond }

// batchFuel is the budget of a call. A message with much to read gets as much again
// for every 4 KiB.
func (p *Plugin) batchFuel(batch *plan) int64 {
	return min(int64(batch.count+batch.size>>12)*p.messageFuel, p.callFuel)
}

// most is how many messages go into one call: so many that a few times what they
// have taken of late stays within a call's budget, and never fewer than what their
// own budgets let in.
func (h *seat) most() int {
	p := h.plugin
	if p.env.cfg.Unmetered {
		return maxRecords
	}
	n := max(p.callFuel/(4*h.average+1), p.callFuel/p.messageFuel)
	return int(min(n, maxRecords))
}

// paid takes note of what a call of a hook has cost. The average rises at once and
// falls slowly.
func (h *seat) paid(fuel int64, messages int) {
	h.counters.fuel.add(uint64(fuel))
	each := fuel / int64(messages)
	if uint64(each) > h.counters.fuelMost.v.Load() {
		h.counters.fuelMost.set(uint64(each))
	}
	h.average = max(each, h.average-(h.average-each)/16)
}

// A call that took overrun times its budget by the clock is one too many: something
// that fuel does not measure kept it, a host function or the machine.
const overrun = 20

// took takes note of a call's time by the clock; one call of sixteen is timed.
func (h *seat) took(d time.Duration, messages int) {
	h.counters.busy.add(16 * uint64(d))
	h.counters.calling.Add(d, 1)
	h.counters.memory.set(uint64(h.instance.memory.Size()))
	if d > overrun*h.plugin.env.cfg.CallBudget {
		h.counters.overruns.add(1)
		h.log(slog.LevelWarn, "a call of the plugin took far longer than its CPU budget: the machine is overloaded, or a host function waits",
			slog.Duration("took", d), slog.Int("messages", messages))
	}
}

// duration is how long so much fuel lasts, for people.
func (p *Plugin) duration(fuel int64) time.Duration {
	if p.fuelPerMicrosecond <= 0 {
		return 0
	}
	return time.Duration(float64(fuel) / p.fuelPerMicrosecond * float64(time.Microsecond)).Round(time.Microsecond)
}
