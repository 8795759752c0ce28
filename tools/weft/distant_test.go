package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/remote/remotetest"
)

// TestRunFromAStore runs a configuration that is in etcd: a change there takes effect, a
// bad one does not, and without etcd weft starts with the last good one and says so.
func TestRunFromAStore(t *testing.T) {
	store := remotetest.StartEtcd(t, "")
	folder := t.TempDir()
	config := func(policy string) string {
		return `
listeners: [{name: a, address: "127.0.0.1:0", frame: line, filter: {default: allow}}]
plugins: {p: {file: "std:json-filter", on_failure: ` + policy + `}}
api: {address: ""}
`
	}
	address := "etcd://" + store.Address() + "/weft/node.yaml"
	run := []string{"-c", address, "--config-copy", folder}
	if got := weft(t, append([]string{"run"}, run...)...); got.code != exitConfig || !strings.Contains(got.errOut, "etcdctl put weft/node.yaml") {
		t.Errorf("without a key: code %d\n%s", got.code, got.errOut)
	}
	store.Put("weft/node.yaml", config("closed"))
	if got := weft(t, "config", "print", "-c", address, "--origins"); got.code != exitOK || !strings.Contains(got.out, "on_failure: closed # etcd://") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.errOut)
	}
	kept := func() string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(folder, "config-*"))
		if err != nil || len(files) > 1 {
			t.Fatal(files, err)
		}
		if len(files) == 0 {
			return ""
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	await := func(t *testing.T, r *running, what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: the log has\n%s", what, r.log)
			}
		}
	}
	t.Run("etcd answers", func(t *testing.T) {
		r := startWeft(t, run...)
		await(t, r, "the first is kept", func() bool { return kept() == config("closed") })
		store.Put("weft/node.yaml", config("open"))
		await(t, r, "the change is in effect, and kept", func() bool { return kept() == config("open") })
		store.Put("weft/node.yaml", config("opne"))
		await(t, r, "a bad one is refused", func() bool { return strings.Contains(r.log.String(), "did you mean") })
		if kept() != config("open") {
			t.Errorf("kept is what was refused")
		}
	})
	t.Run("etcd is gone", func(t *testing.T) {
		store.Fall()
		r := startWeft(t, run...)
		await(t, r, "it says so", func() bool {
			return strings.Contains(r.log.String(), "weft has started with the copy of an earlier one")
		})
		store.Put("weft/node.yaml", config("quarantine"))
		store.Rise()
		await(t, r, "what has changed meanwhile is in effect", func() bool { return kept() == config("quarantine") })
	})
}
