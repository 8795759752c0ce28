package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Plugins is the part of weft whose plugins the API shows and changes. Errors wrap
// those of this package, or the context's. What is returned is the caller's.
type Plugins interface {
	// List returns the plugins of these names, or all, by name.
	List(ctx context.Context, names []string) ([]*weftv1.Plugin, error)
	// Swap brings a new generation. The request is checked as to its shape.
	Swap(ctx context.Context, r *weftv1.PluginsSwapRequest) (*weftv1.PluginsSwapResponse, error)
	// SetWeight changes the weight of the generation on trial.
	SetWeight(ctx context.Context, name string, weight int) (*weftv1.Plugin, error)
	// Promote puts the generation on trial in the place of the running one.
	Promote(ctx context.Context, name string) (*weftv1.Plugin, error)
	// Rollback ends a trial, or brings the former generation back.
	Rollback(ctx context.Context, name string) (*weftv1.Plugin, error)
	// Logs returns at most limit lines that a plugin has logged behind a number.
	Logs(name string, after uint64, limit int) (*weftv1.PluginsLogsResponse, error)
}

// The errors of Plugins. Each is wrapped with what exactly is wrong; the text goes
// to the client.
var (
	// ErrUnknownPlugin: no plugin has that name.
	ErrUnknownPlugin = errors.New("unknown plugin")
	// ErrRefused: the plugin or its state does not allow it; nothing has changed.
	ErrRefused = errors.New("refused")
)

// maxNames bounds the names of a List.
const maxNames = 1024

// pluginService serves weft.v1.Plugins.
type pluginService struct {
	plugins Plugins
	logger  *slog.Logger
}

// List is the call of the same name.
func (s *pluginService) List(ctx context.Context, r *connect.Request[weftv1.PluginsListRequest]) (*connect.Response[weftv1.PluginsListResponse], error) {
	if n := len(r.Msg.GetNames()); n > maxNames {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d names, at most %d are allowed", n, maxNames))
	}
	list, err := s.plugins.List(ctx, r.Msg.GetNames())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.PluginsListResponse{Plugins: list}), nil
}

// Swap is the call of the same name.
func (s *pluginService) Swap(ctx context.Context, r *connect.Request[weftv1.PluginsSwapRequest]) (*connect.Response[weftv1.PluginsSwapResponse], error) {
	_, known := weftv1.RolloutMode_name[int32(r.Msg.GetMode())]
	atOnce := r.Msg.GetMode() == weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE
	switch {
	case !known:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("mode %d, expected at-once, canary or shadow", r.Msg.GetMode()))
	case r.Msg.GetWeight() > 100:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("weight %d, expected 1 to 100", r.Msg.GetWeight()))
	case atOnce && r.Msg.GetWeight() > 0:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("a weight is for a canary or a shadow, the mode is at-once"))
	}
	response, err := s.plugins.Swap(ctx, r.Msg)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(response), nil
}

// SetWeight is the call of the same name.
func (s *pluginService) SetWeight(ctx context.Context, r *connect.Request[weftv1.PluginsSetWeightRequest]) (*connect.Response[weftv1.PluginsSetWeightResponse], error) {
	if r.Msg.GetWeight() > 100 {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("weight %d, expected 0 to 100", r.Msg.GetWeight()))
	}
	p, err := s.plugins.SetWeight(ctx, r.Msg.GetName(), int(r.Msg.GetWeight()))
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.PluginsSetWeightResponse{Plugin: p}), nil
}

// Promote is the call of the same name.
func (s *pluginService) Promote(ctx context.Context, r *connect.Request[weftv1.PluginsPromoteRequest]) (*connect.Response[weftv1.PluginsPromoteResponse], error) {
	p, err := s.plugins.Promote(ctx, r.Msg.GetName())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.PluginsPromoteResponse{Plugin: p}), nil
}

// Rollback is the call of the same name.
func (s *pluginService) Rollback(ctx context.Context, r *connect.Request[weftv1.PluginsRollbackRequest]) (*connect.Response[weftv1.PluginsRollbackResponse], error) {
	p, err := s.plugins.Rollback(ctx, r.Msg.GetName())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.PluginsRollbackResponse{Plugin: p}), nil
}

// The lines of one answer.
const (
	defaultLines = 100
	maxLines     = 1000
)

// Logs is the call of the same name.
func (s *pluginService) Logs(ctx context.Context, r *connect.Request[weftv1.PluginsLogsRequest]) (*connect.Response[weftv1.PluginsLogsResponse], error) {
	limit, err := between("limit", r.Msg.GetLimit(), defaultLines, maxLines)
	if err != nil {
		return nil, err
	}
	lines, err := s.plugins.Logs(r.Msg.GetName(), r.Msg.GetAfter(), limit)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(lines), nil
}
