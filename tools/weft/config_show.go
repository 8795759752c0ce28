package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

func (a *api) config() weftv1connect.ConfigClient {
	return weftv1connect.NewConfigClient(a.http(), a.url())
}

func configShowCommand(sys system) *cobra.Command {
	var a asking
	var given bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Shows the configuration that a running weft has, and how its last reload went",
		Long: `Shows the configuration that a running weft has: every key, its value and where it came from. Secrets are hidden. weft
config print shows what a file would give; where the two differ, the file was not read again or waits for a restart.

The exit code is 3 if the last reload was refused, if the file cannot be read any more, or if changed secrets were refused.`,
		Example: `weft config show
weft config show --given                     # without the defaults
weft config show --json | jq -r '.values[] | select(.key == "drain").value'`,
		Args: arguments(0, 0, "no argument"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.config().Get(ctx, connect.NewRequest(&weftv1.ConfigGetRequest{}))
		if err != nil {
			return a.failed(err)
		}
		if given {
			all := r.Msg.Values
			r.Msg.Values = nil
			for _, v := range all {
				if v.GetOrigin() != "default" {
					r.Msg.Values = append(r.Msg.Values, v)
				}
			}
		}
		if a.json {
			err = printPlain(cmd.OutOrStdout(), r.Msg)
		} else {
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, v := range r.Msg.GetValues() {
				fmt.Fprintf(t, "%s\t%s\t%s\n", v.GetKey(), strings.ReplaceAll(v.GetValue(), "\n", `\n`), v.GetOrigin())
			}
			err = t.Flush()
			sayStatus(cmd, r.Msg.GetStatus())
		}
		if s := r.Msg.GetStatus(); err == nil && (!s.GetGood() || len(s.GetFaults()) > 0) {
			err = &failure{code: exitConfig, err: errReported}
		}
		return err
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&given, "given", false, "leave out what is a default")
	a.flags(cmd, sys, "")
	return cmd
}

// sayStatus says for people how the configuration stands.
func sayStatus(cmd *cobra.Command, s *weftv1.ConfigStatus) {
	if s.GetFile() != "" {
		note(cmd, "%s, in effect since %s", s.GetFile(), s.GetApplied().AsTime().Local().Format(time.DateTime))
	}
	if s.GetReloaded() != nil {
		note(cmd, "last read at %s (%s): %s", s.GetReloaded().AsTime().Local().Format(time.DateTime), s.GetBy(), s.GetResult())
	}
	for _, line := range s.GetProblems() {
		note(cmd, "  %s", line)
	}
	for _, fault := range s.GetFaults() {
		note(cmd, "%s", fault)
	}
	if len(s.GetRestart()) > 0 {
		note(cmd, "changes that wait for a restart: %s", strings.Join(s.GetRestart(), ", "))
	}
}

func configReloadCommand(sys system) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Has a running weft read its configuration again",
		Long: `Has a running weft read its configuration again, as SIGHUP does, and says what came of it. A bad one is refused, and the
former one goes on: the exit code is 3 then, as it is if changed files of tokens or certificates were refused.`,
		Example: "weft config reload",
		Args:    arguments(0, 0, "no argument"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.config().Reload(ctx, connect.NewRequest(&weftv1.ConfigReloadRequest{}))
		switch {
		case connect.CodeOf(err) == connect.CodeFailedPrecondition:
			return fail(exitConfig, a.said(err), "weft check names each problem with its line.")
		case err != nil:
			return a.failed(err)
		case a.json:
			err = printPlain(cmd.OutOrStdout(), r.Msg.GetStatus())
			if err == nil && len(r.Msg.GetStatus().GetFaults()) > 0 {
				err = &failure{code: exitConfig, err: errReported}
			}
			return err
		}
		s := r.Msg.GetStatus()
		text := s.GetResult()
		if len(s.GetChanged()) > 0 {
			text += ": " + strings.Join(s.GetChanged(), ", ")
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
			return err
		}
		if len(s.GetRestart()) > 0 {
			note(cmd, "changes that wait for a restart: %s", strings.Join(s.GetRestart(), ", "))
		}
		if len(s.GetFaults()) > 0 {
			return fail(exitConfig, errors.New(strings.Join(s.GetFaults(), "\n")), "")
		}
		return nil
	}
	cmd.Flags().SortFlags = false
	a.flags(cmd, sys, "")
	return cmd
}
