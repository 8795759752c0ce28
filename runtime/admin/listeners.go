package admin

import (
	"context"
	"fmt"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Listeners is where weft listens. What is returned is the caller's.
type Listeners interface {
	// Listeners are in the order of the configuration.
	Listeners() []*weftv1.Listener
}

// listenerService serves weft.v1.Listeners.
type listenerService struct{ listeners Listeners }

// List is the call of the same name.
func (s *listenerService) List(context.Context, *connect.Request[weftv1.ListenersListRequest]) (*connect.Response[weftv1.ListenersListResponse], error) {
	return connect.NewResponse(&weftv1.ListenersListResponse{Listeners: s.listeners.Listeners()}), nil
}

// Get is the call of the same name.
func (s *listenerService) Get(_ context.Context, r *connect.Request[weftv1.ListenersGetRequest]) (*connect.Response[weftv1.ListenersGetResponse], error) {
	for _, l := range s.listeners.Listeners() {
		if l.GetName() == r.Msg.GetName() {
			return connect.NewResponse(&weftv1.ListenersGetResponse{Listener: l}), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no listener %.80q; weft listener list shows those that there are", r.Msg.GetName()))
}

// Routes is where messages go. What is returned is the caller's.
type Routes interface {
	// Routes are in the order in which they are asked, the default one last.
	Routes() []*weftv1.Route
	// Explain says where a message would go. Errors are ErrInvalidMessage and ErrUnknown.
	Explain(r *weftv1.RoutesExplainRequest) (*weftv1.RoutesExplainResponse, error)
}

// routeService serves weft.v1.Routes.
type routeService struct {
	routes Routes
	logger *slog.Logger
}

// List is the call of the same name.
func (s *routeService) List(context.Context, *connect.Request[weftv1.RoutesListRequest]) (*connect.Response[weftv1.RoutesListResponse], error) {
	return connect.NewResponse(&weftv1.RoutesListResponse{Routes: s.routes.Routes()}), nil
}

// maxExplained bounds the attributes of a message that is explained.
const maxExplained = 256

// Explain is the call of the same name.
func (s *routeService) Explain(ctx context.Context, r *connect.Request[weftv1.RoutesExplainRequest]) (*connect.Response[weftv1.RoutesExplainResponse], error) {
	m := r.Msg
	_, known := weftv1.Type_name[int32(m.GetType())]
	switch {
	case !known:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("type %d is none", m.GetType()))
	case m.GetPriority() > 7:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("priority %d: expected 0 to 7", m.GetPriority()))
	case len(m.GetAttributes()) > maxExplained:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d attributes, at most %d are allowed", len(m.GetAttributes()), maxExplained))
	}
	out, err := s.routes.Explain(m)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(out), nil
}
