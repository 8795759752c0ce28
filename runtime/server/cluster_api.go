package server

import (
	"cmp"
	"os"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// clusterNodes shows the nodes, as the API does.
type clusterNodes struct{ server *Server }

// Nodes implements admin.Cluster.
func (n clusterNodes) Nodes() *weftv1.ClusterNodesResponse {
	c := n.server.cluster
	host, _ := os.Hostname()
	r := &weftv1.ClusterNodesResponse{Self: &weftv1.Node{Name: n.server.node, Host: host, Synced: true}}
	if c == nil || c.link == nil {
		return r
	}
	r.Linked = true
	r.Self.Started = timestamppb.New(c.link.Life())
	r.Self.Interests = uint64(c.link.Stats().Told)
	for _, o := range c.link.Nodes() {
		counts := &c.nodes[o.Slot]
		node := &weftv1.Node{
			Name: o.Name, Host: o.Host, Started: timestamppb.New(o.Life), Joined: timestamppb.New(o.Joined), Heard: timestamppb.New(o.Heard),
			Interests: uint64(o.Interests), Synced: o.Synced, Leaving: o.Leaving,
			OutMessages: counts.sent.records.Load(), OutBytes: counts.sent.bytes.Load(),
			InMessages: counts.got.records.Load(), InBytes: counts.got.bytes.Load(),
		}
		for why := range counts.lost {
			node.LostMessages += counts.lost[why].Load()
		}
		r.Others = append(r.Others, node)
	}
	slices.SortFunc(r.Others, func(a, b *weftv1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return r
}
