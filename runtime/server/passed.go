package server

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
)

// handed are sockets that a service manager has opened, by the listener's name; apiName
// for the API. They stay open for as long as the process lives: what waits in their
// queues when it ends is for the next one.
type handed map[string][]*os.File

// check tells which of them belong to no listener.
func (p handed) check(c *config.Config) error {
	var known, strange []string
	for i := range c.Listeners {
		known = append(known, c.Listeners[i].Name)
	}
	known = append(known, apiName)
	for name := range p {
		if !slices.Contains(known, name) {
			strange = append(strange, fmt.Sprintf("%q", name))
		}
	}
	if len(strange) == 0 {
		return nil
	}
	slices.Sort(strange)
	return fmt.Errorf("a socket was passed for %s, which no listener is called: name it by FileDescriptorName= in the socket unit: %s", strings.Join(strange, ", "), strings.Join(known, ", "))
}

// fill gives listeners their sockets.
func (p handed) fill(listeners []engine.Listener) {
	for i := range listeners {
		listeners[i].Sockets = p[listeners[i].Name]
	}
}

// api is the API's listener, nil where its socket was not passed.
func (p handed) api() (net.Listener, error) {
	switch list := p[apiName]; len(list) {
	case 0:
		return nil, nil
	case 1:
		l, err := net.FileListener(list[0])
		if err != nil {
			return nil, fmt.Errorf("the socket that was passed for the API: %w", err)
		}
		return l, nil
	default:
		return nil, fmt.Errorf("%d sockets were passed for the API: expected one", len(list))
	}
}

// tell says where a listener is that is not where the configuration has it.
func (p handed) tell(listeners []engine.Listener, at []net.Addr, log *slog.Logger) {
	for i, l := range listeners {
		if len(p[l.Name]) == 0 {
			continue
		}
		if want, got := l.Address, at[i].String(); want != got {
			log.Warn("a listener is where its socket unit says, not where the configuration says", "listener", l.Name, "address", got, "configured", want)
		} else {
			log.Info("a listener's socket was passed by the service manager", "listener", l.Name, "address", got)
		}
	}
}

// Beats are counts that grow by ten a second for each loop that lives: for a watchdog.
// Any goroutine may ask.
func (s *Server) Beats() []uint64 { return s.engine.Beats() }
