package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/life"
)

// Drain implements admin.Lifecycle: Run drains as if its context had ended, and returns.
func (s *Server) Drain(ctx context.Context, within time.Duration) (*weftv1.LifecycleDrainResponse, error) {
	if within == 0 {
		within = s.cfg.Drain.Std()
	}
	state, changed := s.life.Changed()
	if state != life.Running {
		return nil, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	select {
	case s.toDrain <- within:
	default: // somebody else has asked already
	}
	select {
	case <-changed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ledger, connections := s.Ledger(), uint64(0)
	for _, l := range s.engine.Stats().Listeners {
		connections += uint64(max(l.Open, 0))
	}
	return &weftv1.LifecycleDrainResponse{
		Deadline: durationpb.New(within), Connections: connections, InFlight: ledger.InFlight(), DeadLetters: s.keeper.kept(),
	}, nil
}

var _ admin.Lifecycle = (*Server)(nil)
