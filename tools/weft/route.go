package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

func routeCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use: "route", Short: "Shows where messages go, and why",
		Example: "weft route list\nweft route explain alarm/7 --priority 5",
		Args:    noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(routeListCommand(sys), routeExplainCommand(sys))
	return cmd
}

func (a *api) routes() weftv1connect.RoutesClient {
	return weftv1connect.NewRoutesClient(a.http(), a.url())
}

func routeListCommand(sys system) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Lists the routes in the order in which they are asked, the default one last",
		Example: "weft route list\nweft route list --json | jq 'select(.messages == 0) | .name'   # routes that nothing took",
		Args:    arguments(0, 0, "no argument"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.routes().List(ctx, connect.NewRequest(&weftv1.RoutesListRequest{}))
		if err != nil {
			return a.failed(err)
		}
		if a.json {
			for _, one := range r.Msg.GetRoutes() {
				if err := printPlain(cmd.OutOrStdout(), one); err != nil {
					return err
				}
			}
			return nil
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ROUTE\tWHEN\tCHAIN\tTO\tQOS\tMESSAGES")
		for _, one := range r.Msg.GetRoutes() {
			to := strings.Join(one.GetTo(), ", ")
			if one.GetDurable() {
				to += " (durable)"
			}
			when := orDash(strings.Join(one.GetWhen(), ", "))
			if one.GetDefault() {
				when = "no other"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\n", one.GetName(), when, orDash(strings.Join(one.GetChain(), " ")), to, one.GetQos(), one.GetMessages())
		}
		return t.Flush()
	}
	cmd.Flags().SortFlags = false
	a.flags(cmd, sys, ", a route a line")
	return cmd
}

// messageTypes are the types of messages on the command line.
var messageTypes = map[string]weftv1.Type{
	"event": weftv1.Type_TYPE_EVENT, "request": weftv1.Type_TYPE_REQUEST, "response": weftv1.Type_TYPE_RESPONSE, "ack": weftv1.Type_TYPE_ACK,
}

func routeExplainCommand(sys system) *cobra.Command {
	var a asking
	var attrs []string
	var ask weftv1.RoutesExplainRequest
	kind := "event"
	cmd := &cobra.Command{
		Use:   "explain TOPIC",
		Short: "Says where a message would go, and why",
		Long: `Says where a message would go and who would get it now, by the router that routes the real ones. Nothing is sent. Plugins
are not asked: one that changes the topic or names the places decides otherwise; weft tail shows what they do.

The exit code is 1 if it would go nowhere.`,
		Example: `weft route explain alarm/7
weft route explain alarm/7 --priority 5 --attr level=high
weft route explain raw/trucks --listener trucks --json`,
		Args: arguments(1, 1, "a topic"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := pairs("attr", attrs)
		if err != nil {
			return err
		}
		if err := oneOf("type", kind, "event", "request", "response", "ack"); err != nil {
			return err
		}
		ask.Topic, ask.Attributes, ask.Type = args[0], values, messageTypes[kind]
		ctx, cancel := a.context(cmd)
		defer cancel()
		r, err := a.routes().Explain(ctx, connect.NewRequest(&ask))
		if err != nil {
			return a.failed(err)
		}
		if a.json {
			err = printPlain(cmd.OutOrStdout(), r.Msg)
		} else {
			err = printExplained(cmd.OutOrStdout(), r.Msg)
		}
		if err == nil && r.Msg.GetDropped() != "" {
			err = &failure{code: exitRuntime, err: errReported}
		}
		return err
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&attrs, "attr", nil, "an attribute that it has, `NAME=VALUE`; may be given again")
	f.StringVar(&ask.Listener, "listener", "", "the `LISTENER` that it comes by (none: the API)")
	f.Uint32Var(&ask.Priority, "priority", 0, "its priority, 0 to 7")
	f.StringVar(&kind, "type", kind, "its type: event, request, response or ack")
	a.flags(cmd, sys, "")
	return cmd
}

func printExplained(w io.Writer, r *weftv1.RoutesExplainResponse) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.GetAsked() {
		switch {
		case one.GetMatches() && one.GetRoute() == r.GetRoute():
			fmt.Fprintf(t, "%s\ttaken\t\n", one.GetRoute())
		case one.GetMatches():
			fmt.Fprintf(t, "%s\twould match\t%s\n", one.GetRoute(), one.GetWhy())
		default:
			fmt.Fprintf(t, "%s\tnot\t%s\n", one.GetRoute(), one.GetWhy())
		}
	}
	if r.GetDefault() {
		fmt.Fprintf(t, "default\ttaken\tno other route matches\n")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if chain := r.GetChain(); len(chain) > 0 {
		fmt.Fprintf(w, "through %s\n", strings.Join(chain, ", "))
	}
	if r.GetDurable() {
		fmt.Fprintln(w, "into the route's log, and from there, as often as it takes")
	}
	for _, p := range r.GetPlaces() {
		who := plural(int(p.GetReceivers()), "receiver")
		if p.GetReceivers() == 0 {
			who = "nobody: " + p.GetWhy()
		}
		fmt.Fprintf(w, "to %s (%s)\n", p.GetTo(), who)
	}
	if r.GetDropped() != "" {
		fmt.Fprintf(w, "It would be dropped now: %s.\n", r.GetDropped())
	}
	return nil
}
