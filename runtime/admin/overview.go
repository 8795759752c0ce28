package admin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Overview is how weft is, as weft.v1.Overview shows it. Errors are ErrBusy, ErrDraining
// or the context's. What is returned is shared by all who look: it must not be changed.
type Overview interface {
	// Look shows how it is now.
	Look(ctx context.Context) (*weftv1.Snapshot, error)
	// Watch shows it again after each interval.
	Watch(interval time.Duration) (Watching, error)
}

// Watching is somebody who looks. Next is called by one goroutine; Close may be called by
// any, more than once.
type Watching interface {
	// Next waits for the next snapshot; the first one is there at once.
	Next(ctx context.Context) (*weftv1.Snapshot, error)
	Close()
}

// How often somebody may look.
const (
	watchDefault = time.Second
	watchLeast   = 250 * time.Millisecond
	watchMost    = time.Minute
)

// overviewService serves weft.v1.Overview.
type overviewService struct {
	overview Overview
	logger   *slog.Logger
	draining context.Context // done when the server shuts down
}

// Get is the call of the same name.
func (s *overviewService) Get(ctx context.Context, _ *connect.Request[weftv1.OverviewGetRequest]) (*connect.Response[weftv1.OverviewGetResponse], error) {
	shown, err := s.overview.Look(ctx)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.OverviewGetResponse{Snapshot: shown, Caller: callerShown(ctx)}), nil
}

// Watch is the call of the same name.
func (s *overviewService) Watch(ctx context.Context, r *connect.Request[weftv1.OverviewWatchRequest], stream *connect.ServerStream[weftv1.OverviewWatchResponse]) error {
	interval := watchDefault
	if asked := r.Msg.GetInterval(); asked != nil {
		interval = asked.AsDuration()
		if asked.CheckValid() != nil || interval < watchLeast || interval > watchMost {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("interval %s: expected %s to %s", interval, watchLeast, watchMost))
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.draining, func() { cancel(ErrDraining) })()
	who := callerShown(ctx)
	watch, err := s.overview.Watch((interval + watchLeast - 1) / watchLeast * watchLeast)
	if err != nil {
		return toConnect(ctx, s.logger, err)
	}
	defer watch.Close()
	for {
		shown, err := watch.Next(ctx)
		if err == nil {
			err = stream.Send(&weftv1.OverviewWatchResponse{Snapshot: shown, Caller: who})
		}
		if err != nil {
			return toConnect(ctx, s.logger, drainCause(ctx, err))
		}
	}
}

// callerShown is who has sent the request of a context, as it is told so itself.
func callerShown(ctx context.Context) *weftv1.Caller {
	who := callerOf(ctx)
	return &weftv1.Caller{Name: who.name, Role: who.role.String()}
}
