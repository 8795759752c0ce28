package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// fakePlugins has one plugin, and fails as it is told.
type fakePlugins struct {
	fail  error
	asked *weftv1.PluginsSwapRequest
}

func (f *fakePlugins) one(name string) (*weftv1.Plugin, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	return &weftv1.Plugin{Name: name, Live: &weftv1.Generation{Number: 7}}, nil
}

func (f *fakePlugins) List(_ context.Context, names []string) ([]*weftv1.Plugin, error) {
	p, err := f.one(strings.Join(names, "+"))
	return []*weftv1.Plugin{p}, err
}

func (f *fakePlugins) Swap(_ context.Context, r *weftv1.PluginsSwapRequest) (*weftv1.PluginsSwapResponse, error) {
	f.asked = r
	p, err := f.one(r.GetName())
	return &weftv1.PluginsSwapResponse{Plugin: p}, err
}

func (f *fakePlugins) SetWeight(_ context.Context, name string, weight int) (*weftv1.Plugin, error) {
	return f.one(fmt.Sprint(name, weight))
}
func (f *fakePlugins) Promote(_ context.Context, name string) (*weftv1.Plugin, error) {
	return f.one(name + " promoted")
}
func (f *fakePlugins) Rollback(_ context.Context, name string) (*weftv1.Plugin, error) {
	return f.one(name + " back")
}

func startPlugins(t *testing.T) (*fakePlugins, weftv1connect.PluginsClient) {
	t.Helper()
	f := &fakePlugins{}
	r := start(t, func(o *admin.Options) { o.Plugins = f })
	return f, weftv1connect.NewPluginsClient(client(t, false), r.url)
}

func TestPluginCalls(t *testing.T) {
	f, c := startPlugins(t)
	ctx := t.Context()
	list, err := c.List(ctx, connect.NewRequest(&weftv1.PluginsListRequest{Names: []string{"a", "b"}}))
	if err != nil || list.Msg.Plugins[0].Name != "a+b" || list.Msg.Plugins[0].Live.Number != 7 {
		t.Errorf("%v, %v", list, err)
	}
	swap, err := c.Swap(ctx, connect.NewRequest(&weftv1.PluginsSwapRequest{Name: "a", Wasm: []byte{1}, Mode: weftv1.RolloutMode_ROLLOUT_MODE_CANARY, Weight: 5, Manual: true}))
	if err != nil || swap.Msg.Plugin.Name != "a" || len(f.asked.Wasm) != 1 || f.asked.Weight != 5 || !f.asked.Manual {
		t.Errorf("%v, %v, %v", swap, err, f.asked)
	}
	weight, err := c.SetWeight(ctx, connect.NewRequest(&weftv1.PluginsSetWeightRequest{Name: "a", Weight: 30}))
	if err != nil || weight.Msg.Plugin.Name != "a30" {
		t.Errorf("%v, %v", weight, err)
	}
	promoted, err := c.Promote(ctx, connect.NewRequest(&weftv1.PluginsPromoteRequest{Name: "a"}))
	if err != nil || promoted.Msg.Plugin.Name != "a promoted" {
		t.Errorf("%v, %v", promoted, err)
	}
	back, err := c.Rollback(ctx, connect.NewRequest(&weftv1.PluginsRollbackRequest{Name: "a"}))
	if err != nil || back.Msg.Plugin.Name != "a back" {
		t.Errorf("%v, %v", back, err)
	}
}

func TestPluginErrorsHaveCodes(t *testing.T) {
	f, c := startPlugins(t)
	for _, e := range []struct {
		err  error
		code connect.Code
		text string
	}{
		{fmt.Errorf("%w: gest", admin.ErrUnknownPlugin), connect.CodeNotFound, "gest"},
		{fmt.Errorf("%w: it traps", admin.ErrRefused), connect.CodeFailedPrecondition, "it traps"},
		{fmt.Errorf("%w: over", admin.ErrDraining), connect.CodeUnavailable, "shutting down"},
		{errors.New("a secret"), connect.CodeInternal, "internal error"},
	} {
		f.fail = e.err
		ctx := t.Context()
		_, list := c.List(ctx, connect.NewRequest(&weftv1.PluginsListRequest{}))
		_, swap := c.Swap(ctx, connect.NewRequest(&weftv1.PluginsSwapRequest{Name: "a"}))
		_, weight := c.SetWeight(ctx, connect.NewRequest(&weftv1.PluginsSetWeightRequest{Name: "a"}))
		_, promote := c.Promote(ctx, connect.NewRequest(&weftv1.PluginsPromoteRequest{Name: "a"}))
		_, back := c.Rollback(ctx, connect.NewRequest(&weftv1.PluginsRollbackRequest{Name: "a"}))
		for call, err := range map[string]error{"List": list, "Swap": swap, "SetWeight": weight, "Promote": promote, "Rollback": back} {
			if connect.CodeOf(err) != e.code || !strings.Contains(err.Error(), e.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, expected %v with %q", call, err, e.code, e.text)
			}
		}
	}
}

func TestPluginRequestsAreChecked(t *testing.T) {
	f, c := startPlugins(t)
	for _, r := range []*weftv1.PluginsSwapRequest{
		{Name: "a", Mode: 9},
		{Name: "a", Mode: weftv1.RolloutMode_ROLLOUT_MODE_CANARY, Weight: 101},
		{Name: "a", Mode: weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE, Weight: 10},
	} {
		if _, err := c.Swap(t.Context(), connect.NewRequest(r)); connect.CodeOf(err) != connect.CodeInvalidArgument || f.asked != nil {
			t.Errorf("%v: %v", r, err)
		}
	}
	if _, err := c.SetWeight(t.Context(), connect.NewRequest(&weftv1.PluginsSetWeightRequest{Name: "a", Weight: 101})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
	if _, err := c.List(t.Context(), connect.NewRequest(&weftv1.PluginsListRequest{Names: make([]string, 2000)})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
	// Nothing is served where there are no plugins to change.
	none := weftv1connect.NewPluginsClient(client(t, false), start(t, nil).url)
	if _, err := none.List(t.Context(), connect.NewRequest(&weftv1.PluginsListRequest{})); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Error(err)
	}
}

func (f *fakePlugins) Logs(name string, after uint64, limit int) (*weftv1.PluginsLogsResponse, error) {
	_, err := f.one(name)
	return &weftv1.PluginsLogsResponse{Lines: []*weftv1.PluginLogLine{{Number: after + uint64(limit), Text: "a line"}}, Next: after + uint64(limit)}, err
}
