package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/plugins/cases"
)

func pluginTestCommand(sys system) *cobra.Command {
	var folder, only string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test [FOLDER|FILE.wasm]",
		Short: "Runs a plugin's cases on the real host",
		Long: `Runs the case files (*.yaml) in the folder cases/ of a project, the current one if none is named: messages in, verdicts
expected, on the real host with its limits, a clock that stands still and a fresh instance for each case. What is not as
expected is shown. Given a module, it runs that one against the cases beside it, or in --cases.

The format of case files: https://github.com/weftrun/weft/tree/main/plugins/cases`,
		Example: `weft plugin test
weft plugin test limiter --run alarm          # the cases with alarm in their name
weft plugin test new/limiter.wasm --cases limiter/cases
weft plugin test limiter --json`,
		Args: arguments(0, 1, "at most one folder or module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := "."
			if len(args) > 0 {
				at = args[0]
			}
			o := cases.Options{}
			if strings.HasSuffix(at, ".wasm") {
				o.Wasm, at = at, filepath.Dir(at)
			}
			if only != "" {
				var err error
				if o.Only, err = regexp.Compile(only); err != nil {
					return usageError("--run: %w", err)
				}
			}
			if folder == "" {
				folder = filepath.Join(at, "cases")
			}
			return testPlugin(cmd, sys, folder, o, asJSON)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&folder, "cases", "", "`FOLDER` with the case files, or one of them (cases/ in the project)")
	cmd.Flags().StringVar(&only, "run", "", "only the cases whose name `REGEXP` matches")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func testPlugin(cmd *cobra.Command, sys system, folder string, o cases.Options, asJSON bool) error {
	report, err := cases.RunFolder(cmd.Context(), folder, o)
	switch {
	case errors.Is(err, os.ErrNotExist) && errors.Is(err, cases.ErrFile):
		return fail(exitConfig, err, "weft plugin test --help says where cases are looked for.")
	case errors.Is(err, cases.ErrFile):
		return fail(exitConfig, err, "")
	case err != nil:
		return err
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	switch {
	case err != nil:
		return err
	case report.Passed+report.Failed == 0:
		return usageError("--run %q matches no case", o.Only)
	case report.Failed > 0:
		return &failure{code: exitFailed, err: errReported}
	}
	if !asJSON && len(report.Files) > 0 {
		note(cmd, "next: %s plugin inspect %s", sys.program, quoted(filepath.Clean(report.Files[0].Wasm)))
	}
	return nil
}
