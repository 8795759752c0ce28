package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi/sdk"
)

// files writes files below a new folder.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range texts {
		to := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const manifestText = `{"name": "x", "version": "1.0.0"}`

func TestOpen(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Plugin
		says  string
	}{
		"crate":          {map[string]string{"Cargo.toml": "", "src/lib.rs": "", "manifest.json": manifestText}, Plugin{Language: Rust, Source: "src/lib.rs", Cargo: true}, ""},
		"one Rust file":  {map[string]string{"plugin.rs": "", "manifest.json": manifestText}, Plugin{Language: Rust, Source: "plugin.rs"}, ""},
		"AssemblyScript": {map[string]string{"assembly/index.ts": "", "manifest.json": manifestText}, Plugin{Language: AssemblyScript, Source: "assembly/index.ts"}, ""},
		"Go":             {map[string]string{"main.go": "", "go.mod": "", "manifest.json": manifestText}, Plugin{Language: Go, Source: "main.go"}, ""},
		"two":            {map[string]string{"main.go": "", "plugin.ts": "", "manifest.json": manifestText}, Plugin{}, "two sources, plugin.ts and main.go"},
		"none":           {map[string]string{"manifest.json": manifestText}, Plugin{}, "none of src/lib.rs, plugin.rs"},
		"no manifest":    {map[string]string{"main.go": ""}, Plugin{}, "no manifest.json"},
	} {
		p, err := Open(files(t, c.files))
		switch {
		case c.says != "":
			if !errors.Is(err, ErrProject) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", name, err, c.says)
			}
		case err != nil || p.Language != c.want.Language || p.Source != c.want.Source || p.Cargo != c.want.Cargo:
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestOtherCrates(t *testing.T) {
	for text, want := range map[string]string{
		"[dependencies]\nweft = { path = \"weft-sdk\" }\n# serde = \"1\"\n[profile.release]\nlto = \"fat\"\n": "",
		"[package]\nname = \"x\"\n[dependencies]\nweft = \"1\"\nserde = \"1\"\n":                              "serde",
		"[dependencies.weft]\npath = \"weft-sdk\"\n":                                                          "",
		"[dependencies.serde]\nversion = \"1\"\n":                                                             "serde",
	} {
		if got := otherCrates(files(t, map[string]string{"Cargo.toml": text})); got != want {
			t.Errorf("%q needs %q, want %q", text, got, want)
		}
	}
}

func TestArtifact(t *testing.T) {
	said := `{"reason":"compiler-artifact","filenames":["/t/libweft.rlib"]}
not JSON
{"reason":"compiler-artifact","filenames":["/t/libx.rlib","/t/x.wasm"]}
{"reason":"build-finished","success":true}
`
	if got, err := artifact([]byte(said)); err != nil || got != "/t/x.wasm" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := artifact(nil); !errors.Is(err, ErrProject) || !strings.Contains(err.Error(), "crate-type") {
		t.Errorf("nothing made: %v", err)
	}
}

// TestWithoutCargo builds a crate with a rustc that has no cargo beside it.
func TestWithoutCargo(t *testing.T) {
	const system = "/usr/bin/rustc"
	if !hasTarget(t.Context(), system) {
		t.Skipf("LEFT OUT: %s with the target %s", system, rustTarget)
	}
	crate := map[string]string{
		"Cargo.toml": "[dependencies]\nweft = { path = \"weft-sdk\" }\n", "manifest.json": manifestText,
		"src/lib.rs": "use weft::{Message, Plugin, Verdict};\nstruct P;\nimpl Plugin for P {\n fn init(_: &str) -> Result<Self, String> { Ok(P) }\n fn message(&mut self, _: &mut Message) -> Verdict { Verdict::Continue }\n}\nweft::plugin!(P);\n",
	}
	all, err := sdk.Files(sdk.Rust)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		crate["weft-sdk/"+name] = string(text)
	}
	folder := files(t, crate)
	alone := filepath.Join(t.TempDir(), "rustc")
	if err := os.WriteFile(alone, []byte("#!/bin/sh\nexec "+system+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RUSTC", alone)
	build := func() ([]byte, error) {
		p, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		b := New(Config{Root: folder, Temp: t.TempDir(), SDK: func(Language) (string, error) { return filepath.Join(folder, "weft-sdk"), nil }})
		return b.Build(t.Context(), p)
	}
	wasm, err := build()
	var missing *MissingError
	if errors.As(err, &missing) {
		t.Skipf("LEFT OUT: %v", err) // the linker
	}
	if err != nil || !strings.Contains(string(wasm), "weft.manifest") || strings.Contains(string(wasm), folder) {
		t.Errorf("%d bytes, %v", len(wasm), err)
	}
	if err := os.WriteFile(filepath.Join(folder, "Cargo.toml"), []byte("[dependencies]\nweft = \"1\"\nserde = \"1\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := build(); !errors.As(err, &missing) || missing.What != "cargo" || !strings.Contains(missing.Install, "serde") {
		t.Errorf("another crate without cargo: %v", err)
	}
}
