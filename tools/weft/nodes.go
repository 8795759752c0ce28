package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// shownNode is a node as --json prints it.
type shownNode struct {
	Name      string     `json:"name"`
	Self      bool       `json:"self"`
	State     string     `json:"state"`
	Host      string     `json:"host"`
	Started   *time.Time `json:"started,omitempty"`
	Heard     *time.Time `json:"heard,omitempty"`
	Interests uint64     `json:"interests"`
	Out       uint64     `json:"out_messages"`
	OutBytes  uint64     `json:"out_bytes"`
	In        uint64     `json:"in_messages"`
	InBytes   uint64     `json:"in_bytes"`
	Lost      uint64     `json:"lost_messages"`
}

func nodesCommand(sys system) *cobra.Command {
	var a api
	timeout, asJSON := 10*time.Second, false
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Lists the nodes that deliver to each other",
		Long: `Lists the weft that deliver to each other by an external backbone (backbone.url), as the one that is asked knows them.

A state is self (the one that is asked), ok, syncing (it is not yet known what it has receivers for) or leaving (it is
about to end and gets nothing new). INTERESTS are the topic patterns, shared subscriptions, queue groups and names that
it has receivers for; OUT and IN are messages to it and from it since the one that is asked was started, LOST those that
were lost on the way.`,
		Example: `weft nodes
weft nodes --json | jq 'select(.state != "ok")'`,
		Args: arguments(0, 0, "no arguments"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		client := weftv1connect.NewClusterClient(a.http(), a.url())
		r, err := client.Nodes(ctx, connect.NewRequest(&weftv1.ClusterNodesRequest{}))
		if err != nil {
			return a.failed(err)
		}
		list := []shownNode{toShownNode(r.Msg.GetSelf(), "self")}
		for _, n := range r.Msg.Others {
			list = append(list, toShownNode(n, ""))
		}
		if asJSON {
			return printLines(cmd.OutOrStdout(), list, asIs)
		}
		if err := printNodes(cmd.OutOrStdout(), list); err != nil {
			return err
		}
		switch {
		case !r.Msg.Linked:
			note(cmd, "there can be no others: its backbone is in the process; backbone.url names an external one")
		case len(list) == 1:
			note(cmd, "it knows no others: they need the same backbone.url and backbone.prefix")
		}
		return nil
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "print JSON, a node a line")
	f.DurationVar(&timeout, "timeout", timeout, "give up after this long")
	a.flags(cmd, sys)
	return cmd
}

func toShownNode(n *weftv1.Node, state string) shownNode {
	s := shownNode{
		Name: n.GetName(), Self: state == "self", State: state, Host: n.GetHost(), Interests: n.GetInterests(),
		Out: n.GetOutMessages(), OutBytes: n.GetOutBytes(), In: n.GetInMessages(), InBytes: n.GetInBytes(), Lost: n.GetLostMessages(),
	}
	if t := n.GetStarted(); t != nil {
		started := t.AsTime()
		s.Started = &started
	}
	if t := n.GetHeard(); t != nil {
		heard := t.AsTime()
		s.Heard = &heard
	}
	switch {
	case s.Self:
	case n.GetLeaving():
		s.State = "leaving"
	case !n.GetSynced():
		s.State = "syncing"
	default:
		s.State = "ok"
	}
	return s
}

func printNodes(w io.Writer, list []shownNode) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tHOST\tSTARTED\tINTERESTS\tOUT\tIN\tLOST")
	for _, n := range list {
		started := "-"
		if n.Started != nil {
			started = n.Started.Local().Format(time.DateTime)
		}
		out, in, lost := "-", "-", "-"
		if !n.Self {
			out, in, lost = fmt.Sprint(n.Out), fmt.Sprint(n.In), fmt.Sprint(n.Lost)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", printable(n.Name), n.State, printable(n.Host), started, n.Interests, out, in, lost)
	}
	return t.Flush()
}
