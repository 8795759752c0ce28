package plugins

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/plugins/meter"
)

// Plugin is a loaded plugin: verified, compiled, ready to be instantiated in any
// number of chains. Its methods may be called from any goroutine.
type Plugin struct {
	env       *Env
	spec      Spec
	sum       [32]byte
	signers   []string
	host      *hostfuncs.Host
	functions *hostfuncs.Functions // of host, in the program's runtime
	program   *program

	// Budgets in fuel: of a message, of a call, of a step of an instance's life.
	fuelPerMicrosecond              float64
	messageFuel, callFuel, stepFuel int64

	leastBuild atomic.Int64 // nanoseconds that an instance has taken to be made, at least

	mu        sync.Mutex // guards what follows
	closing   int        // instances that are being closed
	instances int
	closed    bool
	released  bool
	counters  []*counters    // of the chains that live
	past      Stats          // of those that were closed
	called    latency.Counts // by them
	drift     Drift
	sampled   int64 // Clock.Monotonic of the last sample
}

// Name is the plugin's name in the configuration.
func (p *Plugin) Name() string { return p.spec.Name }

// Spec is what the plugin was loaded with, defaults filled in, without Wasm.
func (p *Plugin) Spec() Spec { return p.spec }

// Description is what the binary shows about itself.
func (p *Plugin) Description() Description { return p.program.description }

// Generation counts the plugins that were loaded one after another under this
// one's name.
func (p *Plugin) Generation() uint64 { return p.spec.Generation }

// Metering is what the rewriter found in the binary; zero if it runs unmetered.
func (p *Plugin) Metering() meter.Report { return p.program.report }

// Signers are the ids of the trusted keys that signed the binary.
func (p *Plugin) Signers() []string { return slices.Clone(p.signers) }

// SHA256 is the binary's hash in hexadecimal.
func (p *Plugin) SHA256() string { return hex.EncodeToString(p.sum[:]) }

// Close gives back what the plugin holds once its last instance is closed. No
// instance is made afterwards. It may be called more than once.
func (p *Plugin) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.release(ctx)
}

// retain takes note of an instance that is about to be made.
func (p *Plugin) retain() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("%w: plugin %s", ErrClosed, p.spec.Name)
	}
	p.instances++
	return nil
}

// instantiate makes an instance. Whoever has it ends it by retire.
func (p *Plugin) instantiate(ctx context.Context) (*instance, error) {
	if err := p.retain(); err != nil {
		return nil, err
	}
	in, err := newInstance(ctx, p)
	if err != nil {
		p.dropped()
		return nil, err
	}
	return in, nil
}

// retire closes an instance.
func (p *Plugin) retire(in *instance) {
	p.leaving()
	p.bury(in)
}

// retireLater is retire for who must not wait for it: giving memory back takes a
// third of a millisecond for one MiB. It is done beside the loops as long as not too
// much of it is under way.
func (p *Plugin) retireLater(in *instance) {
	in.async.Close()
	in.backing.again = true
	p.leaving()
	select {
	case p.env.reaping <- struct{}{}:
		p.env.reapers.Go(func() {
			defer func() { <-p.env.reaping }()
			p.bury(in)
		})
	default:
		p.bury(in)
	}
}

// leaving takes note of an instance that is about to be closed.
func (p *Plugin) leaving() {
	p.mu.Lock()
	p.instances--
	p.closing++
	p.mu.Unlock()
}

func (p *Plugin) bury(in *instance) {
	in.close()
	p.gone()
}

// dropped takes note of an instance that could not be made.
func (p *Plugin) dropped() {
	p.leaving()
	p.gone()
}

// gone takes note of an instance that holds nothing any more.
func (p *Plugin) gone() {
	p.mu.Lock()
	p.closing--
	p.mu.Unlock()
	if err := p.release(context.Background()); err != nil {
		p.env.cfg.Logger.Error("plugin was not released", "plugin", p.spec.Name, "error", err)
	}
}

// release gives back what the plugin holds when nobody can use it any more.
func (p *Plugin) release(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed || p.instances > 0 || p.closing > 0 || p.released {
		p.mu.Unlock()
		return nil
	}
	p.released = true
	p.mu.Unlock()
	p.env.remove(p)
	if err := p.giveBack(ctx); err != nil {
		return fmt.Errorf("plugin %s: %w", p.spec.Name, err)
	}
	return nil
}

// giveBack is for when no instance is left.
func (p *Plugin) giveBack(ctx context.Context) error {
	var err error
	if p.functions != nil {
		err = p.functions.Close(ctx)
	}
	return errors.Join(err, p.env.leave(ctx, p.program))
}

