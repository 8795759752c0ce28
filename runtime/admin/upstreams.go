package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Upstreams are the pools that weft.v1.Upstreams shows. What is returned is the caller's.
type Upstreams interface {
	// List returns every pool, by name.
	List() []*weftv1.UpstreamPool
}

// ErrUnknownPool is the error where no pool has that name.
var ErrUnknownPool = errors.New("unknown pool")

// upstreamService serves weft.v1.Upstreams.
type upstreamService struct{ pools Upstreams }

// List is the call of the same name.
func (s *upstreamService) List(_ context.Context, r *connect.Request[weftv1.UpstreamsListRequest]) (*connect.Response[weftv1.UpstreamsListResponse], error) {
	names := r.Msg.GetNames()
	if n := len(names); n > maxNames {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d names, at most %d are allowed", n, maxNames))
	}
	all := s.pools.List()
	if len(names) == 0 {
		return connect.NewResponse(&weftv1.UpstreamsListResponse{Pools: all}), nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p *weftv1.UpstreamPool) bool { return p.GetName() == name }) {
			return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%w: %.80q", ErrUnknownPool, name))
		}
	}
	all = slices.DeleteFunc(all, func(p *weftv1.UpstreamPool) bool { return !slices.Contains(names, p.GetName()) })
	return connect.NewResponse(&weftv1.UpstreamsListResponse{Pools: all}), nil
}
