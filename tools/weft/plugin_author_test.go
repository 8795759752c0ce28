package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/cases"
)

// toolchainsRequired makes a missing toolchain a failure: .ci/run sets it.
const toolchainsRequired = "WEFT_REQUIRE_TOOLCHAINS"

// missing leaves a test out because of a toolchain that is not there, aloud.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv(toolchainsRequired) == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("LEFT OUT: %s", what)
}

// project makes one in a folder of its own, ready to be built.
func project(t *testing.T, lang string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "limiter")
	r := weft(t, "plugin", "new", "limiter", "--lang", lang, "--dir", folder)
	if r.code != exitOK || !strings.Contains(r.errOut, "weft plugin build "+folder) {
		t.Fatalf("weft plugin new: %+v", r)
	}
	if lang == "assemblyscript" {
		modules, err := filepath.Abs("../../abi/sdk/assemblyscript/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(modules); err != nil {
			missing(t, "AssemblyScript: npm ci --prefix abi/sdk/assemblyscript")
		}
		if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// edit changes a file of a project.
func edit(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q:\n%s", file, from, text)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), from, to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestAuthor is what an author does, in each language: new, build, test; a case
// that fails; a source that does not compile.
func TestAuthor(t *testing.T) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			folder := project(t, l.name)
			r := weft(t, "plugin", "build", folder, "--json")
			if r.code == exitRuntime && strings.Contains(r.errOut, "is missing") {
				missing(t, r.errOut)
			}
			var b built
			if r.code != exitOK || json.Unmarshal([]byte(r.out), &b) != nil || b.Size == 0 || len(b.SHA256) != 64 || b.File != filepath.Join(folder, "limiter.wasm") {
				t.Fatalf("weft plugin build: %+v", r)
			}
			if r = weft(t, "plugin", "test", folder); r.code != exitOK || !strings.Contains(r.out, "all 4 cases passed") {
				t.Fatalf("weft plugin test: %+v", r)
			}
			if r := weft(t, "check", "-c", filepath.Join(folder, "weft.yaml"), "--no-addresses"); r.code != exitOK {
				t.Errorf("the project's configuration: %+v", r)
			}
			first := b.SHA256
			if r = weft(t, "plugin", "build", folder, "--json"); json.Unmarshal([]byte(r.out), &b) != nil || b.SHA256 != first {
				t.Errorf("another module of the same source: %+v", r)
			}

			edit(t, filepath.Join(folder, "cases/readings.yaml"), "alarm: high}", "alarm: low}")
			if r = weft(t, "plugin", "test", folder); r.code != exitFailed || !strings.Contains(r.out, "attributes.alarm") || !strings.Contains(r.out, "1 of 4 cases failed") {
				t.Errorf("a case that must fail: %+v", r)
			}
			var report cases.Report
			if r = weft(t, "plugin", "test", folder, "--json", "--run", "marked"); r.code != exitFailed || json.Unmarshal([]byte(r.out), &report) != nil || report.Failed != 1 || report.Passed != 0 {
				t.Errorf("one case as JSON: %+v", r)
			}

			edit(t, filepath.Join(folder, l.source), "no temperature", "no \" temperature")
			if r = weft(t, "plugin", "build", folder); r.code != exitConfig || !strings.Contains(r.errOut, filepath.Base(l.source)) {
				t.Errorf("a source that does not compile: %+v", r)
			}
			if _, err := os.Stat(filepath.Join(folder, "limiter.wasm")); err != nil {
				t.Errorf("the former module is gone: %v", err)
			}
		})
	}
}

