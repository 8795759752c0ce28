package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
)

// retire ends a listener beside everything else: what its connections have sent goes its
// way, for at most so long.
func (s *Server) retire(index int, within time.Duration) {
	s.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, within)
		defer cancel()
		l := s.setup().listeners[index]
		err := s.engine.Retire(ctx, index, func() bool { return s.laneQuiet(index) })
		switch {
		case errors.Is(err, engine.ErrStopped):
			return
		case err != nil:
			s.log.Error("a listener has not ended as it should", "listener", l.name, "error", err)
		default:
			s.log.Info("a listener has ended", "listener", l.name)
		}
		s.rollouts.everywhere(func(p *path) { p.closeLane(index) })
		l.ended.Store(true)
	})
}

// laneQuiet tells whether no loop holds messages of the listener. One that does not say may.
func (s *Server) laneQuiet(index int) bool {
	held := 0
	for i := range s.paths {
		err := s.rollouts.onLoop(i, func(p *path) error {
			n, _ := p.lanes[index].chain.Held()
			held += n
			return nil
		})
		if err != nil {
			return errors.Is(err, engine.ErrStopped)
		}
	}
	return held == 0
}

// closeLane ends what the chain of a listener still holds that is gone, and its plugins.
func (p *path) closeLane(index int) {
	l := p.lanes[index]
	p.endChain(l.chain, func(c *plugins.Chain, b *plugins.Batch) { c.DropAllHeld(b) }, delivery.Draining)
	p.count()
	if err := l.chain.Close(p.server.ctx); err != nil {
		p.server.log.Error("a listener's plugins were not closed", "listener", l.listener.name, "error", err)
	}
}

// releaseListeners lets others have the indices of listeners that have ended and of which
// nothing is left: sessions that outlive their connections may be, and are taken to be where
// a loop does not say. It is asked again with the next reload.
func (s *Server) releaseListeners() {
	for i, l := range s.setup().listeners {
		if !l.gone || !l.ended.Load() || l.closed.Load() {
			continue
		}
		left := false
		for k := 0; k < len(s.paths) && !left; k++ {
			err := s.rollouts.onLoop(k, func(p *path) error { left = p.stays.has(uint32(i)); return nil })
			left = left || err != nil
		}
		if !left {
			l.closed.Store(true)
			s.engine.Release(i)
		}
	}
}

// has tells whether a session of the listener is left.
func (t *stays) has(listener uint32) bool {
	for _, s := range t.slots {
		if s != nil && s.listener == listener {
			return true
		}
	}
	return false
}

// setLevel changes the lowest level that is logged, where the log allows it.
func (s *Server) setLevel(level string) {
	if s.level != nil {
		_ = s.level.UnmarshalText([]byte(level)) // it was checked
	}
}
