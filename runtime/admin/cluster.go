package admin

import (
	"context"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Cluster is the part of weft that knows other nodes. What it returns is the caller's.
type Cluster interface {
	// Nodes returns this node and the others, by name.
	Nodes() *weftv1.ClusterNodesResponse
}

// clusterService serves weft.v1.Cluster.
type clusterService struct{ cluster Cluster }

// Nodes is the call of the same name.
func (s *clusterService) Nodes(context.Context, *connect.Request[weftv1.ClusterNodesRequest]) (*connect.Response[weftv1.ClusterNodesResponse], error) {
	return connect.NewResponse(s.cluster.Nodes()), nil
}
