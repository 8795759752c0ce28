package plugins

import (
	"errors"
	"fmt"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/meter"
)

// Pay takes fuel for what a host function is about to do; see hostfuncs.Purse.
func (in *instance) Pay(units int64) bool {
	if in.fuel == nil { // the start section runs, or nothing is metered
		in.startLeft -= units
		return in.startLeft >= 0 || in.plugin.env.cfg.Unmetered
	}
	left := int64(in.fuel.Get()) - units
	if left < 0 {
		in.fuel.Set(uint64(meter.Spent(left)))
		return false
	}
	in.fuel.Set(uint64(left))
	return true
}

// What a call's answers cost where they go beyond what is usual. As many bytes as the
// call was given, twice over, and a few more are free; those beyond cost what memory
// costs that was not touched before. An effect costs what it takes to send it on.
const (
	freeAnswer    = 64 << 10
	answerByte    = 1
	answerEffect  = 500
	freeAnswering = 2
)

// price is what the host's work on answers of so many bytes and effects costs.
func (in *instance) price(bytes, effects int) int64 {
	return answerByte*int64(max(0, bytes-freeAnswer-freeAnswering*in.given)) + answerEffect*int64(effects)
}

// affords tells whether the call's fuel pays for such answers: who reads them stops
// where it does not.
func (in *instance) affords(bytes, effects int) bool {
	return in.fuel == nil || in.price(bytes, effects) <= int64(in.fuel.Get())
}

// payForAnswers takes fuel for what the host is about to do with a call's answers: a
// guest that answers a word with MiBs takes its neighbours' time without running.
func (in *instance) payForAnswers(bytes, effects int) error {
	units := in.price(bytes, effects)
	if units == 0 || in.fuel == nil || in.Pay(units) {
		return nil
	}
	return fmt.Errorf("%w: %w: its answers have %d bytes and %d effects or more for the %d bytes that it was given, and its fuel does not pay for them: raise cpu, or answer less",
		ErrTrap, ErrFuel, bytes, effects, in.given)
}

// notStarted says why a module was not instantiated. Its start section runs before
// there is an instance that could be asked what is left of its fuel.
func (in *instance) notStarted(err error) error {
	switch {
	case errors.Is(err, hostfuncs.ErrFuel):
		return fmt.Errorf("%w: %w: its start section took more than %d units of fuel: %w", ErrTrap, ErrFuel, int64(startFuel), err)
	case in.plugin.program.description.start:
		return fmt.Errorf("%w: instantiating: its start section, or its data and element segments, which come first: %w; a start section may take %d units of fuel",
			ErrTrap, err, int64(startFuel))
	}
	return fmt.Errorf("%w: instantiating: %w", ErrTrap, err)
}