func TestNewProject(t *testing.T) {
	for _, l := range languages {
		folder := project(t, l.name)
		err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if d != nil && (d.Name() == "node_modules" || d.Name() == sdkFolder) {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || d.Type()&os.ModeSymlink != 0 {
				return err
			}
			text, err := os.ReadFile(path)
			for _, bad := range []string{"{{", ".tmpl", "\n\n\n", "Copyright"} {
				if strings.Contains(string(text), bad) {
					t.Errorf("%s: %s has %q:\n%s", l.name, path, bad, text)
				}
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		for _, file := range []string{l.source, ".gitignore", "README.md", "manifest.json", "weft.yaml", "weft-sdk/LICENSE", "weft-sdk/NOTICE"} {
			if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
				t.Errorf("%s: %v", l.name, err)
			}
		}
		if r := weft(t, "plugin", "new", "limiter", "--lang", l.name, "--dir", folder); r.code != exitUsage || !strings.Contains(r.errOut, "not empty") {
			t.Errorf("into a folder that is not empty: %+v", r)
		}
	}
}

func TestUpdateSDK(t *testing.T) {
	folder := project(t, "rust")
	lib := filepath.Join(folder, sdkFolder, "src/lib.rs")
	want, err := os.ReadFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(folder, sdkFolder, "gone.rs")
	for _, file := range []string{lib, gone} {
		if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r := weft(t, "plugin", "new", "--update-sdk", folder); r.code != exitOK || !strings.Contains(r.out, sdkFolder) {
		t.Fatalf("%+v", r)
	}
	if have, err := os.ReadFile(lib); err != nil || string(have) != string(want) {
		t.Errorf("the SDK is not the one at hand: %v", err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("what the former SDK had is left: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(folder, sdkFolder+".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := os.Remove(filepath.Join(folder, sdkFolder, "NOTICE")); err != nil {
		t.Fatal(err)
	}
	if r := weft(t, "plugin", "new", "--update-sdk", folder); r.code == exitOK || !strings.Contains(r.errOut, "left alone") {
		t.Errorf("a folder that is no copy of the SDK was replaced: %+v", r)
	}
}

func TestAuthorMistakes(t *testing.T) {
	empty := t.TempDir()
	half := project(t, "rust")
	if err := os.Remove(filepath.Join(half, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	bad := project(t, "rust")
	edit(t, filepath.Join(bad, "manifest.json"), `"version"`, `"versin"`)
	untested := project(t, "rust")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"new"}, exitUsage, "expected the name"},
		{[]string{"new", "x-y"}, exitUsage, "--lang rust, or --lang tinygo"},
		{[]string{"new", "Limiter", "--lang", "rust"}, exitUsage, "small letters"},
		{[]string{"new", "limiter", "--lang", "cobol"}, exitUsage, "expected rust, tinygo, assemblyscript"},
		{[]string{"new", "limiter", "--update-sdk", empty}, exitUsage, "nothing else"},
		{[]string{"new", "--update-sdk", empty}, exitConfig, "has none of src/lib.rs"},
		{[]string{"build", empty}, exitConfig, "has none of src/lib.rs"},
		{[]string{"build", empty + "/none"}, exitConfig, "is no folder"},
		{[]string{"build", half}, exitConfig, `{"name": "limiter", "version": "0.1.0"}`},
		{[]string{"build", bad}, exitConfig, "did you mean version?"},
		{[]string{"build", "--compiler", "gcc"}, exitUsage, "auto, tinygo, go"},
		{[]string{"test", untested}, exitConfig, "weft plugin build makes one"},
		{[]string{"test", empty}, exitConfig, "--help says where"},
		{[]string{"test", filepath.Join(empty, "x.wasm")}, exitConfig, "--help says where"},
		{[]string{"test", "--run", "("}, exitUsage, "--run"},
		{[]string{"tset"}, exitUsage, "did you mean test?"},
	} {
		r := weft(t, append([]string{"plugin"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("weft plugin %s: exit code %d, want %d with %q in\n%s%s", strings.Join(c.args, " "), r.code, c.code, c.says, r.out, r.errOut)
		}
	}
}

func TestMissingToolchainsAreNamed(t *testing.T) {
	nothing := t.TempDir()
	t.Setenv("RUSTC", filepath.Join(nothing, "rustc"))
	folders := map[string]string{}
	for _, l := range languages {
		folders[l.name] = filepath.Join(t.TempDir(), "p")
		if r := weft(t, "plugin", "new", "limiter", "--lang", l.name, "--dir", folders[l.name]); r.code != exitOK {
			t.Fatalf("%+v", r)
		}
	}
	t.Setenv("PATH", nothing)
	for lang, says := range map[string]string{
		"rust":           "apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld",
		"tinygo":         "https://go.dev/doc/install",
		"assemblyscript": "apt-get install -y nodejs npm",
	} {
		if r := weft(t, "plugin", "build", folders[lang]); r.code != exitRuntime || !strings.Contains(r.errOut, "is missing") || !strings.Contains(r.errOut, says) {
			t.Errorf("%s: %+v", lang, r)
		}
	}
	if r := weft(t, "plugin", "build", folders["tinygo"], "--compiler", "tinygo"); r.code != exitRuntime || !strings.Contains(r.errOut, "tinygo is missing") {
		t.Errorf("%+v", r)
	}
}
