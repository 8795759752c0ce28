package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// asking is what commands that ask the API have in common.
type asking struct {
	api
	json    bool
	timeout time.Duration
}

func (a *asking) flags(cmd *cobra.Command, sys system, what string) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON"+what)
	cmd.Flags().DurationVar(&a.timeout, "timeout", 10*time.Second, "give up after this long")
	a.api.flags(cmd, sys)
}

func (a *asking) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), a.timeout)
}

func listenerCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use: "listener", Short: "Shows where weft listens, and who is connected there", Example: "weft listener list",
		Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(listenerListCommand(sys))
	return cmd
}

func listenerListCommand(sys system) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "Lists the listeners with what they have counted",
		Long: `Lists the listeners: where they listen, their plugins, who is connected, how much came and went since weft started, and
what was refused or could not be read, by reason.`,
		Example: `weft listener list
weft listener list trucks --json | jq .bad_frames`,
		Args: arguments(0, 1, "at most the name of one listener"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		client := weftv1connect.NewListenersClient(a.http(), a.url())
		var list []*weftv1.Listener
		if len(args) == 1 {
			r, err := client.Get(ctx, connect.NewRequest(&weftv1.ListenersGetRequest{Name: args[0]}))
			if err != nil {
				return a.failed(err)
			}
			list = append(list, r.Msg.GetListener())
		} else {
			r, err := client.List(ctx, connect.NewRequest(&weftv1.ListenersListRequest{}))
			if err != nil {
				return a.failed(err)
			}
			list = r.Msg.GetListeners()
		}
		if !a.json {
			return printListeners(cmd.OutOrStdout(), list)
		}
		for _, l := range list {
			if err := printPlain(cmd.OutOrStdout(), l); err != nil {
				return err
			}
		}
		return nil
	}
	cmd.Flags().SortFlags = false
	a.flags(cmd, sys, ", a listener a line")
	return cmd
}

func printListeners(w io.Writer, list []*weftv1.Listener) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LISTENER\tPROTOCOL\tADDRESS\tOPEN\tMESSAGES\tIN\tOUT\tCHAIN\tTROUBLE")
	for _, l := range list {
		protocol := l.GetProtocol()
		if l.GetWebsocket() {
			protocol += "+ws"
		}
		if l.GetTls() {
			protocol += "+tls"
		}
		var trouble []string
		for _, of := range []map[string]uint64{l.GetRefused(), l.GetBadFrames(), l.GetFramesDropped()} {
			for _, name := range slices.Sorted(maps.Keys(of)) {
				trouble = append(trouble, fmt.Sprintf("%s %d", name, of[name]))
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", l.GetName(), protocol, l.GetAddress(), l.GetConnections(), l.GetMessages(),
			bytesText(int64(l.GetBytesIn())), bytesText(int64(l.GetBytesOut())), orDash(strings.Join(l.GetChain(), " ")), orDash(strings.Join(trouble, ", ")))
	}
	return t.Flush()
}
