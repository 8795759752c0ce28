package admin

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/backbone"
)

// Backbone is what weft.v1.Backbone shows.
type Backbone interface {
	// Status is how the backbone is; false if there is none. When the servers do
	// not answer it is what was last known, and the error.
	Status(context.Context) (backbone.Status, bool, error)
}

type backboneService struct {
	backbone Backbone
	logger   *slog.Logger
}

// backboneWithin bounds how long the servers are asked.
const backboneWithin = 3 * time.Second

var errNoBackbone = connect.NewError(connect.CodeFailedPrecondition, errors.New("this weft has no backbone: nothing in its configuration needs one"))

// Get is the call of the same name.
func (s *backboneService) Get(ctx context.Context, _ *connect.Request[weftv1.BackboneGetRequest]) (*connect.Response[weftv1.BackboneGetResponse], error) {
	ctx, cancel := context.WithTimeout(ctx, backboneWithin)
	defer cancel()
	status, there, err := s.backbone.Status(ctx)
	if !there {
		return nil, errNoBackbone
	}
	state, disk := &status.State, &status.Disk
	return connect.NewResponse(&weftv1.BackboneGetResponse{
		Node: status.Node, Embedded: status.Embedded, Connected: state.Connected, Since: timestamppb.New(state.Since), Reconnects: state.Reconnects, Fault: state.Fault,
		Server: state.Server, Url: state.URL, Cluster: state.Cluster, Version: state.Version, Rtt: durationpb.New(state.RTT),
		Sync: status.Sync, Folder: status.Dir, Free: status.Free, Filesystem: disk.Filesystem, FsyncMedian: durationpb.New(disk.Median), FsyncP99: durationpb.New(disk.P99),
		Used: status.Used, Limit: status.Limit, Reserved: status.Reserved, Memory: status.Memory, MemoryLimit: status.MemoryLimit,
		Streams: int32(status.Streams), Consumers: int32(status.Consumers), Payload: status.Payload, Errors: state.Errors, Time: timestamppb.New(status.At), Stale: err != nil,
	}), nil
}
