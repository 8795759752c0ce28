package compiler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/weftrun/weft/plugins/compiler"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

const pages = 100

// module returns n; each is another module.
func module(n int32) []byte {
	return wasmtest.New().Export("n", wasmtest.Sig(":i"), wasmtest.I32(n)).Bytes()
}

func runtimeOf(c *compiler.Compiler) wazero.Runtime {
	return wazero.NewRuntimeWithConfig(context.Background(), compiler.RuntimeConfig(pages).WithCompilationCache(c.Cache()))
}

// fixture is a compiler whose process plays a part.
type fixture struct {
	*compiler.Compiler
	t   *testing.T
	rt  wazero.Runtime
	log *bytes.Buffer
}

func open(t *testing.T, part string, cfg compiler.Config) *fixture {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	f := &fixture{t: t, log: &bytes.Buffer{}}
	if part != "" {
		cfg.Command, cfg.Env = []string{os.Args[0]}, as(part)
	}
	if cfg.Memory == 0 || raceEnabled {
		cfg.Memory = -1
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Second // a busy machine leaves nothing for who waits for what is left
	}
	cfg.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	var err error
	if f.Compiler, err = compiler.New(cfg); err != nil {
		t.Fatal(err)
	}
	f.rt = runtimeOf(f.Compiler)
	t.Cleanup(func() {
		if err := errors.Join(f.rt.Close(context.Background()), f.Close(context.Background())); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return f
}

// runs compiles a module and sees that it does what it should.
func (f *fixture) runs(n int32) {
	f.t.Helper()
	code, err := f.Compile(f.t.Context(), f.rt, module(n), compiler.Module{Pages: pages})
	if err != nil {
		f.t.Fatalf("module %d: %v\n%s", n, err, f.log)
	}
	in, err := f.rt.InstantiateModule(f.t.Context(), code, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		f.t.Fatal(err)
	}
	if got, err := in.ExportedFunction("n").Call(f.t.Context()); err != nil || int32(got[0]) != n {
		f.t.Fatalf("module %d returns %v, %v", n, got, err)
	}
	if err := errors.Join(in.Close(f.t.Context()), code.Close(f.t.Context())); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) counts(want compiler.Counts) {
	f.t.Helper()
	if got := f.Counts(); got != want {
		f.t.Errorf("counted %+v, expected %+v", got, want)
	}
}

func (f *fixture) says(want string) {
	f.t.Helper()
	if n := strings.Count(f.log.String(), want); n != 1 {
		f.t.Errorf("the log has %q %d times:\n%s", want, n, f.log)
	}
}

func TestChildCompiles(t *testing.T) {
	f := open(t, "serves", compiler.Config{})
	for n := range int32(20) {
		f.runs(n)
	}
	f.counts(compiler.Counts{Child: 20})
	if files, _ := filepath.Glob(filepath.Join(os.TempDir(), "*", "*", "*")); len(files) > 8 {
		t.Errorf("%d compiled modules lie about", len(files))
	}
	f.runs(19)
	f.counts(compiler.Counts{Child: 20, Cache: 1})
}

// What was compiled once is compiled never again, by nobody, over starts.
func TestFolderKeeps(t *testing.T) {
	folder := t.TempDir()
	f := open(t, "serves", compiler.Config{Folder: folder})
	f.runs(1)
	f.counts(compiler.Counts{Child: 1})
	f = open(t, "dies", compiler.Config{Folder: folder})
	f.runs(1)
	f.counts(compiler.Counts{Cache: 1})
	wasm, _ := filepath.Glob(filepath.Join(folder, "wazero-*", "*"))
	for _, path := range wasm {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	f = open(t, "serves", compiler.Config{Folder: folder}) // whose marks are left
	f.runs(1)
	f.counts(compiler.Counts{Child: 1})
}

func TestIdleChildGoes(t *testing.T) {
	f := open(t, "serves", compiler.Config{Idle: time.Millisecond})
	for n := range int32(5) {
		f.runs(n)
		deadline := time.Now().Add(time.Minute)
		for {
			left, err := os.ReadDir(os.TempDir())
			if err == nil && len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("an idle compiler holds %v, %v", left, err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	f.counts(compiler.Counts{Child: 5})
}

func TestChildEnds(t *testing.T) {
	f := open(t, "dies-once:"+filepath.Join(t.TempDir(), "died"), compiler.Config{Patience: time.Minute})
	f.runs(1)
	f.counts(compiler.Counts{Child: 1, Ended: 1})

	f = open(t, "dies", compiler.Config{Patience: time.Minute})
	_, err := f.Compile(t.Context(), f.rt, module(1), compiler.Module{Pages: pages})
	if !errors.Is(err, compiler.ErrEnded) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("a process that is killed each time: %v", err)
	}
	f.counts(compiler.Counts{Ended: 2})
}

// A machine that is busy leaves nothing for who takes only what nobody wants: the
// second process asks for more.
func TestPatienceEnds(t *testing.T) {
	f := open(t, "hangs-once:"+filepath.Join(t.TempDir(), "hung"), compiler.Config{Patience: time.Millisecond})
	f.runs(1)
	f.counts(compiler.Counts{Child: 1})
}

// Whatever stands where the process should, the plugins are compiled.
func TestNoChild(t *testing.T) {
	for part, cause := range map[string]string{
		"garbles": "cannot be read", "garbles-later": "cannot be read", "fails": "it does not want to", "lies": "is not found",
	} {
		t.Run(part, func(t *testing.T) {
			f := open(t, part, compiler.Config{})
			f.runs(1)
			f.runs(2)
			f.counts(compiler.Counts{Process: 2})
			f.says(cause)
		})
	}
	t.Run("no such program", func(t *testing.T) {
		f := open(t, "", compiler.Config{Command: []string{filepath.Join(t.TempDir(), "nothing")}})
		f.runs(1)
		f.runs(2)
		f.counts(compiler.Counts{Process: 2})
		f.says("no such file")
	})
	t.Run("no folder", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nothing"))
		log := &bytes.Buffer{}
		c, err := compiler.New(compiler.Config{Command: []string{os.Args[0]}, Env: as("serves"), Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{Compiler: c, t: t, rt: runtimeOf(c), log: log}
		f.runs(1)
		f.counts(compiler.Counts{Process: 1})
		f.says("no such file")
		if err := errors.Join(f.rt.Close(t.Context()), c.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("none wanted", func(t *testing.T) {
		f := open(t, "", compiler.Config{})
		f.runs(1)
		f.counts(compiler.Counts{Process: 1})
		if f.log.Len() > 0 {
			t.Errorf("logged %s", f.log)
		}
	})
}

func TestRefuses(t *testing.T) {
	for _, part := range []string{"serves", ""} {
		f := open(t, part, compiler.Config{})
		_, err := f.Compile(t.Context(), f.rt, []byte("\x00asm\x01\x00\x00\x00\xff"), compiler.Module{Pages: pages})
		if !errors.Is(err, compiler.ErrRefused) {
			t.Errorf("%q: %v", part, err)
		}
		f.runs(1)
	}
}

// bomb keeps the compiler busy for half a minute, and takes a gigabyte.
func bomb() []byte {
	var code [][]byte
	const loops = 2000
	for n := range loops {
		code = append(code, []byte{0x03, 0x40}, wasmtest.Get(n), wasmtest.I32(1), []byte{0x6a, 0x22}, wasmtest.Get(n)[1:], []byte{0x0d, 0})
	}
	code = append(code, bytes.Repeat([]byte{0x0b}, loops))
	m := wasmtest.New()
	m.Export("f", wasmtest.Sig(strings.Repeat("i", loops)+":"), code...)
	return m.Bytes()
}

func TestBombs(t *testing.T) {
	t.Run("time", func(t *testing.T) {
		f := open(t, "serves", compiler.Config{Effort: 300 * time.Millisecond})
		_, err := f.Compile(t.Context(), f.rt, bomb(), compiler.Module{Pages: pages})
		if !errors.Is(err, compiler.ErrTooMuch) { // of the processor, or of everybody's patience
			t.Errorf("%v", err)
		}
		f.runs(1)
	})
	t.Run("memory", func(t *testing.T) {
		if raceEnabled {
			t.Skip("the race detector takes more memory than any bound")
		}
		// Go's runtime and the stacks of its threads are up to 130 MiB of it.
		f := open(t, "serves", compiler.Config{Memory: 256 << 20, Effort: 10 * time.Minute})
		_, err := f.Compile(t.Context(), f.rt, bomb(), compiler.Module{Pages: pages})
		if !errors.Is(err, compiler.ErrTooMuch) || !strings.Contains(err.Error(), "256 MiB") {
			t.Errorf("%v", err)
		}
		f.runs(1)
	})
}

func TestCancel(t *testing.T) {
	f := open(t, "hangs", compiler.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := f.Compile(ctx, f.rt, module(1), compiler.Module{Pages: pages}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
}

func TestCloseEndsWork(t *testing.T) {
	f := open(t, "hangs", compiler.Config{})
	ended := make(chan error, 1)
	go func() {
		_, err := f.Compile(context.Background(), f.rt, module(1), compiler.Module{Pages: pages})
		ended <- err
	}()
	time.AfterFunc(10*time.Millisecond, func() { _ = f.Close(context.Background()) })
	if err := <-ended; !errors.Is(err, compiler.ErrClosed) {
		t.Errorf("after the compiler was closed: %v", err)
	}
}
