package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const rustTarget = "wasm32-unknown-unknown"

// rustc is a compiler that has the target's standard library.
type rustc struct {
	path  string
	cargo string // the one that belongs to it; empty: none
}

var missingRust = &MissingError{
	"a rustc with the target " + rustTarget,
	"on Debian: apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld; with rustup: rustup target add " + rustTarget + " (or name one in RUSTC)",
}

// findRust finds a compiler that has the target. A rustup toolchain earlier on the
// PATH than Debian's may not: all that there are are looked at. $RUSTC decides.
func (b *Builder) findRust(ctx context.Context) (*rustc, error) {
	if b.rustc != nil {
		return b.rustc, nil
	}
	const system = "/usr/bin/rustc"
	var candidates []string
	switch named := os.Getenv("RUSTC"); {
	case named != "":
		candidates = []string{named}
	case b.cfg.SystemFirst:
		candidates = []string{system, "rustc"}
	default:
		candidates = []string{"rustc", system}
		if home, err := os.UserHomeDir(); err == nil {
			candidates = append(candidates, filepath.Join(home, ".cargo/bin/rustc"))
		}
	}
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil || !hasTarget(ctx, path) {
			continue
		}
		b.rustc = &rustc{path: path}
		// Another toolchain's cargo does not go with it.
		if cargo, err := exec.LookPath(filepath.Join(filepath.Dir(path), "cargo")); err == nil {
			b.rustc.cargo = cargo
		}
		return b.rustc, nil
	}
	return nil, missingRust
}

func hasTarget(ctx context.Context, compiler string) bool {
	sysroot, err := exec.CommandContext(ctx, compiler, "--print", "sysroot").Output()
	if err != nil {
		return false
	}
	info, err := os.Stat(filepath.Join(strings.TrimSpace(string(sysroot)), "lib/rustlib", rustTarget, "lib"))
	return err == nil && info.IsDir()
}

// rustFlags optimise for speed (a hop is paid for with every message), and keep
// the machine's paths out of the binary.
func (b *Builder) rustFlags() []string {
	return []string{
		"--edition", "2021", "--target", rustTarget,
		"-C", rustFeatures, "-C", "opt-level=3", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "embed-bitcode=yes",
		"--remap-path-prefix", b.cfg.Root + "=.",
		"--remap-path-prefix", b.cfg.Temp + "=.",
	}
}

const (
	rustFeatures = "target-feature=+bulk-memory,+sign-ext,+nontrapping-fptoint"
	rustStack    = "link-arg=-zstack-size=65536"
)

func (b *Builder) rust(ctx context.Context, p *Plugin, out string) error {
	compiler, err := b.findRust(ctx)
	if err != nil {
		return err
	}
	if p.Cargo {
		if compiler.cargo != "" {
			return linker(b.cargo(ctx, compiler, p, out))
		}
		if other := otherCrates(p.Folder); other != "" {
			return &MissingError{"cargo", "Cargo.toml needs the crate " + other + "; on Debian: apt-get install -y --no-install-recommends cargo"}
		}
	}
	if err := b.rustSDK(ctx, compiler); err != nil {
		return linker(err)
	}
	args := append(b.rustFlags(),
		"--crate-type", "cdylib", "-C", "lto=fat", "-C", "strip=symbols", "-C", rustStack,
		"--crate-name", "plugin", "--extern", "weft="+b.rustLib, "-o", out, filepath.Join(p.Folder, p.Source))
	_, err = command(ctx, b.cfg.Root, nil, compiler.path, args...)
	return linker(err)
}

// linker explains the one thing that is not found before it is needed.
func linker(err error) error {
	var refused *CompileError
	if errors.As(err, &refused) && strings.Contains(refused.Said, "linker `") && strings.Contains(refused.Said, "not found") {
		return &MissingError{"the linker of rustc", "on Debian: apt-get install -y --no-install-recommends lld"}
	}
	return err
}

func (b *Builder) rustSDK(ctx context.Context, compiler *rustc) error {
	if b.rustLib != "" {
		return nil
	}
	folder, err := b.sdk(Rust)
	if err != nil {
		return err
	}
	lib := filepath.Join(b.cfg.Temp, "libweft.rlib")
	args := append(b.rustFlags(), "--crate-type", "rlib", "--crate-name", "weft", "-o", lib, filepath.Join(folder, "src/lib.rs"))
	if _, err := command(ctx, b.cfg.Root, nil, compiler.path, args...); err != nil {
		return err
	}
	b.rustLib = lib
	return nil
}

// cargo builds a project with Cargo.toml, whose profile decides how it is
// optimised.
func (b *Builder) cargo(ctx context.Context, compiler *rustc, p *Plugin, out string) error {
	flags := append(strings.Fields(os.Getenv("RUSTFLAGS")), "-C", rustFeatures, "-C", rustStack, "--remap-path-prefix", p.Folder+"=.")
	env := []string{"RUSTC=" + compiler.path, "RUSTFLAGS=", "CARGO_ENCODED_RUSTFLAGS=" + strings.Join(flags, "\x1f"), "CARGO_TERM_COLOR=never"}
	said, err := command(ctx, p.Folder, env, compiler.cargo,
		"build", "--release", "--lib", "--quiet", "--target", rustTarget, "--message-format=json-render-diagnostics")
	var refused *CompileError
	if errors.As(err, &refused) {
		refused.Said = withoutMessages(refused.Said)
	}
	if err != nil {
		return err
	}
	made, err := artifact(said)
	if err != nil {
		return err
	}
	return copyFile(made, out)
}

// withoutMessages leaves out what cargo says to programs.
func withoutMessages(said string) string {
	var text strings.Builder
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, `{"reason":`) {
			text.WriteString(line)
		}
	}
	return strings.TrimSpace(text.String())
}

// artifact is the module among what cargo says it has made; the last one is that
// of the project itself.
func artifact(said []byte) (string, error) {
	var made string
	for line := range bytes.Lines(said) {
		var m struct {
			Reason    string
			Filenames []string
		}
		if json.Unmarshal(line, &m) != nil || m.Reason != "compiler-artifact" {
			continue
		}
		for _, name := range m.Filenames {
			if strings.HasSuffix(name, ".wasm") {
				made = name
			}
		}
	}
	if made == "" {
		return "", fmt.Errorf("%w: cargo made no .wasm: Cargo.toml needs, under [lib], crate-type = [\"cdylib\", \"rlib\"]", ErrProject)
	}
	return made, nil
}

// otherCrates names a crate beside weft that Cargo.toml asks for, if there is one.
func otherCrates(folder string) string {
	text, err := os.ReadFile(filepath.Join(folder, "Cargo.toml"))
	if err != nil {
		return ""
	}
	inside := false
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			name, table := strings.CutPrefix(strings.Trim(line, "[]"), "dependencies.")
			if inside = line == "[dependencies]"; table && name != "weft" {
				return name
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); inside && ok && !strings.HasPrefix(name, "#") && name != "weft" {
			return name
		}
	}
	return ""
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
