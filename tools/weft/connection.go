package main

import (
	"cmp"
	"context"
	"encoding/json"
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

func connectionCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{Use: "connection", Short: "Shows who is connected, and closes connections", Example: `weft connection list --order queued
weft connection show 0-12-1
weft connection close 0-12-1`,
		Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(connectionListCommand(sys), connectionShowCommand(sys), connectionCloseCommand(sys))
	return cmd
}

func (a *api) connections() weftv1connect.ConnectionsClient {
	return weftv1connect.NewConnectionsClient(a.http(), a.url())
}

// connectionOrders are the values of --order.
var connectionOrders = map[string]weftv1.ConnectionOrder{
	"oldest":    weftv1.ConnectionOrder_CONNECTION_ORDER_UNSPECIFIED,
	"newest":    weftv1.ConnectionOrder_CONNECTION_ORDER_NEWEST,
	"queued":    weftv1.ConnectionOrder_CONNECTION_ORDER_QUEUED,
	"bytes-in":  weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_IN,
	"bytes-out": weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_OUT,
	"silent":    weftv1.ConnectionOrder_CONNECTION_ORDER_SILENT,
}

// shownConnection is a connection as --json prints it.
type shownConnection struct {
	ID            string    `json:"id"`
	Listener      string    `json:"listener"`
	Protocol      string    `json:"protocol"`
	Remote        string    `json:"remote"`
	Since         time.Time `json:"since"`
	Heard         time.Time `json:"heard"`
	BytesIn       uint64    `json:"bytes_in"`
	BytesOut      uint64    `json:"bytes_out"`
	Queued        uint64    `json:"queued_bytes"`
	Paused        bool      `json:"paused"`
	Closing       bool      `json:"closing"`
	Node          string    `json:"node,omitempty"`
	Client        string    `json:"client_id,omitempty"`
	Identity      string    `json:"identity,omitempty"`
	Subscriptions uint32    `json:"subscriptions"`
}

func toShownConnection(c *weftv1.Connection) shownConnection {
	return shownConnection{
		ID: c.GetId(), Listener: c.GetListener(), Protocol: c.GetProtocol(), Remote: c.GetRemote(), Since: c.GetSince().AsTime(), Heard: c.GetHeard().AsTime(),
		BytesIn: c.GetBytesIn(), BytesOut: c.GetBytesOut(), Queued: c.GetQueuedBytes(), Paused: c.GetPaused(), Closing: c.GetClosing(),
		Node: c.GetNode(), Client: c.GetClientId(), Identity: c.GetIdentity(), Subscriptions: c.GetSubscriptions(),
	}
}

func connectionListCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var order string
	var timeout time.Duration
	var want weftv1.ConnectionsListRequest
	orders := strings.Join(slices.Sorted(maps.Keys(connectionOrders)), ", ")
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists open connections, the ones that matter first",
		Long: `Lists open connections. QUEUED is what waits to be written: a receiver with much of it is slow. A connection that is paused is not
read from now, because a receiver of what it sends is slow, or a log has not answered yet.`,
		Example: `weft connection list                         # the oldest first
weft connection list --order queued -n 5     # who is slow?
weft connection list --source 10.0.0.0/8 --json | jq -r .id`,
		Args: arguments(0, 0, "no arguments; --contains and other flags choose"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		by, ok := connectionOrders[order]
		if !ok {
			return usageError("--order %s: expected one of %s", order, orders)
		}
		want.Order = by
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		r, err := a.connections().List(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		if asJSON {
			return printLines(cmd.OutOrStdout(), r.Msg.GetConnections(), toShownConnection)
		}
		if n := len(r.Msg.GetConnections()); uint64(n) < r.Msg.GetChosen() {
			defer fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d; the next ones: --skip %d\n", n, r.Msg.GetChosen(), int(want.GetSkip())+n)
		}
		return printConnections(cmd.OutOrStdout(), cmd.ErrOrStderr(), r.Msg)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&order, "order", "oldest", "what comes first: "+orders)
	f.StringVar(&want.Listener, "listener", "", "only those of this `LISTENER`")
	f.StringVar(&want.Source, "source", "", "only those from this `ADDRESS` or prefix")
	f.StringVar(&want.Contains, "contains", "", "only those whose node name, client id or identity contains this `TEXT`")
	f.Uint32VarP(&want.Size, "count", "n", 100, "list so many, 1000 at most")
	f.Uint32Var(&want.Skip, "skip", 0, "leave so many out")
	f.BoolVar(&asJSON, "json", false, "print JSON, a connection a line")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "give up after this long")
	a.flags(cmd, sys)
	return cmd
}

