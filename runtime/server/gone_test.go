package server_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/server"
)

const withToken = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0", tokens: {ops: {role: operate, file: ops.token}}}
`

// What is wrong with files that weft has read is more than a line of the log: the overview,
// the status and the metrics say it, and that it is over.
func TestFilesThatWentBad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		err := os.WriteFile(filepath.Join(dir, name+".new"), []byte(text), 0o600)
		if err == nil {
			err = os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("weft.yaml", withToken)
	write("ops.token", "the-token-of-operators")
	read := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: filepath.Join(dir, "weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: textLogger(log), Reload: read})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	token := "the-token-of-operators"
	verdict := func() *weftv1.Verdict {
		t.Helper()
		q := connect.NewRequest(&weftv1.OverviewGetRequest{})
		q.Header().Set("Authorization", "Bearer "+token)
		r, err := weftv1connect.NewOverviewClient(http.DefaultClient, f.url()).Get(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return r.Msg.GetSnapshot().GetVerdict()
	}
	says := func(kind, text string, good, refused float64) {
		t.Helper()
		f.await("weft_config_good", good)
		f.await("weft_secrets_refused", refused)
		status, v := f.ConfigStatus(), verdict()
		if status.Good != (good == 1) || len(status.SecretFaults) != int(refused) {
			t.Errorf("the status: %+v", status)
		}
		if kind == "" {
			for _, found := range v.GetFindings() {
				if k := found.GetKind(); k == "config" || k == "secrets" {
					t.Errorf("it is in order again, and the overview says %v", found)
				}
			}
			return
		}
		if len(v.GetFindings()) == 0 || v.GetFindings()[0].GetKind() != kind || v.GetLevel() != weftv1.Level_LEVEL_BAD || !strings.Contains(v.GetSentence(), text) {
			t.Errorf("no finding %s with %q: %v", kind, text, v)
		}
	}
	says("", "", 1, 0)
	if err := os.Rename(filepath.Join(dir, "weft.yaml"), filepath.Join(dir, "away.yaml")); err != nil {
		t.Fatal(err)
	}
	says("config", "cannot be read any more", 0, 0)
	if err := os.Mkdir(filepath.Join(dir, "weft.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	says("config", "it is a folder now", 0, 0)
	if err := os.Remove(filepath.Join(dir, "weft.yaml")); err != nil {
		t.Fatal(err)
	}
	write("weft.yaml", withToken)
	says("", "", 1, 0)

	write("ops.token", "short")
	says("secrets", "the token is too short", 1, 1)
	if strings.Contains(verdict().String(), `"short"`) {
		t.Errorf("the token is shown: %v", verdict())
	}
	if _, err := f.ReloadConfig(t.Context(), "test"); err != nil || len(f.ConfigStatus().SecretFaults) != 1 {
		t.Errorf("read again: %v, %+v", err, f.ConfigStatus())
	}
	write("ops.token", "another-token-of-operators")
	f.await("weft_secrets_refused", 0)
	token = "another-token-of-operators"
	says("", "", 1, 0)
}
