package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/plugins/compiler"
)

// compileModule is the command that weft starts beside itself.
const compileModule = "compile-module"

// compilerCommand is how weft starts it, nil where it cannot find its own program.
func compilerCommand() []string {
	program, err := compiler.Program()
	if err != nil {
		return nil
	}
	return []string{program, compileModule}
}

func compileCommand() *cobra.Command {
	return &cobra.Command{
		Use:    compileModule,
		Short:  "Compiles plugins for the weft that started it",
		Hidden: true,
		Args:   arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return compiler.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), os.Exit)
		},
	}
}
