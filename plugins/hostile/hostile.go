// Package hostile is a corpus of plugins that mean harm: guests that loop, recurse,
// grow, flood, point outside of their memory, answer nonsense, and modules that are
// made to hurt whoever reads or compiles them. Each is listed with what must become
// of it. Tests run all of them; nothing else uses the package.
//
// The sources lie in guests, in C and in the text format, with the binaries beside
// them; what no tool writes is made by this package byte by byte.
package hostile

import (
	"embed"
	"fmt"
	"slices"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

//go:generate guests/build

//go:embed guests/*.wasm
var binaries embed.FS

// Fate is what must become of a guest.
type Fate uint8

// The fates.
const (
	Refused   Fate = iota // it does not load
	Contained             // it loads, and fails on what Guest.On says; its neighbours do not
	Harmless              // it tries, and nothing comes of it
)

// On says what makes a guest that loads show what it is.
type On uint8

// What it may be.
const (
	Messages    On = iota // messages that begin with an exclamation mark; the guest behaves on all others
	AllMessages           // every message
	Open                  // every session that begins
	Close                 // every session that ends
	Tick                  // every tick
	Swap                  // handing over its state to the next generation
)

// Guest is one of the corpus.
type Guest struct {
	Name string
	Fate Fate
	// Error is the class of the error that Load gives, or the swap.
	Error error
	// Says is what the error, or the log, says.
	Says []string
	On   On
	// Cause is why the failure policy answers, and Counts the counter that goes up.
	Cause  plugins.Cause
	Counts Counter
	// After is how many messages it takes to make it fail; 0 is one.
	After int
	// Recovers says that it is its own state which is bad: a new instance gets on with
	// the message, and nothing is lost.
	Recovers bool
	Grants   hostfuncs.Grants
	Memory   int64         // of plugins.Spec
	CPU      time.Duration // of plugins.Spec
	// Make makes the binary; nil if it lies in guests.
	Make func() []byte
}

// Counter is one of the counters of plugins.Stats.
type Counter struct {
	Name string
	Of   func(plugins.Stats) uint64
}

// The counters that tell of hostile guests.
var (
	FuelTraps  = Counter{"FuelTraps", func(s plugins.Stats) uint64 { return s.FuelTraps }}
	DepthTraps = Counter{"DepthTraps", func(s plugins.Stats) uint64 { return s.DepthTraps }}
	Traps      = Counter{"Traps", func(s plugins.Stats) uint64 { return s.Traps }}
	Faults     = Counter{"Faults", func(s plugins.Stats) uint64 { return s.Faults }}
	Policy     = Counter{"Policy", func(s plugins.Stats) uint64 { return s.Policy }}
)

// Wasm is the guest's binary.
func (g *Guest) Wasm() []byte {
	if g.Make != nil {
		return g.Make()
	}
	b, err := binaries.ReadFile("guests/" + g.Name + ".wasm")
	if err != nil {
		panic(fmt.Sprintf("hostile: %v: run plugins/hostile/guests/build", err))
	}
	return b
}

// Corpus is all guests.
func Corpus() []Guest { return slices.Concat(endless(), floods(), answers(), refused(), monsters()) }

// Running is those that load.
func Running() []Guest {
	return slices.DeleteFunc(Corpus(), func(g Guest) bool { return g.Fate == Refused })
}
