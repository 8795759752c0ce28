package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every kind of profile arrives as a file that go tool pprof reads; what cannot be is said.
func TestProfile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weft.yaml")
	if err := os.WriteFile(file, []byte("watch: false\nlisteners: [{name: lines, address: \"127.0.0.1:0\", frame: line}]\napi: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at["api"]
	for _, k := range profileKinds {
		out := filepath.Join(dir, k.word)
		args := []string{"profile", k.word, "--out", out, "--json", "--api", at}
		if k.takes {
			args = append(args, "--for", "50ms")
		}
		got := weft(t, args...)
		var said struct {
			Kind, File string
			Bytes      int
		}
		b, err := os.ReadFile(out)
		if jsonErr := json.Unmarshal([]byte(got.out), &said); got.code != 0 || err != nil || jsonErr != nil || said.Kind != k.word || said.File != out || said.Bytes != len(b) {
			t.Fatalf("%s: %d %s%s, %v", k.word, got.code, got.out, got.errOut, err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", k.word, err)
		}
		if text, err := io.ReadAll(z); err != nil || len(text) < 50 {
			t.Errorf("%s: %d bytes, %v", k.word, len(text), err)
		}
	}
	for want, args := range map[string][]string{
		"no kind of profile":  {"profile", "stacks"},
		"has no effect":       {"profile", "heap", "--for", "1s"},
		"at most 1m0s":        {"profile", "cpu", "--for", "2m", "--out", filepath.Join(dir, "x")},
		"is there already":    {"profile", "heap", "--out", filepath.Join(dir, "cpu")},
		"the kind of profile": {"profile"},
	} {
		if got := weft(t, append(args, "--api", at)...); got.code == 0 || !strings.Contains(got.errOut, want) {
			t.Errorf("%v: %d %s", args, got.code, got.errOut)
		}
	}
}
