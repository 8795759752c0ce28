package plugins_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// importing is a guest that imports one function.
func importing(module, name, sig string) *wasmtest.Module {
	m := &wasmtest.Module{MemoryMin: 1}
	m.Import(module, name, sig)
	m.Export(abi.Current.Export(), abi.Signature{})
	m.Buffer(wasmtest.I32(1024))
	return m.Hook(abi.ExportOnMessages)
}

func TestLoadRefuses(t *testing.T) {
	w := wasmtest.New
	trap := func() *wasmtest.Module {
		m := w()
		return m.Start(m.Func(abi.Signature{}, wasmtest.Unreachable))
	}
	memory := func(change func(m *wasmtest.Module)) *wasmtest.Module {
		m := w()
		change(m)
		return m
	}
	kv := hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "n"}}
	for name, test := range map[string]struct {
		module *wasmtest.Module
		spec   plugins.Spec
		is     error
		says   string
	}{
		"no version":       {w().Remove(abi.Current.Export()), plugins.Spec{}, plugins.ErrVersion, "expected weft_abi_1_1"},
		"later minor":      {w().Remove(abi.Current.Export()).Export("weft_abi_1_9", abi.Signature{}), plugins.Spec{}, plugins.ErrVersion, "built for ABI 1.9, this weft speaks 1.1"},
		"later major":      {w().Remove(abi.Current.Export()).Export("weft_abi_2_0", abi.Signature{}), plugins.Spec{}, plugins.ErrVersion, "built for ABI 2.0"},
		"two versions":     {w().Export("weft_abi_1_0", abi.Signature{}), plugins.Spec{}, plugins.ErrVersion, "exactly one"},
		"garbled version":  {w().Remove(abi.Current.Export()).Export("weft_abi_one", abi.Signature{}), plugins.Spec{}, plugins.ErrVersion, "weft_abi_one names no version"},
		"version with sig": {w().Export(abi.Current.Export(), wasmtest.Sig("i:")), plugins.Spec{}, plugins.ErrExport, "expected () -> ()"},
		"missing hook":     {w().Remove(abi.ExportOnMessages), plugins.Spec{}, plugins.ErrExport, "export weft_on_messages (i32, i32) -> (i32) is missing"},
		"missing buffer":   {w().Remove(abi.ExportBuffer), plugins.Spec{}, plugins.ErrExport, "export weft_buffer (i32) -> (i32) is missing"},
		"wrong signature":  {w().Export(abi.ExportOnTick, wasmtest.Sig("i:"), nil), plugins.Spec{}, plugins.ErrExport, "export weft_on_tick is (i32) -> (): expected (i32, i32) -> (i32)"},
		"misspelt export":  {w().Export("weft_on_mesages", wasmtest.Sig(":")), plugins.Spec{}, plugins.ErrExport, "did you mean weft_on_messages?"},
		"export no func":   {w().ExportAs(abi.ExportInit, 2, 0), plugins.Spec{}, plugins.ErrExport, "export weft_init is a memory"},
		"not granted":      {importing("weft", "kv_get", "iiii:I"), plugins.Spec{}, plugins.ErrNotGranted, "imports weft.kv_get, which belongs to capability kv; not granted: add `kv: {namespace: NAME, size: 1MiB}` under plugins.guest.grants"},
		"unknown import":   {importing("weft", "kv_scan", "iiii:I"), plugins.Spec{Grants: kv}, plugins.ErrImport, "imports weft.kv_scan, which this weft does not have"},
		"import signature": {importing("weft", "kv_get", "iii:I"), plugins.Spec{Grants: kv}, plugins.ErrImport, "expected (i32, i32, i32, i32) -> (i64)"},
		"other module":     {importing("env", "abort", "iiii:"), plugins.Spec{}, plugins.ErrImport, "--use abort="},
		"wasi not granted": {importing("wasi_snapshot_preview1", "fd_write", "iiii:i"), plugins.Spec{}, plugins.ErrNotGranted, "capability wasi"},
		"wasi unknown":     {importing("wasi_snapshot_preview1", "fd_wrote", "iiii:i"), plugins.Spec{}, plugins.ErrImport, "fd_wrote"},
		"no memory":        {memory(func(m *wasmtest.Module) { m.MemoryMin = -1 }), plugins.Spec{}, plugins.ErrMemory, "0 memories"},
		"memory hidden":    {memory(func(m *wasmtest.Module) { m.NoMemoryExport = true }), plugins.Spec{}, plugins.ErrMemory, "not exported as memory"},
		"memory shared":    {memory(func(m *wasmtest.Module) { m.MemoryFlags, m.MemoryMax = 2, 100 }), plugins.Spec{}, plugins.ErrMemory, "shared"},
		"memory 64":        {memory(func(m *wasmtest.Module) { m.MemoryFlags = 4 }), plugins.Spec{}, plugins.ErrMemory, "64-bit"},
		"memory too large": {w(), plugins.Spec{Memory: 1 << 20}, plugins.ErrMemory, "allowed are 1MiB"},
		"manifest no JSON": {w().Custom(abi.ManifestSection, []byte("{")), plugins.Spec{}, plugins.ErrManifest, "weft.manifest"},
		"manifest name":    {w().Custom(abi.ManifestSection, []byte(`{"name":"A","version":"1"}`)), plugins.Spec{}, plugins.ErrManifest, "name"},
		"manifest version": {w().Custom(abi.ManifestSection, []byte(`{"name":"a"}`)), plugins.Spec{}, plugins.ErrManifest, "version"},
		"two manifests":    {w().Custom(abi.ManifestSection, []byte(`{}`)).Custom(abi.ManifestSection, []byte(`{}`)), plugins.Spec{}, plugins.ErrManifest, "at most one"},
		"start traps":      {trap(), plugins.Spec{}, plugins.ErrTrap, "unreachable"},
		"initialize traps": {w().Export(abi.ExportInitialize, abi.Signature{}, wasmtest.Unreachable), plugins.Spec{}, plugins.ErrTrap, "in _initialize"},
		"init traps":       {w().Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.Unreachable), plugins.Spec{}, plugins.ErrTrap, "in weft_init"},
		"init text":        {w().Data(32, []byte("no key")).Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.I64(32<<32|6)), plugins.Spec{}, plugins.ErrInit, "plugin refused its configuration: no key"},
		"init text away":   {w().Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.I64(0x7fffffff<<32|6)), plugins.Spec{}, plugins.ErrFault, "error text"},
		"init for ever":    {w().Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.Loop(), wasmtest.Unreachable), plugins.Spec{StartCPU: 5 * time.Millisecond}, plugins.ErrFuel, "weft_init took more than its"},
		"needs traps":      {w().Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.Unreachable), plugins.Spec{}, plugins.ErrTrap, "in weft_needs"},
		"needs unknown":    {w().Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(-1)), plugins.Spec{}, plugins.ErrFault, "unknown bits"},
		"buffer unaligned": {w().Buffer(wasmtest.I32(wasmtest.BufferAt+4)).Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.I64(0)), plugins.Spec{}, plugins.ErrFault, "not aligned"},
		"buffer outside":   {w().Buffer(wasmtest.I32(-8)).Export(abi.ExportInit, wasmtest.Sig("ii:I"), wasmtest.I64(0)), plugins.Spec{}, plugins.ErrFault, "memory ends"},
		"invalid code":     {w().Hook(abi.ExportOnMessages, wasmtest.Add), plugins.Spec{}, plugins.ErrCompile, ""},
		"config no JSON":   {w(), plugins.Spec{Config: json.RawMessage("{")}, plugins.ErrSpec, "config"},
		"little memory":    {w(), plugins.Spec{Memory: 100}, plugins.ErrSpec, "memory"},
		"wrong pin":        {w(), plugins.Spec{SHA256: strings.Repeat("0", 64)}, plugins.ErrPin, "pinned is 000"},
		"bad pin":          {w(), plugins.Spec{SHA256: "abc"}, plugins.ErrSpec, "64 hexadecimal"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t, plugins.EnvConfig{})
			test.spec.Name, test.spec.Wasm = "guest", test.module.Bytes()
			p, err := env.Load(t.Context(), test.spec)
			if p != nil || !errors.Is(err, test.is) {
				t.Fatalf("got %v, expected %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "plugin guest: ") {
				t.Errorf("%q does not begin with the plugin or say %q", err, test.says)
			}
		})
	}
}

