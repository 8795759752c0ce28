package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
)

// ErrCutShort is wrapped by the error of Run where weft has ended before everything that
// it had accepted was delivered: the time for it (drain) was over, or Hurry was called.
var ErrCutShort = errors.New("the drain was cut short")

// hurry tells those who wait for an orderly end that nobody wants it any more.
type hurry struct {
	once *sync.Once
	now  chan struct{}
}

func newHurry() hurry { return hurry{new(sync.Once), make(chan struct{})} }

// Hurry ends a drain that is under way, and one that begins later, at once: what is not
// delivered by then is lost, and Run's error tells how much it is. Any goroutine may
// call it, as often as it likes.
func (s *Server) Hurry() { s.hurry.once.Do(func() { close(s.hurry.now) }) }

// cuts calls cancel when somebody is in a hurry, until the function that it returns is
// called.
func (h hurry) cuts(cancel context.CancelFunc) (stop func()) {
	done := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-h.now:
			cancel()
		case <-done:
		}
	})
	return func() {
		close(done)
		waiting.Wait()
	}
}

// unwritten is how many units receivers were sent that were not written when their
// connections ended.
func (s *Server) unwritten() (units uint64) {
	for _, l := range s.engine.Stats().Listeners {
		units += l.Dropped[engine.DropClosed]
	}
	return units
}

// cutShort says what was lost by an end that came too soon: the messages without an end,
// and what receivers did not get.
func cutShort(cause error, l delivery.Ledger, unwritten uint64) error {
	inFlight, copies := max(l.InFlight(), 0), l.CopiesDropped[delivery.Draining]+unwritten
	if inFlight == 0 && copies == 0 {
		return fmt.Errorf("%w; nothing was lost (%w)", ErrCutShort, cause)
	}
	return fmt.Errorf("%w: %d messages were accepted and have no end, and %d copies were not written to their receivers (%w)", ErrCutShort, inFlight, copies, cause)
}

// lostBy is how many messages were lost, by reason, for the log.
func lostBy(l *delivery.Ledger) string {
	var b strings.Builder
	for r := range delivery.Reasons() {
		if n := l.Dropped[r]; n > 0 && r != delivery.PluginDrop && r != delivery.PluginClose {
			fmt.Fprintf(&b, " %s=%d", r, n)
		}
	}
	return strings.TrimPrefix(b.String(), " ")
}