func printConnections(w, words io.Writer, r *weftv1.ConnectionsListResponse) error {
	if len(r.GetConnections()) == 0 {
		if r.GetAll() == 0 {
			fmt.Fprintln(words, "Nobody is connected.")
		} else {
			fmt.Fprintf(words, "None of the %d connections is such a one.\n", r.GetAll())
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tLISTENER\tREMOTE\tWHO\tSINCE\tSILENT\tIN\tOUT\tQUEUED\tSUBSCRIPTIONS\tSTATE")
	now := time.Now()
	for _, c := range r.GetConnections() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.GetId(), c.GetListener(), c.GetRemote(),
			cmp.Or(c.GetClientId(), c.GetNode(), c.GetIdentity(), "-"), lasted(now.Sub(c.GetSince().AsTime())), lasted(now.Sub(c.GetHeard().AsTime())),
			bytesText(int64(c.GetBytesIn())), bytesText(int64(c.GetBytesOut())), bytesText(int64(c.GetQueuedBytes())), c.GetSubscriptions(), connectionState(c))
	}
	return t.Flush()
}

func connectionState(c *weftv1.Connection) string {
	switch {
	case c.GetClosing():
		return "closing"
	case c.GetPaused():
		return "paused"
	}
	return "open"
}

// lasted is a duration as people say it.
func lasted(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return "now"
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func connectionShowCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Shows one connection: what it is subscribed to, what plugins remember about it",
		Example: "weft connection show 0-12-1",
		Args:    arguments(1, 1, "the id of a connection, as weft connection list prints it"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		r, err := a.connections().Get(ctx, connect.NewRequest(&weftv1.ConnectionsGetRequest{Id: args[0]}))
		if err != nil {
			return a.failed(err)
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
				shownConnection
				Subscribed []string          `json:"subscribed"`
				Queues     []string          `json:"queues"`
				Context    map[string]string `json:"context"`
			}{toShownConnection(r.Msg.GetConnection()), r.Msg.GetSubscriptions(), r.Msg.GetQueues(), r.Msg.GetContext()})
		}
		return printConnection(cmd.OutOrStdout(), r.Msg)
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	a.flags(cmd, sys)
	return cmd
}

func printConnection(w io.Writer, r *weftv1.ConnectionsGetResponse) error {
	c := r.GetConnection()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	now := time.Now()
	line("id", c.GetId())
	line("listener", c.GetListener()+" ("+c.GetProtocol()+")")
	line("remote", c.GetRemote())
	line("state", connectionState(c))
	line("since", c.GetSince().AsTime().Local().Format(time.DateTime)+" ("+lasted(now.Sub(c.GetSince().AsTime()))+")")
	line("silent for", lasted(now.Sub(c.GetHeard().AsTime())))
	line("client id", c.GetClientId())
	line("node", c.GetNode())
	line("identity", c.GetIdentity())
	line("in, out", bytesText(int64(c.GetBytesIn()))+", "+bytesText(int64(c.GetBytesOut())))
	line("queued", bytesText(int64(c.GetQueuedBytes())))
	line("subscribed to", strings.Join(r.GetSubscriptions(), " "))
	line("queues", strings.Join(r.GetQueues(), " "))
	for _, name := range slices.Sorted(maps.Keys(r.GetContext())) {
		line("context "+name, r.GetContext()[name])
	}
	return t.Flush()
}

func connectionCloseCommand(sys system) *cobra.Command {
	var a api
	var sure confirmation
	cmd := &cobra.Command{
		Use:   "close ID...",
		Short: "Closes connections; what waits for them is dropped and counted",
		Long: `Closes connections; what waits for them is dropped and counted. It asks first, where a person can answer; a script says
--yes.`,
		Example: "weft connection close 0-12-1\nweft connection close 0-12-1 0-13-1 --yes",
		Args:    arguments(1, -1, "ids of connections, as weft connection list prints them"),
	}
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if err := sure.ask(cmd, sys, "Close "+plural(len(ids), "connection")+": "+strings.Join(ids, " "), "--yes"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		r, err := a.connections().Close(ctx, connect.NewRequest(&weftv1.ConnectionsCloseRequest{Ids: ids}))
		if err != nil {
			return a.failed(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "closed %d\n", r.Msg.GetClosed())
		for _, id := range r.Msg.GetGone() {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s had ended already\n", id)
		}
		return nil
	}
	cmd.Flags().SortFlags = false
	sure.flags(cmd)
	a.flags(cmd, sys)
	return cmd
}