// TestLoadNoWasm: what the file seems to be is said.
func TestLoadNoWasm(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	for says, content := range map[string]string{
		"it is empty":      "",
		"it is text":       "hello, this is a letter",
		"wat2wasm":         "\n  (module (memory 1))",
		"ELF executable":   "\x7fELF\x02\x01\x01",
		"component":        "\x00asm\x0d\x00\x01\x00rest",
		"not 1":            "\x00asm\x02\x00\x00\x00",
		"in its header":    "\x00asm\x01",
		"failed download":  "<!DOCTYPE html><html>",
		"gzip":             "\x1f\x8b\x08\x00",
		"unknown binary":   "\x01\x02\x03\x00\x7f",
		"static library":   "!<arch>\n",
		"Windows execu":    "MZ\x90\x00",
		"zip archive":      "PK\x03\x04",
		"Mach-O executabl": "\xcf\xfa\xed\xfe",
	} {
		file := filepath.Join(t.TempDir(), "x.wasm")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := env.Load(t.Context(), plugins.Spec{Name: "auth", File: file})
		if !errors.Is(err, plugins.ErrNotWasm) || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "plugin auth (file "+file+"): ") {
			t.Errorf("%q: got %v", content, err)
		}
	}
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "auth", File: filepath.Join(t.TempDir(), "none.wasm")}); !errors.Is(err, plugins.ErrFile) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestLoadPrefixes: a module that was cut off anywhere is refused.
func TestLoadPrefixes(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	whole := wasmtest.New().Hook(abi.ExportOnOpen).Bytes()
	for n := range whole {
		if _, err := env.Load(t.Context(), plugins.Spec{Name: "cut", File: "cut", Wasm: whole[:n:n]}); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(whole))
		}
		if _, err := plugins.Describe(whole[:n:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were described", n, len(whole))
		}
	}
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "whole", Wasm: whole}); err != nil {
		t.Fatal(err)
	}
}

