package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi/sdk"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/tools/build"
)

// built is what --json prints about a module.
type built struct {
	File     string `json:"file"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"`
	Compiler string `json:"compiler"`
}

func pluginBuildCommand(sys system) *cobra.Command {
	var out, compiler string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "build [FOLDER]",
		Short: "Compiles a plugin's project into a module",
		Long: `Compiles the project in a folder, the current one if none is named, into NAME.wasm in it, NAME by its manifest.json, and
puts the manifest into the module. It looks for the compiler where it usually is and says what to install if there is none.
The module is checked against the plugin ABI before it takes the place of the former one.`,
		Example: `weft plugin build
weft plugin build limiter
weft plugin build limiter -o plugins/limiter.wasm
weft plugin build limiter --compiler go       # Go's own compiler where there is TinyGo, too`,
		Args: arguments(0, 1, "at most one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("compiler", compiler, "auto", "tinygo", "go"); err != nil {
				return err
			}
			folder := "."
			if len(args) > 0 {
				folder = args[0]
			}
			b, err := buildProject(cmd.Context(), folder, out, compiler)
			if err != nil {
				return buildFailure(err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n  size      %d bytes\n  sha256    %s\n  compiler  %s\n", b.File, b.Size, b.SHA256, b.Compiler)
			note(cmd, "next: %s plugin test %s", sys.program, quoted(folder))
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write (NAME.wasm in the project)")
	cmd.Flags().StringVar(&compiler, "compiler", "auto", "for Go: `COMPILER` tinygo, go, or auto: tinygo where it is on the PATH")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// buildFailure gives an error of building its exit code and what to do.
func buildFailure(err error) error {
	var missing *build.MissingError
	var refused *build.CompileError
	switch {
	case errors.As(err, &missing):
		return fail(exitRuntime, fmt.Errorf("%s is missing", missing.What), missing.Install)
	case errors.As(err, &refused):
		return fail(exitConfig, err, "")
	case errors.Is(err, build.ErrProject), errors.Is(err, build.ErrManifest), errors.Is(err, build.ErrModule), errors.Is(err, errNotABI):
		return fail(exitConfig, err, "")
	}
	return err
}

// errNotABI is wrapped by the error about a module that compiled and is no plugin.
var errNotABI = errors.New("the module is no plugin")

// buildProject compiles a project and writes its module to out, or to its usual
// place.
func buildProject(ctx context.Context, folder, out, compiler string) (built, error) {
	p, err := build.Open(folder)
	if err != nil {
		return built{}, err
	}
	name, err := p.Name()
	if err != nil {
		return built{}, err
	}
	temp, err := os.MkdirTemp("", "weft-build-")
	if err != nil {
		return built{}, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	tinygo := compiler == "tinygo" || compiler == "auto" && build.FindTinyGo()
	b := build.New(build.Config{
		Root: p.Folder, Temp: temp, TinyGo: tinygo,
		SDK: func(l build.Language) (string, error) { return projectSDK(p.Folder, temp, l) },
	})
	wasm, err := b.Build(ctx, p)
	if err != nil {
		return built{}, err
	}
	if _, err := plugins.Describe(wasm); err != nil {
		return built{}, fmt.Errorf("%w: %w", errNotABI, err)
	}
	if out == "" {
		out = filepath.Join(folder, name+".wasm")
	}
	if err := replaceFile(out, wasm); err != nil {
		return built{}, err
	}
	sum := sha256.Sum256(wasm)
	return built{out, len(wasm), hex.EncodeToString(sum[:]), b.Version(ctx, p)}, nil
}

// projectSDK is the SDK of a project, or the one that weft carries, unpacked, if
// the project has none.
func projectSDK(project, temp string, l build.Language) (string, error) {
	own := filepath.Join(project, sdkFolder)
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	to := filepath.Join(temp, sdkFolder)
	files, err := sdk.Files(string(l))
	if err != nil {
		return "", err
	}
	return to, writeFiles(to, files)
}
