package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
)

// taken says what to do about an address that a listener is to have and that another
// listener of this weft holds until the reload is over: new sockets are opened before any
// are closed. Any other error stays as it is.
func (pl *plan) taken(next *config.Listener, err error) error {
	if !errors.Is(err, engine.ErrAddressInUse) {
		return err
	}
	for i, l := range pl.server.setup().each {
		if at := pl.server.engine.Addr(i); !l.gone && overlap(at, next) {
			if slices.Contains(pl.changes.Closed, l.name) || slices.Contains(pl.changes.Moved, l.name) {
				return fmt.Errorf("%w: %s: listener %s of this weft leaves it in the same reload, and has it until then; take two: have it leave in the first, and listener %s come in the second "+
					"(where two exchange their addresses, the first has both go to free ones)", engine.ErrAddressInUse, next.Address, l.name, next.Name)
			}
			return fmt.Errorf("%w: %s: listener %s of this weft listens on %s; choose another address", engine.ErrAddressInUse, next.Address, l.name, at)
		}
	}
	return err
}

// overlap tells whether who listens there keeps the listener from its address.
func overlap(at net.Addr, next *config.Listener) bool {
	if at == nil || (at.Network() == "udp") != (next.Frame == config.FrameDatagram) {
		return false
	}
	has, err := netip.ParseAddrPort(at.String())
	wants, err2 := netip.ParseAddrPort(next.Address)
	if err != nil || err2 != nil || has.Port() != wants.Port() {
		return false
	}
	a, b := has.Addr().Unmap(), wants.Addr().Unmap()
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}
