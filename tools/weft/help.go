package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// guide is where the documentation is, guides where it goes deeper: by the first word of
// a command, else the operator's.
const (
	guide  = "https://github.com/weftrun/weft#readme"
	guides = "https://github.com/weftrun/weft/blob/main/"
)

// guideOf names the guide that a command belongs to.
func guideOf(cmd *cobra.Command) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	switch cmd.Name() {
	case "plugin":
		return guides + "plugins/AUTHOR.md"
	case "deadletter":
		return guides + "plugins/AUTHOR.md#what-a-plugin-failed-on"
	case "send", "publish", "subscribe", "request", "frames", "token", "upstream":
		return guides + "configs/PROTOCOLS.md"
	case "nodes", "backbone", "log":
		return guides + "runtime/backbone/CLUSTER.md"
	case "bench":
		return guides + "configs/OPERATOR.md#put-load-on-it"
	case "fastpath":
		return guides + "configs/OPERATOR.md#who-may-speak-to-a-listener"
	}
	return guides + "configs/OPERATOR.md"
}

// common are the commands in the order in which a newcomer needs them; the rest
// follows by name.
var common = []string{"run", "check", "config", "plugin", "send", "publish", "subscribe", "request", "tail", "top", "health", "deadletter", "log", "connection", "session", "subscription", "listener", "route", "nodes", "bench", "frames", "token", "version", "completion"}

// help prints examples first, then what there is, the common things first.
func help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(about))
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", indent(cmd.Example))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nUsage:\n  %s COMMAND\n\nCommands:\n", cmd.CommandPath())
		listCommands(w, cmd)
	} else {
		fmt.Fprintf(w, "\nUsage:\n  %s\n", cmd.UseLine())
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsages())
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags of every command:\n%s", flags.FlagUsages())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\nExit codes:\n%s\n%s COMMAND --help tells more about one. Guide: %s\n", exitCodes, cmd.CommandPath(), guide)
		return
	}
	fmt.Fprintf(w, "\nGuide: %s\n", guideOf(cmd))
}

func listCommands(w io.Writer, parent *cobra.Command) {
	order := common
	if parent.Name() == "plugin" {
		order = commonPlugin
	}
	rank := func(c *cobra.Command) int {
		if i := slices.Index(order, c.Name()); i >= 0 {
			return i
		}
		return len(order)
	}
	list := slices.Clone(parent.Commands())
	slices.SortStableFunc(list, func(a, b *cobra.Command) int { return rank(a) - rank(b) })
	for _, c := range list {
		if c.IsAvailableCommand() && c.Name() != "help" {
			fmt.Fprintf(w, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// helpCommand is "weft help COMMAND", which refuses what it does not know.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tells about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(root, args)
			}
			return found.Help()
		},
	}
}
