package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Sessions is who is there, or was and may come back. What is returned is the caller's.
type Sessions interface {
	// List answers so many sessions, in order of their names, behind those that are left
	// out.
	List(ctx context.Context, which SessionsWanted) (*weftv1.SessionsListResponse, error)
	// Get answers one; ErrGone if it has ended.
	Get(ctx context.Context, id string) (*weftv1.SessionsGetResponse, error)
	// End ends one; ErrGone if it has ended already.
	End(ctx context.Context, id string) error
}

// SessionsWanted chooses sessions. An empty field chooses all.
type SessionsWanted struct {
	Listener   string
	Contains   string // in lower case
	Away       bool
	Size, Skip int
}

// Subscriptions is who gets what.
type Subscriptions interface {
	// List answers so many subscriptions, in order of their patterns, behind those that
	// are left out. The error is ErrInvalidPattern.
	List(which *weftv1.SubscriptionsListRequest, size int) (*weftv1.SubscriptionsListResponse, error)
}

// sessionService serves weft.v1.Sessions.
type sessionService struct {
	sessions Sessions
	logger   *slog.Logger
}

// pageOf is the size of a page that is asked for.
func pageOf(size uint32) (int, error) {
	if size > maxConnections {
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("size %d: expected 1 to %d; ask for the next ones by skip", size, maxConnections))
	}
	if size == 0 {
		return defaultConnections, nil
	}
	return int(size), nil
}

// List is the call of the same name.
func (s *sessionService) List(ctx context.Context, r *connect.Request[weftv1.SessionsListRequest]) (*connect.Response[weftv1.SessionsListResponse], error) {
	m := r.Msg
	size, err := pageOf(m.GetSize())
	if err != nil {
		return nil, err
	}
	list, err := s.sessions.List(ctx, SessionsWanted{
		Listener: m.GetListener(), Contains: strings.ToLower(m.GetContains()), Away: m.GetAway(), Size: size, Skip: int(m.GetSkip()),
	})
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(list), nil
}

// Get is the call of the same name.
func (s *sessionService) Get(ctx context.Context, r *connect.Request[weftv1.SessionsGetRequest]) (*connect.Response[weftv1.SessionsGetResponse], error) {
	one, err := s.sessions.Get(ctx, r.Msg.GetId())
	if err != nil {
		return nil, s.failed(ctx, r.Msg.GetId(), err)
	}
	return connect.NewResponse(one), nil
}

// End is the call of the same name.
func (s *sessionService) End(ctx context.Context, r *connect.Request[weftv1.SessionsEndRequest]) (*connect.Response[weftv1.SessionsEndResponse], error) {
	if err := s.sessions.End(ctx, r.Msg.GetId()); err != nil {
		return nil, s.failed(ctx, r.Msg.GetId(), err)
	}
	return connect.NewResponse(&weftv1.SessionsEndResponse{}), nil
}

func (s *sessionService) failed(ctx context.Context, id string, err error) error {
	if errors.Is(err, ErrGone) {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("%.40q: there is no such session (any more)", id))
	}
	return toConnect(ctx, s.logger, err)
}

// subscriptionService serves weft.v1.Subscriptions.
type subscriptionService struct {
	subscriptions Subscriptions
	logger        *slog.Logger
}

// List is the call of the same name.
func (s *subscriptionService) List(ctx context.Context, r *connect.Request[weftv1.SubscriptionsListRequest]) (*connect.Response[weftv1.SubscriptionsListResponse], error) {
	size, err := pageOf(r.Msg.GetSize())
	if err != nil {
		return nil, err
	}
	list, err := s.subscriptions.List(r.Msg, size)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(list), nil
}
