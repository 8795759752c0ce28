// Package meter rewrites WebAssembly modules so that they count what they spend.
//
// A rewritten module has two globals more than before, which it exports and
// which its own code cannot name: the fuel that is left, and the depth that calls
// may still go. The host sets both before each call. Every piece of straight-line
// code pays its cost before it runs; every entry of a function and every turn of
// a loop also looks whether fuel is left, and traps where it is not. What a bulk
// instruction costs depends on the length that it is given. The same calls on the
// same state always cost the same.
//
// A module is checked before it is rewritten: each index and each label against
// the module's own counts, in code that never runs too, so that what is added
// stays out of its reach; and its shape against limits that keep the compiler
// from working for minutes on a few kilobytes.
package meter

import (
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/plugins/module"
)

// The names under which a rewritten module exports its two globals, both mutable
// and of type i64. A module that exports one of these names itself is refused.
const (
	ExportFuel  = "weft:fuel"
	ExportDepth = "weft:depth"
)

// DefaultDepth is how deep calls may go unless [Options] says otherwise.
const DefaultDepth = 20_000

// MaxFuel is the most that the fuel global may be set to.
const MaxFuel = 1 << 60

// Options are what a module is rewritten for.
type Options struct {
	// MaxPages becomes the maximum of the module's memory, in pages of 64 KiB,
	// unless its own is lower. 0 leaves the module's own, or 65,536.
	MaxPages uint32
	// StartFuel is what the fuel global begins with: the start section runs
	// before the host can set it. At most MaxFuel.
	StartFuel int64
	// Depth is what the depth global begins with; 0 means DefaultDepth. A call
	// takes 1, and up to 40 where the function is large or has many locals. Only
	// functions that can come to call themselves count.
	Depth int64
}

// Report says what a module is made of and what became of it.
type Report struct {
	Functions int           // that the module defines
	Loops     int           // that can be reached
	Checks    int           // places that look whether fuel is left
	Debits    int           // places that take fuel without looking
	Counted   int           // functions that count the depth
	Before    int           // bytes of the module
	Bytes     int           // bytes of the rewritten module
	Effort    time.Duration // that compiling may take at most, as an estimate
	MaxPages  uint32
	UsesDepth bool // some functions can come to call themselves
	NamesLeft bool // a damaged name section was left out
}

var (
	// ErrMalformed is wrapped by errors about bytes that are no valid module.
	ErrMalformed = errors.New("malformed module")
	// ErrTooComplex is wrapped by errors about modules whose shape would keep the
	// compiler or the memory busy out of proportion.
	ErrTooComplex = errors.New("module too complex")
	// ErrUnsupported is wrapped by errors about what weft does not run: threads,
	// tail calls, exceptions, 64-bit or several memories, imported memories and
	// tables, and exports with the meter's own names.
	ErrUnsupported = errors.New("unsupported by weft")
)

// Rewrite returns the metered form of a module. The result shares no bytes with
// wasm. Every error wraps one of the three sentinels and names the place, what was
// found there and the way out. Rewrite may be called from any goroutine.
func Rewrite(wasm []byte, o Options) ([]byte, Report, error) {
	if o.Depth == 0 {
		o.Depth = DefaultDepth
	}
	if o.StartFuel < 0 || o.StartFuel > MaxFuel || o.Depth < 0 {
		return nil, Report{}, fmt.Errorf("meter: start fuel %d, depth %d: expected 0 to %d and a positive depth", o.StartFuel, o.Depth, int64(MaxFuel))
	}
	if len(wasm) > maxModule {
		return nil, Report{}, fmt.Errorf("%w: it has %d bytes: at most %d are read", ErrTooComplex, len(wasm), maxModule)
	}
	parsed, err := module.Parse(wasm)
	if err != nil {
		return nil, Report{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	w := &rewriter{wasm: wasm, mod: parsed, options: o}
	for _, step := range []func() error{w.readSections, w.checkShape, w.scanBodies, w.findCycles, w.emitBodies} {
		if err := step(); err != nil {
			return nil, Report{}, err
		}
	}
	out := w.assemble()
	w.report.Before, w.report.Bytes = len(wasm), len(out)
	return out, w.report, nil
}

// Cause is why a metered call trapped.
type Cause int

// The causes of a trap that the meter knows.
const (
	CauseGuest Cause = iota // the guest's own doing: unreachable, a bad address, a division by zero
	CauseFuel               // fuel was exhausted
	CauseDepth              // calls went too deep
)

// exhausted is what the cold exit takes from the fuel, so that a guest that traps
// by itself between taking fuel and looking at it is not blamed for the fuel.
const exhausted = 1 << 62

// Spent is what a host function that finds the fuel used up sets it to, so that After
// says so. left is what there is.
func Spent(left int64) int64 { return left - exhausted }

// After tells what the two globals say after a call: why it trapped, if it did,
// and how much fuel is left. That is negative by a little where the last piece of
// code cost more than there was; it is never less than what was spent accounts
// for.
func After(fuel, depth int64) (cause Cause, left int64) {
	switch {
	case fuel < -exhausted/2:
		left = fuel + exhausted
		if depth < 0 {
			return CauseDepth, left
		}
		return CauseFuel, left
	case depth < 0:
		return CauseDepth, fuel
	}
	return CauseGuest, fuel
}