// Stats is what a plugin has done since it was loaded, over all chains.
type Stats struct {
	Messages  uint64 // handed to it, those of a replay not counted again
	Events    uint64 // those of them that are no messages: sessions that began or ended, ticks
	Calls     uint64 // calls of its hooks
	Drops     uint64 // messages that it dropped
	Replies   uint64
	Routes    uint64
	Closes    uint64
	Emitted   uint64 // messages that it made
	Discarded uint64 // messages that it made over the bound of a batch
	Traps     uint64 // calls that trapped
	Faults    uint64 // answers that broke the contract
	Rebuilds  uint64 // instances that replaced a failed one
	BackOffs  uint64 // times that it was put to rest
	Denied    uint64 // effects outside its grants, which were not carried out
	Policy    uint64 // messages for which its failure policy answered
	Paused    uint64 // times that it paused a message
	Resumed   uint64 // times that one was brought back to it
	Waiting   int    // messages that it has paused now
	// Overruns is calls, of those that are timed, that took 20 times what a call
	// may take, by the clock.
	Overruns uint64
	// FuelTraps and DepthTraps are those of Traps that used up their CPU budget
	// or nested their calls too deep.
	FuelTraps, DepthTraps uint64
	// Fuel is what its hooks have spent, and weft_buffer for them; FuelMost the
	// most that the messages of one call of a hook have spent each.
	Fuel, FuelMost uint64
	// Given and Answered are the bytes of messages that were written into its
	// memory, and those of its answers that were read out.
	Given, Answered uint64
	// BusyNanoseconds is an estimate of the time spent in it, from one call
	// in sixteen.
	BusyNanoseconds uint64
	// Memory is the bytes of its instances, as of one call of sixteen.
	Memory    uint64
	Instances int // that live now
	Resting   int // chains in which it rests now
	Host      hostfuncs.Stats
}

// Stats adds up the counters.
func (p *Plugin) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.past
	for _, c := range p.counters {
		c.addTo(&s)
	}
	s.Instances, s.Host = p.instances, p.host.Stats()
	return s
}

// counters is what one chain counts about one plugin. Only its loop writes.
type counters struct {
	messages, calls, drops, replies, routes, closes, emitted, discarded, denied counter
	traps, faults, rebuilds, backOffs, policy, busy, resting                    counter
	fuelTraps, depthTraps, fuel, fuelMost, overruns, given, answered            counter
	paused, resumed, waiting, memory, events                                    counter
	calling                                                                     latency.Histogram // of the calls that are timed

	chain *Chain
	place atomic.Int32
}

// counter has one writer and any number of readers.
type counter struct{ v atomic.Uint64 }

func (c *counter) add(n uint64) { c.v.Store(c.v.Load() + n) }
func (c *counter) set(n uint64) { c.v.Store(n) }

func (c *counters) addTo(s *Stats) {
	s.Messages += c.messages.v.Load()
	s.Events += c.events.v.Load()
	s.Calls += c.calls.v.Load()
	s.Drops += c.drops.v.Load()
	s.Replies += c.replies.v.Load()
	s.Routes += c.routes.v.Load()
	s.Closes += c.closes.v.Load()
	s.Emitted += c.emitted.v.Load()
	s.Discarded += c.discarded.v.Load()
	s.Denied += c.denied.v.Load()
	s.Traps += c.traps.v.Load()
	s.Faults += c.faults.v.Load()
	s.Rebuilds += c.rebuilds.v.Load()
	s.BackOffs += c.backOffs.v.Load()
	s.Policy += c.policy.v.Load()
	s.FuelTraps += c.fuelTraps.v.Load()
	s.Overruns += c.overruns.v.Load()
	s.DepthTraps += c.depthTraps.v.Load()
	s.Fuel += c.fuel.v.Load()
	s.FuelMost = max(s.FuelMost, c.fuelMost.v.Load())
	s.Given += c.given.v.Load()
	s.Answered += c.answered.v.Load()
	s.BusyNanoseconds += c.busy.v.Load()
	s.Paused += c.paused.v.Load()
	s.Resumed += c.resumed.v.Load()
	s.Waiting += int(c.waiting.v.Load())
	s.Resting += int(c.resting.v.Load())
	s.Memory += c.memory.v.Load()
}

func (p *Plugin) attach(c *counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counters = append(p.counters, c)
}

func (p *Plugin) detach(c *counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, have := range p.counters {
		if have == c {
			p.counters = append(p.counters[:i], p.counters[i+1:]...)
			c.resting.set(0)
			c.waiting.set(0)
			c.memory.set(0)
			c.addTo(&p.past)
			c.calling.AddTo(&p.called)
			return
		}
	}
}
