package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Where the API knows tokens, commands show one; another one is taken up as soon as it
// stands in the file.
func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string { // at once: a file may be read at any time
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ops := write("ops.token", "the-token-of-operators\n")
	reader := write("reader.token", "the-token-of-readers\n")
	t.Setenv("READERS_TOKEN", "the-token-of-readers")
	at := startWeft(t, "-c", write("weft.yaml", `
watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0", tokens: {ops: {role: operate, file: ops.token}, readers: {role: read, env: READERS_TOKEN}}}
`)).at["api"]

	if got := weft(t, "connection", "list", "--api", at); got.code != exitAPI || !strings.Contains(got.errOut, "--token-file") {
		t.Errorf("without a token: %+v", got)
	}
	if got := weft(t, "connection", "list", "--api", at, "--token-file", filepath.Join(dir, "none")); got.code != exitUsage {
		t.Errorf("with a file that is not there: %+v", got)
	}
	if got := weft(t, "connection", "list", "--api", at, "--token-file", reader); got.code != 0 {
		t.Errorf("as a reader: %+v", got)
	}
	if got := weft(t, "publish", "a", "b", "--api", at, "--token-file", reader); got.code != exitAPI || !strings.Contains(got.errOut, "role read") {
		t.Errorf("a reader publishes: %+v", got)
	}
	if got := weft(t, "publish", "a", "b", "--api", at, "--token-file", ops); got.code == exitAPI {
		t.Errorf("an operator publishes: %+v", got)
	}
	write("ops.token", "short")
	for end := time.Now().Add(30 * time.Second); weft(t, "config", "show", "--api", at, "--token-file", reader).code == exitOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("that a token is refused is not said")
		}
	}
	for _, args := range [][]string{{"config", "show"}, {"config", "reload"}, {"config", "reload", "--json"}, {"top", "--once"}} {
		old := write("old.token", "the-token-of-operators") // it holds still
		got := weft(t, append(args, "--api", at, "--token-file", old)...)
		if all := got.out + got.errOut; !strings.Contains(all, "ops") || !strings.Contains(all, "the token is too short") {
			t.Errorf("weft %v: %+v", args, got)
		}
		if got.code != exitConfig && args[0] == "config" {
			t.Errorf("weft %v: exit code %d", args, got.code)
		}
	}
	next := write("next.token", "another-token-of-operators")
	write("ops.token", "another-token-of-operators")
	for end := time.Now().Add(30 * time.Second); weft(t, "connection", "list", "--api", at, "--token-file", next).code != 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new token is not taken up")
		}
	}
}
