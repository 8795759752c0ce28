package main

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// completeWithin is how long a person waits who has pressed Tab.
const completeWithin = time.Second

// complete offers the plugins of the weft that runs, and then compiled files. Where no
// weft answers it offers nothing.
func (r *rolling) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	many := cmd.Name() == "list"
	if len(args) > 0 && !many {
		return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	answer, err := r.client().List(ctx, connect.NewRequest(&weftv1.PluginsListRequest{}))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range answer.Msg.GetPlugins() {
		if !slices.Contains(args, p.GetName()) {
			names = append(names, p.GetName())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
