package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// missingError says which toolchain is not there and how to get it.
type missingError struct{ what, install string }

func (e *missingError) Error() string { return e.what + " is missing; " + e.install }

// toolchains builds guests; what several guests need is built once.
type toolchains struct {
	root, temp string
	rustLib    string // the SDK, compiled
	rustErr    error
	asPath     string // a folder in which AssemblyScript finds the package weft
}

func newToolchains(root, temp string) *toolchains { return &toolchains{root: root, temp: temp} }

// build compiles one guest and attaches its manifest.
func (t *toolchains) build(ctx context.Context, g guest) ([]byte, error) {
	out := filepath.Join(t.temp, strings.ReplaceAll(g.folder, string(filepath.Separator), "-")+".wasm")
	var err error
	switch g.language {
	case rust:
		err = t.rust(ctx, filepath.Join(t.root, g.folder, "plugin.rs"), out)
	case assemblyScript:
		err = t.assemblyScript(ctx, filepath.Join(t.root, g.folder, "plugin.ts"), out)
	case golang:
		err = t.golang(ctx, filepath.Join(t.root, g.folder), out)
	}
	if err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return attachManifest(wasm, g.manifest)
}

// rustc is the compiler with the target's standard library. A rustup toolchain
// earlier on the PATH may not have it: $RUSTC says otherwise.
func rustc() string {
	if c := os.Getenv("RUSTC"); c != "" {
		return c
	}
	if _, err := os.Stat("/usr/bin/rustc"); err == nil {
		return "/usr/bin/rustc"
	}
	return "rustc"
}

const rustTarget = "wasm32-unknown-unknown"

// rustFlags optimise for speed (a hop is paid for with every message), and keep
// the machine's paths out of the binary.
func (t *toolchains) rustFlags() []string {
	return []string{
		"--edition", "2021", "--target", rustTarget,
		"-C", "target-feature=+bulk-memory,+sign-ext,+nontrapping-fptoint", "-C", "opt-level=3", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "embed-bitcode=yes",
		"--remap-path-prefix", t.root + "=.",
		"--remap-path-prefix", t.temp + "=.",
	}
}

func (t *toolchains) rust(ctx context.Context, source, out string) error {
	if err := t.rustSDK(ctx); err != nil {
		return err
	}
	args := append(t.rustFlags(),
		"--crate-type", "cdylib", "-C", "lto=fat", "-C", "strip=symbols", "-C", "link-arg=-zstack-size=65536",
		"--crate-name", "plugin", "--extern", "weft="+t.rustLib, "-o", out, source)
	return command(ctx, t.root, nil, rustc(), args...)
}

func (t *toolchains) rustSDK(ctx context.Context) error {
	if t.rustLib != "" || t.rustErr != nil {
		return t.rustErr
	}
	t.rustErr = func() error {
		compiler, err := exec.LookPath(rustc())
		if err == nil {
			var sysroot []byte
			sysroot, err = exec.CommandContext(ctx, compiler, "--print", "sysroot").Output()
			if err == nil {
				_, err = os.Stat(filepath.Join(strings.TrimSpace(string(sysroot)), "lib/rustlib", rustTarget))
			}
		}
		if err != nil {
			return &missingError{"a rustc with the target " + rustTarget, "on Debian: apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld (or name one in RUSTC)"}
		}
		lib := filepath.Join(t.temp, "libweft.rlib")
		args := append(t.rustFlags(), "--crate-type", "rlib", "--crate-name", "weft", "-o", lib,
			filepath.Join(t.root, "abi/sdk/rust/src/lib.rs"))
		if err := command(ctx, t.root, nil, compiler, args...); err != nil {
			return err
		}
		t.rustLib = lib
		return nil
	}()
	return t.rustErr
}

const assemblyScriptCompiler = "abi/sdk/assemblyscript/node_modules/assemblyscript/bin/asc.js"

func (t *toolchains) assemblyScript(ctx context.Context, source, out string) error {
	sdk := filepath.Join(t.root, "abi/sdk/assemblyscript")
	asc := filepath.Join(t.root, assemblyScriptCompiler)
	if _, err := os.Stat(asc); err != nil {
		return &missingError{"AssemblyScript", "run: npm ci --prefix abi/sdk/assemblyscript"}
	}
	if _, err := exec.LookPath("node"); err != nil {
		return &missingError{"node", "on Debian: apt-get install -y nodejs npm"}
	}
	if t.asPath == "" {
		path := filepath.Join(t.temp, "as")
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Symlink(sdk, filepath.Join(path, "weft")); err != nil {
			return err
		}
		t.asPath = path
	}
	return command(ctx, filepath.Dir(source), nil, "node", asc, filepath.Base(source), "--path", t.asPath,
		"--runtime", "minimal", "-O3", "--converge", "--noAssert", "--use", "abort=", "--outFile", out)
}

func (t *toolchains) golang(ctx context.Context, folder, out string) error {
	// Go's own compiler: everybody who builds weft has it.
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local"}
	return command(ctx, folder, env, "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid=", "-o", out, ".")
}

// version names the compiler of a language: another one may give other bytes of
// the same source.
func (t *toolchains) version(ctx context.Context, l language) string {
	args := []string{"go", "version"}
	switch l {
	case rust:
		args = []string{rustc(), "--version"}
	case assemblyScript:
		args = []string{"node", filepath.Join(t.root, assemblyScriptCompiler), "--version"}
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return "an unknown compiler"
	}
	return strings.TrimSpace(string(out))
}

func command(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
