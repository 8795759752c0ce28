package main

import (
	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

func pluginPromoteCommand(sys system) *cobra.Command {
	var r rolling
	cmd := &cobra.Command{
		Use:   "promote NAME",
		Short: "Ends a canary or shadow: its generation for everybody",
		Long: `Ends a canary or a shadow: its generation takes the place of the running one, which is kept to go back to. A canary
keeps the state that it has; a shadow is loaded anew and takes over that of the running one.`,
		Example: `weft plugin promote filter`,
		Args:    arguments(1, 1, "a plugin's name"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := r.context(cmd)
		defer cancel()
		answer, err := r.client().Promote(ctx, connect.NewRequest(&weftv1.PluginsPromoteRequest{Name: args[0]}))
		if err != nil {
			return r.failed(err, exitRuntime)
		}
		after(cmd.OutOrStdout(), sys, answer.Msg.Plugin)
		return nil
	}
	cmd.Flags().SortFlags = false
	r.flags(cmd, sys)
	return cmd
}

func pluginRollbackCommand(sys system) *cobra.Command {
	var r rolling
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Ends a canary or shadow, or brings the former generation back",
		Long: `Ends a canary or a shadow; without one, brings the generation back that was live before the running one. One step
back can be taken: the generation that is left is gone.`,
		Example: `weft plugin rollback filter`,
		Args:    arguments(1, 1, "a plugin's name"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := r.context(cmd)
		defer cancel()
		answer, err := r.client().Rollback(ctx, connect.NewRequest(&weftv1.PluginsRollbackRequest{Name: args[0]}))
		if err != nil {
			return r.failed(err, exitRuntime)
		}
		after(cmd.OutOrStdout(), sys, answer.Msg.Plugin)
		return nil
	}
	cmd.Flags().SortFlags = false
	r.flags(cmd, sys)
	return cmd
}
