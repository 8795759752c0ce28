package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Connections is who is connected, as weft.v1.Connections shows it. What is returned is
// the caller's.
type Connections interface {
	// List answers so many connections, in order, behind those that are left out.
	List(ctx context.Context, which ConnectionsWanted) (*weftv1.ConnectionsListResponse, error)
	// Get answers one; ErrGone if it has ended.
	Get(ctx context.Context, id string) (*weftv1.ConnectionsGetResponse, error)
	// Close ends those of these ids, and answers which had ended before.
	Close(ctx context.Context, ids []string) (gone []string, err error)
}

// ErrGone is the error about a connection that has ended.
var ErrGone = errors.New("there is no such connection (any more)")

// ConnectionsWanted chooses and orders connections. An empty field chooses all.
type ConnectionsWanted struct {
	Listener string
	Source   netip.Prefix
	Contains string // in lower case
	Order    weftv1.ConnectionOrder
	Size     int
	Skip     int
}

const (
	maxConnections     = 1000 // of one answer, and of one call of Close
	defaultConnections = 100
)

// connectionService serves weft.v1.Connections.
type connectionService struct {
	connections Connections
	logger      *slog.Logger
}

// List is the call of the same name.
func (s *connectionService) List(ctx context.Context, r *connect.Request[weftv1.ConnectionsListRequest]) (*connect.Response[weftv1.ConnectionsListResponse], error) {
	m := r.Msg
	source, err := parseSource(m.GetSource())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if m.GetSize() > maxConnections {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("size %d: expected 1 to %d; ask for the next ones by skip", m.GetSize(), maxConnections))
	}
	size := int(m.GetSize())
	if size == 0 {
		size = defaultConnections
	}
	list, err := s.connections.List(ctx, ConnectionsWanted{
		Listener: m.GetListener(), Source: source, Contains: strings.ToLower(m.GetContains()), Order: m.GetOrder(), Size: size, Skip: int(m.GetSkip()),
	})
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(list), nil
}

// Get is the call of the same name.
func (s *connectionService) Get(ctx context.Context, r *connect.Request[weftv1.ConnectionsGetRequest]) (*connect.Response[weftv1.ConnectionsGetResponse], error) {
	one, err := s.connections.Get(ctx, r.Msg.GetId())
	if err != nil {
		return nil, s.failed(ctx, r.Msg.GetId(), err)
	}
	return connect.NewResponse(one), nil
}

// Close is the call of the same name.
func (s *connectionService) Close(ctx context.Context, r *connect.Request[weftv1.ConnectionsCloseRequest]) (*connect.Response[weftv1.ConnectionsCloseResponse], error) {
	ids := r.Msg.GetIds()
	if n := len(ids); n == 0 || n > maxConnections {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d ids: expected 1 to %d", n, maxConnections))
	}
	gone, err := s.connections.Close(ctx, ids)
	if err != nil {
		return nil, s.failed(ctx, ids[0], err)
	}
	if len(ids) == 1 && len(gone) == 1 {
		return nil, s.failed(ctx, ids[0], ErrGone)
	}
	return connect.NewResponse(&weftv1.ConnectionsCloseResponse{Closed: uint32(len(ids) - len(gone)), Gone: gone}), nil
}

func (s *connectionService) failed(ctx context.Context, id string, err error) error {
	if errors.Is(err, ErrGone) {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("%.40q: %w", id, ErrGone))
	}
	return toConnect(ctx, s.logger, err)
}

// parseSource reads an address or a prefix; the zero Prefix for an empty text.
func parseSource(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("source %.80q: expected an address or a prefix, such as 192.0.2.7 or 2001:db8::/32", text)
	}
	return p.Masked(), nil
}
