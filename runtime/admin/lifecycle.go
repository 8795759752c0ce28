package admin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Lifecycle is what ends weft. Errors are ErrDraining or the context's.
type Lifecycle interface {
	// Drain ends it within a time; 0 is what the configuration says. It returns when
	// draining has begun.
	Drain(ctx context.Context, within time.Duration) (*weftv1.LifecycleDrainResponse, error)
}

// maxDrain is the longest that a drain may take.
const maxDrain = time.Hour

// lifecycleService serves weft.v1.Lifecycle.
type lifecycleService struct {
	life   Lifecycle
	logger *slog.Logger
}

// Drain is the call of the same name.
func (s *lifecycleService) Drain(ctx context.Context, r *connect.Request[weftv1.LifecycleDrainRequest]) (*connect.Response[weftv1.LifecycleDrainResponse], error) {
	within := time.Duration(0)
	if d := r.Msg.GetDeadline(); d != nil {
		within = d.AsDuration()
		if d.CheckValid() != nil || within <= 0 || within > maxDrain {
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("deadline %s: expected more than 0 and at most %s", within, maxDrain))
		}
	}
	left, err := s.life.Drain(ctx, within)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(left), nil
}
