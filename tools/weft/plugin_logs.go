package main

import (
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// logsEvery is how often --follow asks for new lines.
const logsEvery = time.Second

func pluginLogsCommand(sys system) *cobra.Command {
	var a asking
	var follow bool
	var count uint32
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Prints the last lines that a plugin has logged, and what weft says of it",
		Long: `Prints the last lines that a plugin has logged, and what weft says of it: that it trapped, that it rests. The last 1000 lines
of each plugin are kept, of the levels that weft logs (log.level).`,
		Example: "weft plugin logs filter\nweft plugin logs filter --follow",
		Args:    arguments(1, 1, "a plugin's name"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client := weftv1connect.NewPluginsClient(a.http(), a.url())
		after, limit := uint64(0), count
		for {
			ctx, cancel := a.context(cmd)
			r, err := client.Logs(ctx, connect.NewRequest(&weftv1.PluginsLogsRequest{Name: args[0], After: after, Limit: limit}))
			cancel()
			if err != nil {
				return a.failed(err)
			}
			if missed := r.Msg.GetMissed(); missed > 0 && after > 0 {
				note(cmd, "%d lines were missed", missed)
			}
			for _, line := range r.Msg.GetLines() {
				if err := printLogLine(cmd, line, a.json); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			after, limit = r.Msg.GetNext(), 1000
			select {
			case <-time.After(logsEvery):
			case <-cmd.Context().Done():
				return nil
			}
		}
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Uint32VarP(&count, "count", "n", 100, "print so many at first, 1000 at most")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what is new, until Ctrl-C")
	a.flags(cmd, sys, ", a line a line")
	return cmd
}

func printLogLine(cmd *cobra.Command, line *weftv1.PluginLogLine, asJSON bool) error {
	if asJSON {
		return printPlain(cmd.OutOrStdout(), line)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %-5s generation %d: %s\n", line.GetTime().AsTime().Local().Format("15:04:05.000"), line.GetLevel(), line.GetGeneration(), line.GetText())
	return err
}
