package main

import (
	"github.com/spf13/cobra"
)

// pluginCommand holds everything about plugins: making them and running them.
func pluginCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Makes plugins, and changes those of a running weft",
		Long: `Makes plugins, and changes those of a running weft.

A generation is a plugin's module with its configuration and grants. A running weft takes a new one without losing a
message: it is loaded and checked beside the running one, which goes on if anything is wrong with it.`,
		Example: `weft plugin list                          # the running plugins and their generations
weft plugin swap filter                   # read its file again and take it at once
weft plugin canary filter --weight 10     # a tenth of the sessions first
weft plugin rollback filter               # the former generation again`,
		SuggestionsMinimumDistance: 2,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(pluginCommands(sys)...)
	return cmd
}

// pluginCommands are the commands below plugin; commonPlugin is their order.
func pluginCommands(sys system) []*cobra.Command {
	return []*cobra.Command{
		pluginNewCommand(sys), pluginBuildCommand(sys), pluginTestCommand(sys), pluginInspectCommand(sys), pluginBenchCommand(sys), pluginReplayCommand(sys),
		pluginRecordCommand(sys),
		pluginKeygenCommand(sys), pluginSignCommand(sys), pluginVerifyCommand(sys),
		pluginListCommand(sys), pluginSwapCommand(sys), pluginCanaryCommand(sys), pluginShadowCommand(sys),
		pluginPromoteCommand(sys), pluginRollbackCommand(sys), pluginLogsCommand(sys),
	}
}

// commonPlugin are the commands below plugin in the order in which an author and
// then an operator need them; the rest follows by name.
var commonPlugin = []string{
	"new", "build", "test", "inspect", "bench", "keygen", "sign", "verify",
	"list", "swap", "canary", "shadow", "promote", "rollback", "logs", "record", "replay",
}
