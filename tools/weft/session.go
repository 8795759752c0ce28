package main

import (
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

func sessionCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use: "session", Short: "Shows and ends sessions: who is there, or was and may come back",
		Example: "weft session list --away\nweft session show stay-80000001000000\nweft session end stay-80000001000000",
		Args:    noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sessionListCommand(sys), sessionShowCommand(sys), sessionEndCommand(sys))
	return cmd
}

func (a *api) sessions() weftv1connect.SessionsClient {
	return weftv1connect.NewSessionsClient(a.http(), a.url())
}

func sessionListCommand(sys system) *cobra.Command {
	var a asking
	var want weftv1.SessionsListRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists sessions by name",
		Example: `weft session list
weft session list --away                     # their clients are not connected
weft session list --contains truck --json | jq -r .id`,
		Args: arguments(0, 0, "no arguments; --contains and other flags choose"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.sessions().List(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		if a.json {
			for _, s := range r.Msg.GetSessions() {
				if err := printPlain(cmd.OutOrStdout(), s); err != nil {
					return err
				}
			}
			return nil
		}
		if n := len(r.Msg.GetSessions()); uint64(n) < r.Msg.GetChosen() {
			defer note(cmd, "%d of %d; the next ones: --skip %d", n, r.Msg.GetChosen(), int(want.GetSkip())+n)
		}
		if len(r.Msg.GetSessions()) == 0 {
			note(cmd, "None of %s is such a one.", plural(int(r.Msg.GetAll()), "session"))
			return nil
		}
		return printSessions(cmd.OutOrStdout(), r.Msg.GetSessions())
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&want.Listener, "listener", "", "only those of this `LISTENER`")
	f.StringVar(&want.Contains, "contains", "", "only those whose name contains this `TEXT`")
	f.BoolVar(&want.Away, "away", false, "only those whose client is not connected")
	f.Uint32VarP(&want.Size, "count", "n", 100, "list so many, 1000 at most")
	f.Uint32Var(&want.Skip, "skip", 0, "leave so many out")
	a.flags(cmd, sys, ", a session a line")
	return cmd
}

func printSessions(w io.Writer, list []*weftv1.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tLISTENER\tSTATE\tSUBSCRIPTIONS\tWAITING")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\n", s.GetId(), orDash(s.GetName()), s.GetListener(), sessionState(s), s.GetSubscriptions(), s.GetWaiting())
	}
	return t.Flush()
}

func sessionState(s *weftv1.Session) string {
	switch {
	case s.GetConnection() != "":
		return "here for " + lasted(time.Since(s.GetSince().AsTime()))
	case s.GetExpires() != nil:
		return "away, ends in " + lasted(time.Until(s.GetExpires().AsTime()))
	}
	return "away"
}

func sessionShowCommand(sys system) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Shows one session: what it is subscribed to, what plugins remember about it",
		Example: "weft session show 0-12-1",
		Args:    arguments(1, 1, "the id of a session, as weft session list prints it"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.sessions().Get(ctx, connect.NewRequest(&weftv1.SessionsGetRequest{Id: args[0]}))
		if err != nil {
			return a.failed(err)
		}
		if a.json {
			return printPlain(cmd.OutOrStdout(), r.Msg)
		}
		w := cmd.OutOrStdout()
		if err := printSessions(w, []*weftv1.Session{r.Msg.GetSession()}); err != nil {
			return err
		}
		for _, one := range r.Msg.GetSubscriptions() {
			fmt.Fprintf(w, "subscribed to %s\n", one)
		}
		for _, one := range r.Msg.GetQueues() {
			fmt.Fprintf(w, "in queue %s\n", one)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Msg.GetContext())) {
			fmt.Fprintf(w, "context %s: %s\n", name, r.Msg.GetContext()[name])
		}
		return nil
	}
	cmd.Flags().SortFlags = false
	a.flags(cmd, sys, "")
	return cmd
}

func sessionEndCommand(sys system) *cobra.Command {
	var a asking
	var sure confirmation
	cmd := &cobra.Command{
		Use:   "end ID",
		Short: "Ends a session with all that it has; its client is cut off",
		Long: `Ends a session with its subscriptions, its context and what waits for its client, which is cut off if it is connected. It
may come again, and finds nothing of it.

It asks first, where a person can answer; a script says --yes.`,
		Example: "weft session end stay-80000001000000\nweft session end stay-80000001000000 --yes",
		Args:    arguments(1, 1, "the id of a session, as weft session list prints it"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := sure.ask(cmd, sys, "End session "+args[0]+" with all that it has", "--yes"); err != nil {
			return err
		}
		ctx, cancel := a.context(cmd)
		defer cancel()
		if _, err := a.sessions().End(ctx, connect.NewRequest(&weftv1.SessionsEndRequest{Id: args[0]})); err != nil {
			return a.failed(err)
		}
		if a.json {
			return printPlain(cmd.OutOrStdout(), &weftv1.SessionsEndRequest{Id: args[0]})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "ended %s\n", args[0])
		return err
	}
	cmd.Flags().SortFlags = false
	sure.flags(cmd)
	a.flags(cmd, sys, "")
	return cmd
}

func subscriptionCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use: "subscription", Short: "Shows who gets what", Example: "weft subscription list --topic alarm/7",
		Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subscriptionListCommand(sys))
	return cmd
}

func subscriptionListCommand(sys system) *cobra.Command {
	var a asking
	var want weftv1.SubscriptionsListRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists subscriptions of this node by pattern",
		Example: `weft subscription list --topic alarm/7          # who would get it?
weft subscription list --session 0-12-1
weft subscription list --json | jq -r .pattern | sort | uniq -c`,
		Args: arguments(0, 0, "no arguments; --topic and other flags choose"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := weftv1connect.NewSubscriptionsClient(a.http(), a.url()).List(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		list := r.Msg.GetSubscriptions()
		if a.json {
			for _, s := range list {
				if err := printPlain(cmd.OutOrStdout(), s); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			note(cmd, "None of %s is such a one.", plural(int(r.Msg.GetAll()), "subscription"))
			return nil
		}
		if n := len(list); uint64(n) < r.Msg.GetChosen() {
			defer note(cmd, "%d of %d; the next ones: --skip %d", n, r.Msg.GetChosen(), int(want.GetSkip())+n)
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "PATTERN\tWHO\tQOS")
		for _, s := range list {
			fmt.Fprintf(t, "%s\t%s\t%d\n", s.GetPattern(), strings.TrimSpace(s.GetKind()+" "+s.GetSession()), s.GetQos())
		}
		return t.Flush()
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&want.Topic, "topic", "", "only those that a message with this `TOPIC` goes to")
	f.StringVar(&want.Pattern, "pattern", "", "only those of exactly this `PATTERN`")
	f.StringVar(&want.Session, "session", "", "only those of the session with this `ID` or node name")
	f.Uint32VarP(&want.Size, "count", "n", 100, "list so many, 1000 at most")
	f.Uint32Var(&want.Skip, "skip", 0, "leave so many out")
	a.flags(cmd, sys, ", a subscription a line")
	return cmd
}