func TestLoadAccepts(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{CacheDir: t.TempDir()})
	module := wasmtest.New().
		Hook(abi.ExportOnOpen).
		Custom("name", []byte("\x00\x05\x04weft")). // a module called weft shadows nothing
		Custom(abi.ManifestSection, []byte(`{"name":"topic-router","version":"1.2.0","capabilities":{"kv":{"reason":"counts","optional":true}},"x-later":1}`))
	sum := sha256.Sum256(module.Bytes())
	p := load(t, env, module, plugins.Spec{SHA256: "sha256:" + strings.ToUpper(hex.EncodeToString(sum[:])), Config: json.RawMessage(`{"a":1}`)})
	d := p.Description()
	if d.Version != abi.Current || d.Manifest.Name != "topic-router" || d.Manifest.Capabilities["kv"].Reason != "counts" {
		t.Errorf("described as %+v", d)
	}
	if len(d.Hooks) != 2 || d.Hooks[0] != abi.HookMessages || d.Hooks[1] != abi.HookOpen {
		t.Errorf("hooks %v", d.Hooks)
	}
	if p.SHA256() != hex.EncodeToString(sum[:]) || p.Name() != "guest" || p.Spec().Memory != plugins.DefaultMemory {
		t.Errorf("%s, %s, %+v", p.SHA256(), p.Name(), p.Spec())
	}
	again := load(t, env, module, plugins.Spec{Name: "second"})
	newChain(t, p, again, p)
}

// TestLoadConfig: weft_init sees the configuration, {} without one.
func TestLoadConfig(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	// The error text is the configuration itself.
	echo := wasmtest.New().Export(abi.ExportInit, wasmtest.Sig("ii:I"),
		wasmtest.Get(0), []byte{0xad}, wasmtest.I64(32), []byte{0x86}, wasmtest.Get(1), []byte{0xad}, []byte{0x84})
	for given, seen := range map[string]string{"": "{}", `{"topic":"a"}`: `{"topic":"a"}`} {
		_, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: echo.Bytes(), Config: json.RawMessage(given)})
		if !errors.Is(err, plugins.ErrInit) || !strings.HasSuffix(err.Error(), ": "+seen) {
			t.Errorf("given %q: %v", given, err)
		}
	}
	large := json.RawMessage(`"` + strings.Repeat("x", abi.MaxConfig) + `"`)
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: echo.Bytes(), Config: large}); !errors.Is(err, plugins.ErrSpec) {
		t.Errorf("a configuration over the limit: %v", err)
	}
}

func TestLoadFolder(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	folder := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.wasm", wasmtest.New().Bytes())
	write("a.wasm", wasmtest.New().Bytes())
	write("README", []byte("no plugin"))
	write(".hidden.wasm", []byte("no plugin"))
	loaded, err := env.LoadFolder(t.Context(), folder, plugins.Spec{Memory: 8 << 20})
	if err != nil || len(loaded) != 2 || loaded[0].Name() != "a" || loaded[1].Name() != "b" || loaded[1].Spec().Memory != 8<<20 {
		t.Fatalf("%v, %v", loaded, err)
	}
	write("c.wasm", []byte("no plugin"))
	write("d.wasm", bytes.Repeat([]byte{0}, 10))
	if _, err := env.LoadFolder(t.Context(), folder, plugins.Spec{}); err == nil || !strings.Contains(err.Error(), "plugin c ") || !strings.Contains(err.Error(), "plugin d ") {
		t.Errorf("two bad files: %v", err)
	}
}

// awaited is a context whose time is over when somebody waits for that.
type awaited struct {
	context.Context
	over bool
}

func (a *awaited) Done() <-chan struct{} {
	a.over = true
	done := make(chan struct{})
	close(done)
	return done
}

func (a *awaited) Err() error {
	if a.over {
		return context.DeadlineExceeded
	}
	return nil
}

// TestLoadGivesUpWaiting: while a plugin is compiled, another whose context ends need not
// wait for its turn.
func TestLoadGivesUpWaiting(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	done := env.Compile()
	_, err := env.Load(&awaited{Context: t.Context()}, plugins.Spec{Name: "guest", Wasm: wasmtest.New().Bytes()})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "plugin guest: while another plugin was compiled") {
		t.Errorf("got %v", err)
	}
	done()
	load(t, env, wasmtest.New(), plugins.Spec{})
}
