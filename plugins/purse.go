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

// notStarted says why a module was not instantiated. Its start section runs before
// there is an instance that could be asked what is left of its fuel.
func (in *instance) notStarted(err error) error {
	switch {
	case errors.Is(err, hostfuncs.ErrFuel):
		return fmt.Errorf("%w: %w: its start section took more than %d units of fuel: %w", ErrTrap, ErrFuel, int64(startFuel), err)
	case in.plugin.description.start:
		return fmt.Errorf("%w: instantiating: its start section, or its data and element segments, which come first: %w; a start section may take %d units of fuel",
			ErrTrap, err, int64(startFuel))
	}
	return fmt.Errorf("%w: instantiating: %w", ErrTrap, err)
}
