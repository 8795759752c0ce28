package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MissingError says which toolchain is not there and how to get it.
type MissingError struct{ What, Install string }

// Error is both in one sentence.
func (e *MissingError) Error() string { return e.What + " is missing; " + e.Install }

// CompileError is what a compiler said about a source that it refused.
type CompileError struct {
	// Compiler is the program's name; Said is its output.
	Compiler, Said string
	err            error
}

// Error is the compiler's own words.
func (e *CompileError) Error() string { return fmt.Sprintf("%s: %v\n%s", e.Compiler, e.err, e.Said) }

// Unwrap is how the compiler ended.
func (e *CompileError) Unwrap() error { return e.err }

// Config is what a [Builder] stands on. All paths are absolute.
type Config struct {
	// Root is the folder whose path is kept out of binaries; Temp is a scratch
	// folder, kept out likewise. Temp must be empty at first; whoever made it
	// removes it.
	Root, Temp string
	// SDK gives the folder of a language's SDK when it is needed first. The Go
	// SDK is found by the plugin's go.mod.
	SDK func(Language) (string, error)
	// ASC is the AssemblyScript compiler, asc.js; empty: the one of the plugin's
	// node_modules, or the one on the PATH. InstallASC is how to get it.
	ASC, InstallASC string
	// SystemFirst prefers /usr/bin/rustc to what is earlier on the PATH.
	SystemFirst bool
	// TinyGo compiles Go with TinyGo; otherwise Go's own compiler does.
	TinyGo bool
}

// Builder compiles plugins; what several of them need is built once. It is for
// one goroutine.
type Builder struct {
	cfg     Config
	rustc   *rustc // found before
	rustLib string // the SDK, compiled
	asPath  string // a folder in which AssemblyScript finds the package weft
}

// New makes a builder.
func New(cfg Config) *Builder { return &Builder{cfg: cfg} }

// Build compiles a plugin and attaches its manifest. Its errors are a
// [*MissingError] for a toolchain, a [*CompileError] for a source, ErrManifest.
func (b *Builder) Build(ctx context.Context, p *Plugin) ([]byte, error) {
	if _, err := checkManifest(p.Manifest); err != nil {
		return nil, err // before the compiler takes its time
	}
	out := filepath.Join(b.cfg.Temp, strings.ReplaceAll(strings.Trim(p.Folder, string(filepath.Separator)), string(filepath.Separator), "-")+".wasm")
	var err error
	switch p.Language {
	case Rust:
		err = b.rust(ctx, p, out)
	case AssemblyScript:
		err = b.assemblyScript(ctx, p, out)
	case Go:
		err = b.golang(ctx, p, out)
	default:
		err = fmt.Errorf("%w: language %q", ErrProject, p.Language)
	}
	if err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return AttachManifest(wasm, p.Manifest)
}

// Version names the compiler of a language: another one may give other bytes of
// the same source.
func (b *Builder) Version(ctx context.Context, p *Plugin) string {
	args, prefix := []string{"go", "version"}, ""
	switch {
	case p.Language == Rust:
		r, err := b.findRust(ctx)
		if err != nil {
			return "an unknown compiler"
		}
		args = []string{r.path, "--version"}
	case p.Language == AssemblyScript:
		command, err := b.findASC(p)
		if err != nil {
			return "an unknown compiler"
		}
		args, prefix = append(command, "--version"), "AssemblyScript "
	case b.cfg.TinyGo:
		args = []string{"tinygo", "version"}
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return "an unknown compiler"
	}
	return prefix + strings.TrimPrefix(strings.TrimSpace(string(out)), "Version ")
}

// sdk is the folder of a language's SDK.
func (b *Builder) sdk(l Language) (string, error) {
	if b.cfg.SDK == nil {
		return "", fmt.Errorf("%w: no SDK for %s", ErrProject, l)
	}
	return b.cfg.SDK(l)
}

// command runs a compiler and returns what it wrote to stdout.
func command(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text := bytes.TrimSpace(append(said.Bytes(), out.Bytes()...))
		return nil, &CompileError{Compiler: filepath.Base(name), Said: string(text), err: err}
	}
	return out.Bytes(), nil
}
