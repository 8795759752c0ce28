package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/server"
)

// TestBackboneOpens: a server whose configuration needs a backbone has it, in its
// folder, and gives everything back.
func TestBackboneOpens(t *testing.T) {
	dir := t.TempDir()
	f := start(t, "auto", "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\nbackbone: {name: one, data: "+dir+"}\n")
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		t.Error(err)
	}
	f.end()
}

const spineListener = "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\napi: {address: 127.0.0.1:0}\n"

// apiURL is where the fixture's API is.
func apiURL(t *testing.T, f *fixture) string {
	t.Helper()
	for _, a := range f.Addresses() {
		if a.Name == "api" {
			return "http://" + a.Addr.String()
		}
	}
	t.Fatal("no API")
	return ""
}

// TestBackboneIsShown: by the API and among the metrics; without one neither.
func TestBackboneIsShown(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	f := start(t, "auto", spineListener+"backbone: {name: one, data: "+dir+", size: 64MiB, sync: interval, sync_every: 2s}\n")
	url := apiURL(t, f)
	r, err := weftv1connect.NewBackboneClient(http.DefaultClient, url).Get(t.Context(), connect.NewRequest(&weftv1.BackboneGetRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Msg; m.Node != "one" || !m.Embedded || !m.Connected || m.Folder != dir || m.Limit != 64<<20 || m.Sync != "every 2s" || m.FsyncP99.AsDuration() == 0 || m.Stale || m.Fault != "" {
		t.Errorf("%+v", m)
	}
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"weft_backbone_connected 1", "weft_backbone_faulty 0", "weft_backbone_store_limit_bytes 6.7108864e+07", "weft_backbone_fsync_p99_seconds ", "weft_backbone_streams "} {
		if !strings.Contains(string(text), "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	f.end()
	g := start(t, "auto", spineListener)
	_, err = weftv1connect.NewBackboneClient(http.DefaultClient, apiURL(t, g)).Get(t.Context(), connect.NewRequest(&weftv1.BackboneGetRequest{}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("%v, want FAILED_PRECONDITION", err)
	}
}

// TestBackboneThatCannotBeOpened: the server does not start, says why, and leaves
// nothing behind.
func TestBackboneThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	yaml := spineListener + "backbone: {name: one, data: " + dir + "}\n"
	start(t, "auto", yaml)
	_, err := server.New(t.Context(), server.Options{Config: load(t, yaml), Logger: logger(t)})
	if !errors.Is(err, backbone.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want ErrInUse that names %s", err, dir)
	}
	folder, err := server.CheckBackbone(load(t, yaml))
	if folder != dir || !errors.Is(err, backbone.ErrInUse) {
		t.Errorf("%s, %v", folder, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = server.New(ctx, server.Options{Config: load(t, spineListener+"backbone: {url: [\"nats://127.0.0.1:1\"], data: "+t.TempDir()+"}\n"), Logger: logger(t)})
	if !errors.Is(err, backbone.ErrAway) || !strings.Contains(err.Error(), "nats://127.0.0.1:1") {
		t.Errorf("%v, want ErrAway that names the URL", err)
	}
}
