//go:build !wasm && !tinygo.wasm

package weft_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStandardCompiler builds plugins with Go's own compiler: the exports are
// there, and of weft's host functions only those that the plugin calls.
func TestStandardCompiler(t *testing.T) {
	for plugin, want := range map[string][]string{"hello": nil, "loud": {"kv_get", "log"}} {
		wasm := build(t, []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS="}, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "./testdata/"+plugin)
		m := sections(t, wasm)
		if got := m.imports["weft"]; !slices.Equal(got, want) {
			t.Errorf("%s imports %v, expected %v", plugin, got, want)
		}
		if len(m.imports) > 2 || len(m.imports["wasi_snapshot_preview1"]) == 0 {
			t.Errorf("%s imports %v", plugin, m.imports)
		}
		checkExports(t, plugin, m.exports)
		t.Logf("%s: %d bytes", plugin, len(wasm))
	}
}

// TestTinyGo builds the same with TinyGo, where it is there.
func TestTinyGo(t *testing.T) {
	if _, err := exec.LookPath("tinygo"); err != nil {
		t.Log("tinygo is not on the PATH: the SDK was tested with Go's own compiler only")
		t.SkipNow()
	}
	for plugin, want := range map[string][]string{"hello": nil, "loud": {"kv_get", "log"}} {
		wasm := build(t, nil, "tinygo", "build", "-target=wasm-unknown", "-gc=precise", "-scheduler=none", "-no-debug", "./testdata/"+plugin)
		m := sections(t, wasm)
		if got := m.imports["weft"]; !slices.Equal(got, want) || len(m.imports) > 1 {
			t.Errorf("%s imports %v, expected %v of weft", plugin, m.imports, want)
		}
		checkExports(t, plugin, m.exports)
		t.Logf("%s: %d bytes", plugin, len(wasm))
	}
}

// TestReadme: the plugin that README.md shows is the one that is built here.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("testdata/hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	indented := strings.ReplaceAll("\t"+strings.TrimSpace(string(source)), "\n", "\n\t")
	plain := strings.NewReplacer("\t\n", "\n", "\t", "    ")
	if !strings.Contains(plain.Replace(string(readme)), plain.Replace(indented)) {
		t.Error("README.md does not show testdata/hello/main.go")
	}
}

func checkExports(t *testing.T, plugin string, exports []string) {
	t.Helper()
	for _, name := range []string{
		"_initialize", "memory", "weft_abi_1_1", "weft_buffer", "weft_init", "weft_needs", "weft_on_messages", "weft_on_open", "weft_on_close",
		"weft_on_tick", "weft_on_resume", "weft_snapshot", "weft_restore",
	} {
		if !slices.Contains(exports, name) {
			t.Errorf("%s does not export %s", plugin, name)
		}
	}
}

func build(t *testing.T, env []string, name string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	last := len(args) - 1
	cmd := exec.Command(name, append(slices.Clone(args[:last]), "-o", out, args[last])...)
	cmd.Env = append(os.Environ(), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, said)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

type module struct {
	imports map[string][]string // function names by module, sorted
	exports []string
}

// sections reads the import and export sections (WebAssembly core specification,
// sections 5.5.5 and 5.5.10). The compiler's own output is trusted.
func sections(t *testing.T, wasm []byte) module {
	t.Helper()
	m := module{imports: map[string][]string{}}
	for rest := wasm[8:]; len(rest) > 0; {
		id, size := rest[0], uint64(0)
		size, rest = number(rest[1:])
		content := rest[:size]
		rest = rest[size:]
		if id != 2 && id != 7 {
			continue
		}
		count, content := number(content)
		for range count {
			var from, name string
			if id == 2 {
				from, content = text(content)
			}
			name, content = text(content)
			if id == 7 {
				_, content = number(content[1:])
				m.exports = append(m.exports, name)
				continue
			}
			if content[0] != 0 {
				t.Fatalf("%s.%s is no function", from, name)
			}
			_, content = number(content[1:])
			m.imports[from] = append(m.imports[from], name)
		}
	}
	for _, names := range m.imports {
		slices.Sort(names)
	}
	return m
}

func number(b []byte) (uint64, []byte) {
	n, size := binary.Uvarint(b)
	return n, b[size:]
}

func text(b []byte) (string, []byte) {
	n, b := number(b)
	return string(b[:n]), b[n:]
}
