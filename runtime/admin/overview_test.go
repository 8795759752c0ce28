package admin_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// fakeOverview shows a number of snapshots and notes how it was asked.
type fakeOverview struct {
	interval atomic.Int64
	closed   chan struct{}
	full     bool
}

type fakeWatching struct {
	f     *fakeOverview
	shown int
}

func (f *fakeOverview) Look(context.Context) (*weftv1.Snapshot, error) {
	return &weftv1.Snapshot{Verdict: &weftv1.Verdict{Sentence: "All is well."}}, nil
}

func (f *fakeOverview) Watch(interval time.Duration) (admin.Watching, error) {
	if f.full {
		return nil, admin.ErrBusy
	}
	f.interval.Store(int64(interval))
	return &fakeWatching{f: f}, nil
}

func (w *fakeWatching) Next(ctx context.Context) (*weftv1.Snapshot, error) {
	if w.shown++; w.shown <= 2 {
		return &weftv1.Snapshot{Verdict: &weftv1.Verdict{Sentence: fmt.Sprint(w.shown)}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (w *fakeWatching) Close() { close(w.f.closed) }

func TestOverview(t *testing.T) {
	f := &fakeOverview{closed: make(chan struct{})}
	r := start(t, func(o *admin.Options) { o.Overview = f })
	c := weftv1connect.NewOverviewClient(client(t, false), r.url)
	if got, err := c.Get(t.Context(), connect.NewRequest(&weftv1.OverviewGetRequest{})); err != nil || got.Msg.GetSnapshot().GetVerdict().GetSentence() == "" {
		t.Errorf("%v %v", got, err)
	}
	watch := func(interval *durationpb.Duration) (*connect.ServerStreamForClient[weftv1.OverviewWatchResponse], context.CancelFunc) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.Watch(ctx, connect.NewRequest(&weftv1.OverviewWatchRequest{Interval: interval}))
		if err != nil {
			t.Fatal(err)
		}
		return stream, cancel
	}
	for _, bad := range []*durationpb.Duration{durationpb.New(0), durationpb.New(249 * time.Millisecond), durationpb.New(61 * time.Second), durationpb.New(-time.Second), {Seconds: 1, Nanos: -1}} {
		stream, cancel := watch(bad)
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeInvalidArgument {
			t.Errorf("every %v: %v", bad, stream.Err())
		}
		cancel()
	}
	stream, cancel := watch(durationpb.New(600 * time.Millisecond))
	for n := 1; n <= 2; n++ {
		if !stream.Receive() || stream.Msg().GetSnapshot().GetVerdict().GetSentence() != fmt.Sprint(n) {
			t.Fatalf("%d: %v %v", n, stream.Msg(), stream.Err())
		}
	}
	if got := time.Duration(f.interval.Load()); got != 750*time.Millisecond {
		t.Errorf("every 600ms became every %s", got)
	}
	cancel()
	select {
	case <-f.closed:
	case <-time.After(time.Minute):
		t.Error("who has gone still watches")
	}
	f.full = true
	stream, cancel = watch(nil)
	defer cancel()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeResourceExhausted {
		t.Errorf("one too many: %v", stream.Err())
	}
}

// A module that is sent is bounded in size, and in the time that it may take; nothing of it
// is loaded then.
func TestUploadsAreBounded(t *testing.T) {
	plugins := &fakePlugins{}
	r := start(t, func(o *admin.Options) { o.Plugins = plugins })
	hasty := start(t, func(o *admin.Options) { o.Plugins, o.BodyTimeout = plugins, 200*time.Millisecond })
	c := weftv1connect.NewPluginsClient(client(t, false), r.url)
	if _, err := c.Swap(t.Context(), connect.NewRequest(&weftv1.PluginsSwapRequest{Name: "a", Wasm: make([]byte, 16<<20)})); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("too large: %v", err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", hasty.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\nContent-Length: 1000000\r\n\r\nabc", weftv1connect.PluginsSwapProcedure)
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 && string(answer[9:12]) == "200" {
		t.Errorf("too slow: %v, %s", err, answer)
	}
	if plugins.asked != nil {
		t.Errorf("it was loaded: %v", plugins.asked.GetName())
	}
	if _, err := c.Swap(t.Context(), connect.NewRequest(&weftv1.PluginsSwapRequest{Name: "a", Wasm: make([]byte, 1<<20)})); err != nil || len(plugins.asked.GetWasm()) != 1<<20 {
		t.Errorf("one that fits: %v", err)
	}
}

// The lines of a plugin's log are bounded.
func TestPluginLogs(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.Plugins = &fakePlugins{} })
	c := weftv1connect.NewPluginsClient(client(t, false), r.url)
	got, err := c.Logs(t.Context(), connect.NewRequest(&weftv1.PluginsLogsRequest{Name: "a", After: 7}))
	if err != nil || got.Msg.GetNext() != 107 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := c.Logs(t.Context(), connect.NewRequest(&weftv1.PluginsLogsRequest{Name: "a", Limit: 1001})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("too many: %v", err)
	}
}

// Who asks is told who that is here, so that a page can leave out what it may not do.
func TestOverviewTellsTheCaller(t *testing.T) {
	r := guarded(t, func(o *admin.Options) { o.Overview = &fakeOverview{closed: make(chan struct{})} })
	c := weftv1connect.NewOverviewClient(client(t, false), r.url)
	for _, role := range []string{"read", "operate"} {
		get := connect.NewRequest(&weftv1.OverviewGetRequest{})
		get.Header().Set("Authorization", "Bearer "+tokens[role])
		got, err := c.Get(t.Context(), get)
		if err != nil || got.Msg.GetCaller().GetRole() != role || got.Msg.GetCaller().GetName() != "token "+role {
			t.Errorf("%s is told %v, %v", role, got.Msg.GetCaller(), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch := connect.NewRequest(&weftv1.OverviewWatchRequest{})
	watch.Header().Set("Authorization", "Bearer "+tokens["read"])
	stream, err := c.Watch(ctx, watch)
	if err != nil || !stream.Receive() || stream.Msg().GetCaller().GetRole() != "read" {
		t.Errorf("who watches is told %v, %v", stream.Msg().GetCaller(), err)
	}
	cancel()
	_ = stream.Close()
}
