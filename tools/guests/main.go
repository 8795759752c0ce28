// Command guests builds every WebAssembly guest of the repository from its
// source into the .wasm committed beside it.
//
// A guest is a folder with a manifest.json and one of plugin.rs (Rust),
// plugin.ts (AssemblyScript) or main.go (Go); further files are what that one
// pulls in. It becomes NAME/NAME.wasm, where NAME is the folder. The manifest is
// attached as the section that abi/SPEC.md describes.
//
//	go run ./tools/guests                    # build all
//	go run ./tools/guests plugins/std/x      # build these folders
//	go run ./tools/guests -check             # rebuild, compare byte for byte with what is committed
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/weftrun/weft/tools/build"
)

func main() {
	check := flag.Bool("check", false, "build into a temporary folder and compare with the committed files")
	root := flag.String("root", ".", "the repository's root folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, options{root: *root, check: *check, only: flag.Args(), strict: os.Getenv("CI") == "true"}, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guests:", err)
		os.Exit(1)
	}
}

type options struct {
	root   string
	check  bool
	only   []string // folders below root; all guests if empty
	strict bool     // a missing toolchain is an error
}

// errDiffers is wrapped by the error about a committed guest that its source no
// longer gives.
var errDiffers = errors.New("the committed file is not what its source gives; run: go run ./tools/guests")

func run(ctx context.Context, o options, out io.Writer) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	guests, err := find(root, o.only)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "weft-guests-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	var failed []error
	builder := newBuilder(root, temp)
	for _, g := range guests {
		plugin := g.plugin(root)
		wasm, err := builder.Build(ctx, plugin)
		var missing *build.MissingError
		if errors.As(err, &missing) && !o.strict {
			fmt.Fprintf(out, "skipped %s: %v\n", g.target, err)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", g.folder, err))
			continue
		}
		if err := keep(root, g, wasm, o.check, out); err != nil {
			failed = append(failed, fmt.Errorf("%w (built here with %s)", err, builder.Version(ctx, plugin)))
		}
	}
	return errors.Join(failed...)
}

// newBuilder compiles with the SDKs of the repository: Debian's Rust, the
// AssemblyScript that its SDK has locked, and Go's own compiler, which everybody
// who builds weft has.
func newBuilder(root, temp string) *build.Builder {
	return build.New(build.Config{
		Root: root, Temp: temp, SystemFirst: true,
		SDK: func(l build.Language) (string, error) { return filepath.Join(root, "abi/sdk", string(l)), nil },
		ASC: filepath.Join(root, "abi/sdk/assemblyscript/node_modules/assemblyscript/bin/asc.js"), InstallASC: "run: npm ci --prefix abi/sdk/assemblyscript",
	})
}

// plugin is the guest as the builder wants it.
func (g *guest) plugin(root string) *build.Plugin {
	return &build.Plugin{Folder: filepath.Join(root, g.folder), Language: g.language, Source: g.source, Manifest: g.manifest}
}

// keep writes a guest's binary to its place or compares it with what is there.
func keep(root string, g guest, wasm []byte, check bool, out io.Writer) error {
	path := filepath.Join(root, g.target)
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, wasm) {
		fmt.Fprintf(out, "same    %s (%d bytes)\n", g.target, len(wasm))
		return nil
	}
	if check {
		return fmt.Errorf("%s: %w", g.target, errDiffers)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Replaced as a whole: a weft that watches the file never reads half of it.
	if err := os.WriteFile(path+".new", wasm, 0o644); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	fmt.Fprintf(out, "built   %s (%d bytes)\n", g.target, len(wasm))
	return nil
}
