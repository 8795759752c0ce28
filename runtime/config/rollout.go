package config

import (
	"fmt"
	"strconv"
)

// Rollout is how a new generation of a plugin takes the place of the running one.
// In a file it is the mode alone, or {mode: MODE, ...}.
type Rollout struct {
	// Mode is at-once: the new generation takes every message; canary: it takes
	// those of some sessions beside the running one; shadow: it sees messages of
	// some sessions as well, and its answers are compared, not obeyed.
	Mode string `koanf:"mode" yaml:"mode" default:"at-once" enum:"at-once,canary,shadow"`
	// Weight is how many of a hundred sessions a canary or shadow sees. A session
	// stays on its side.
	Weight int `koanf:"weight" yaml:"weight" default:"10" min:"1" max:"100"`
	// Window is how long a new generation is watched at least.
	Window Duration `koanf:"window" yaml:"window" default:"30s" min:"100ms" max:"168h"`
	// Messages is how many messages it must have handled before it is judged
	// good.
	Messages int `koanf:"messages" yaml:"messages" default:"1000" min:"0" max:"1000000000"`
	// Promote says who ends a canary or shadow that went well: auto promotes it
	// when Window is over and Messages are handled, manual waits for a person.
	Promote string `koanf:"promote" yaml:"promote" default:"auto" enum:"auto,manual"`
	// Rollback is what brings the former generation back.
	Rollback Rollback `koanf:"rollback" yaml:"rollback"`
}

// Rollback is the rules by which a new generation is judged while it is watched.
// The first one that it breaks ends it.
type Rollback struct {
	// Traps is the share of messages that it may fail on, by trapping or by
	// breaking the contract. 0% permits none, 100% any number.
	Traps Percent `koanf:"traps" yaml:"traps" default:"0.1%" min:"0%" max:"100%"`
	// Fuel is how many times the fuel a message of the running generation it may
	// use, in a canary or shadow; 0 permits any.
	Fuel Factor `koanf:"fuel" yaml:"fuel" default:"1.5" min:"0" max:"1000"`
	// Latency is the same for the time spent in it, once both have handled 1000
	// messages: the time is estimated.
	Latency Factor `koanf:"latency" yaml:"latency" default:"2" min:"0" max:"1000"`
	// Drift is the share of messages that a shadow may answer otherwise than the
	// running generation, for each of verdict, topic, attributes, payload and
	// effects. 100% permits any.
	Drift Percent `koanf:"drift" yaml:"drift" default:"1%" min:"0%" max:"100%"`
}

// The values of Rollout.Mode and Rollout.Promote.
const (
	RolloutAtOnce = "at-once"
	RolloutCanary = "canary"
	RolloutShadow = "shadow"
	PromoteAuto   = "auto"
	PromoteManual = "manual"
)

func (k *checker) rollout(path string, r *Rollout) {
	k.factor(join(path, "rollback.fuel"), r.Rollback.Fuel)
	k.factor(join(path, "rollback.latency"), r.Rollback.Latency)
	if r.Mode == RolloutCanary && r.Weight == 100 && r.Promote == PromoteAuto {
		k.add(join(path, "weight"), Problem{Cause: "leaves nothing to compare with", Value: strconv.Itoa(r.Weight), Expected: "1 to 99 for a canary that is promoted by itself",
			Fix: "write 50 or less, mode: at-once, or promote: manual"})
	}
}

func (k *checker) factor(path string, f Factor) {
	if f > 0 && f < 1000 {
		k.add(path, Problem{Cause: "out of range", Value: f.String(), Expected: "1 or more, or 0 for any",
			Fix: fmt.Sprintf("write %s for half as much again", Factor(1500))})
	}
}
