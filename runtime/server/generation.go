package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/rollout"
)

// group is a plugin of the configuration with its generations. What a rollout
// changes is guarded by rollouts.mu.
type group struct {
	name   string
	places []string // where it stands, for people
	seats  []seats  // where it stands

	section   *section // what the next generation is made of
	number    uint64   // the last one that a generation had; also one that was refused
	live      *generation
	candidate *generation // nil: none on trial
	previous  *generation // nil: nothing to go back to
	trial     *trial      // how candidate, or else the live one, is watched; nil: it is not

	last    event
	history []event       // the last ones, last among them
	past    plugins.Stats // of generations that are gone
	drift   plugins.Drift // of shadows that are gone
	results map[string]uint64
	causes  map[string]uint64 // of rollbacks
}

// seats are the places of one configuration of the plugin in one chain.
type seats struct {
	chain  chainKey
	member int // of a generation
	count  int
}

// section is what a generation is made of beside its module.
type section struct {
	plugin config.Plugin
	own    []config.PluginConfig // of places with a configuration of their own
}

// generation is one generation: a plugin with the configuration that was declared,
// and one for each place that has its own. They come and go together.
type generation struct {
	number  uint64
	members []*plugins.Plugin
	section *section
	source  string // what brought it
	since   time.Time
	module  []byte // of a shadow, which is loaded anew to be promoted
	shadow  bool
}

// trial is how a new generation is watched.
type trial struct {
	mode     rollout.Mode
	weight   int
	manual   bool // a person decides
	byHand   bool // whatever the configuration says
	rules    rollout.Rules
	since    time.Time
	judge    *rollout.Judge
	progress string
	ending   bool // it is being promoted
}

// event is one step of a rollout.
type event struct {
	time       time.Time
	what       string
	generation uint64
	cause      string
	text       string
	drift      *plugins.Drift // of a shadow that it ended
}

// maxHistory is how many events are kept of each plugin.
const maxHistory = 32

// What events say, and the label result of the swaps.
const (
	didSwap       = "swapped"
	didTry        = "on-trial"
	didWeight     = "weight"
	didPromote    = "promoted"
	didSettle     = "settled"
	didRollBack   = "rolled-back"
	didWithdraw   = "withdrawn"
	didRefuse     = "refused"
	didSupersede  = "superseded"
	didCheck      = "checked"
	didNotChange  = "unchanged"
	causeByHand   = "hand"
	sourceStart   = "start"
	sourceFile    = "file"
	sourceConfig  = "config"
	sourceAPI     = "api"
	sourceFormer  = "rollback"
	sourcePromote = "promotion"
)

// sum is the SHA-256 of the generation's module, in hexadecimal.
func (g *generation) sum() string { return g.members[0].SHA256() }

// stats adds up what the generation has done.
func (g *generation) stats() plugins.Stats {
	var sum plugins.Stats
	for _, p := range g.members {
		addStats(&sum, p.Stats())
	}
	return sum
}

// counts is what a judge looks at.
func (g *generation) counts() rollout.Counts {
	st, d := g.stats(), g.drift()
	return rollout.Counts{
		Messages: st.Messages,
		// A message on which it fails traps twice, with its batch and alone; in
		// some cases its policy does not answer for it.
		Failed: max(st.Policy, (st.Traps+st.Faults+1)/2),
		Fuel:   st.Fuel, Busy: time.Duration(st.BusyNanoseconds),
		Compared: d.Compared, Differed: d.Differed,
	}
}

func (g *generation) drift() plugins.Drift {
	var sum plugins.Drift
	for _, p := range g.members {
		addDrift(&sum, p.Drift())
	}
	return sum
}

// calls is how long its calls took that were timed.
func (g *generation) calls() latency.Counts {
	var sum latency.Counts
	for _, p := range g.members {
		c := p.Calls()
		sum.Add(&c)
	}
	return sum
}

// close lets the plugins go as soon as their last instance is gone.
func (g *generation) close(ctx context.Context) error {
	var errs []error
	for _, p := range g.members {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}

func addStats(sum *plugins.Stats, st plugins.Stats) {
	sum.Messages += st.Messages
	sum.Events += st.Events
	sum.Calls += st.Calls
	sum.Drops += st.Drops
	sum.Replies += st.Replies
	sum.Routes += st.Routes
	sum.Closes += st.Closes
	sum.Emitted += st.Emitted
	sum.Discarded += st.Discarded
	sum.Denied += st.Denied
	sum.Traps += st.Traps
	sum.Faults += st.Faults
	sum.Rebuilds += st.Rebuilds
	sum.BackOffs += st.BackOffs
	sum.Policy += st.Policy
	sum.FuelTraps += st.FuelTraps
	sum.DepthTraps += st.DepthTraps
	sum.Overruns += st.Overruns
	sum.Paused += st.Paused
	sum.Resumed += st.Resumed
	sum.Waiting += st.Waiting
	sum.Host.HTTPCalls += st.Host.HTTPCalls
	sum.Host.HTTPAnswered += st.Host.HTTPAnswered
	sum.Host.HTTPFailed += st.Host.HTTPFailed
	sum.Host.HTTPTimeouts += st.Host.HTTPTimeouts
	sum.Host.HTTPDenied += st.Host.HTTPDenied
	sum.Host.HTTPLimited += st.Host.HTTPLimited
	sum.Host.HTTPOpen += st.Host.HTTPOpen
	sum.Fuel += st.Fuel
	sum.FuelMost = max(sum.FuelMost, st.FuelMost)
	sum.BusyNanoseconds += st.BusyNanoseconds
	sum.Memory += st.Memory
	sum.Instances += st.Instances
	sum.Resting += st.Resting
	sum.Host.LogLines += st.Host.LogLines
	sum.Host.LogLimited += st.Host.LogLimited
}

func addDrift(sum *plugins.Drift, d plugins.Drift) {
	sum.Compared += d.Compared
	sum.Differed += d.Differed
	sum.Verdict += d.Verdict
	sum.Topic += d.Topic
	sum.Attributes += d.Attributes
	sum.Payload += d.Payload
	sum.Header += d.Header
	sum.Effects += d.Effects
	sum.Samples = append(sum.Samples, d.Samples...)
}
