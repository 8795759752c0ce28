package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// write makes files below a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const manifest = `{"name": "x", "version": "1.0.0"}`

func TestFind(t *testing.T) {
	root := write(t, map[string]string{
		"plugins/std/a/plugin.rs":                "",
		"plugins/std/a/manifest.json":            manifest,
		"plugins/std/b/plugin.ts":                "",
		"plugins/std/b/manifest.json":            manifest,
		"examples/e/plugin/main.go":              "",
		"examples/e/plugin/manifest.json":        manifest,
		"examples/e/program/main.go":             "a program, no guest",
		"abi/vectors/guests/rust/plugin.rs":      "",
		"abi/vectors/guests/rust/manifest.json":  manifest,
		"plugins/std/b/node_modules/c/plugin.ts": "",
	})
	guests, err := find(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range guests {
		got = append(got, string(g.language)+" "+g.target)
	}
	want := []string{
		"rust plugins/std/a/a.wasm", "assemblyscript plugins/std/b/b.wasm",
		"go examples/e/plugin/plugin.wasm", "rust abi/vectors/v1.1/rust.wasm",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
	if one, err := find(root, []string{"plugins/std/b/"}); err != nil || len(one) != 1 || one[0].folder != "plugins/std/b" {
		t.Errorf("one folder: %v, %v", one, err)
	}
	two := write(t, map[string]string{
		"plugins/std/a/plugin.rs": "", "plugins/std/a/plugin.ts": "", "plugins/std/a/manifest.json": manifest,
	})
	if _, err := find(two, nil); err == nil || !strings.Contains(err.Error(), "two sources") {
		t.Errorf("two sources in one folder: %v", err)
	}
	if _, err := find(root, []string{"examples/e/program"}); err == nil || !strings.Contains(err.Error(), "manifest.json") {
		t.Errorf("a folder that is no guest: %v", err)
	}
}

func TestMissingToolchain(t *testing.T) {
	t.Setenv("RUSTC", filepath.Join(t.TempDir(), "rustc"))
	root := write(t, map[string]string{
		"plugins/std/a/plugin.rs": "", "plugins/std/a/manifest.json": manifest,
		"plugins/std/b/plugin.ts": "", "plugins/std/b/manifest.json": manifest,
	})
	var out strings.Builder
	if err := run(t.Context(), options{root: root}, &out); err != nil {
		t.Errorf("not strict: %v", err)
	}
	err := run(t.Context(), options{root: root, strict: true}, io.Discard)
	if err == nil {
		t.Fatal("strict: no error")
	}
	compiler := "npm ci --prefix abi/sdk/assemblyscript"
	if _, err := exec.LookPath("node"); err != nil {
		compiler = "apt-get install -y nodejs npm"
	}
	for _, hint := range []string{"apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32", compiler} {
		if !strings.Contains(out.String(), hint) || !strings.Contains(err.Error(), hint) {
			t.Errorf("nobody says %q: %s, %v", hint, out.String(), err)
		}
	}
}

func TestKeep(t *testing.T) {
	root := t.TempDir()
	g := guest{target: "plugins/std/a/a.wasm"}
	if err := keep(root, g, []byte("one"), true, io.Discard); !errors.Is(err, errDiffers) {
		t.Errorf("nothing committed: %v", err)
	}
	if err := keep(root, g, []byte("one"), false, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := keep(root, g, []byte("one"), true, io.Discard); err != nil {
		t.Errorf("the same: %v", err)
	}
	if err := keep(root, g, []byte("two"), true, io.Discard); !errors.Is(err, errDiffers) {
		t.Errorf("another: %v", err)
	}
}
