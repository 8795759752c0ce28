package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// logCommand holds everything about the logs of durable routes of a running weft.
func logCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Shows the logs of durable routes, and replays what is in them",
		Long: `Shows the logs of durable routes, and replays what is in them.

A route with "durable: {}" writes each message to its log before the sender gets its acknowledgement, and delivers it from
there. What has been delivered stays as long as durable.size, messages and age allow, unless durable.keep is delivered.`,
		Example: `weft log list                                 # how much is in each, and who has still to get what
weft log show orders --since 10m              # the entries of the last ten minutes
weft log replay orders --since 1h --topic again/orders`,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(logListCommand(sys), logShowCommand(sys), logReplayCommand(sys))
	return cmd
}

func (a *api) logs() weftv1connect.LogsClient {
	return weftv1connect.NewLogsClient(a.http(), a.url())
}

// logFailed is api.failed for calls about logs.
func logFailed(a *api, err error) error {
	if connect.CodeOf(err) == connect.CodeNotFound {
		return fail(exitUsage, a.said(err), "weft log list shows the durable routes.")
	}
	return a.failed(err)
}

// logRange is the flags that choose the first entry.
type logRange struct {
	from  uint64
	since time.Duration
	at    string
}

func (l *logRange) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64Var(&l.from, "from", 0, "begin with the entry of this number (0: the oldest)")
	f.DurationVar(&l.since, "since", 0, "begin with what came not longer ago than this, such as 10m")
	f.StringVar(&l.at, "at", "", "begin with what came at this `TIME` (RFC 3339) or later")
	cmd.MarkFlagsMutuallyExclusive("from", "since", "at")
}

// time is where to begin; nil where a number says it, or nothing.
func (l *logRange) time() (*timestamppb.Timestamp, error) {
	switch {
	case l.since < 0:
		return nil, usageError("--since %s: expected a time to look back, such as 10m", l.since)
	case l.since > 0:
		return timestamppb.New(time.Now().Add(-l.since)), nil
	case l.at != "":
		t, err := time.Parse(time.RFC3339, l.at)
		if err != nil {
			return nil, usageError("--at %q: expected a time such as %s", l.at, time.Now().Format(time.RFC3339))
		}
		return timestamppb.New(t), nil
	}
	return nil, nil
}

// logLine is a log as list --json prints it.
type logLine struct {
	Route   string      `json:"route"`
	First   uint64      `json:"first_seq"`
	Last    uint64      `json:"last_seq"`
	Entries uint64      `json:"entries"`
	Bytes   uint64      `json:"bytes"`
	Oldest  *time.Time  `json:"oldest,omitempty"`
	Newest  *time.Time  `json:"newest,omitempty"`
	Pending uint64      `json:"pending"`
	Delayed uint64      `json:"delayed"`
	Readers []logReader `json:"readers"`
}

type logReader struct {
	Name string `json:"name"`
	Seq  uint64 `json:"seq"`
	Lag  uint64 `json:"lag"`
}

func logListCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the logs: how much is in each, and who has still to get what",
		Long: `Lists the logs of durable routes: the numbers of the oldest and the newest entry, how many there are, their bytes, the age
of the oldest; then who takes entries out: this node for destinations that fan out, and each destination that takes a
message once in the cluster. Numbers of entries grow, with gaps.`,
		Example: `weft log list
weft log list --json | jq '.readers[] | select(.lag > 0)'`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			r, err := a.logs().List(ctx, connect.NewRequest(&weftv1.LogsListRequest{}))
			if err != nil {
				return logFailed(&a, err)
			}
			return printLogs(cmd, r.Msg.Logs, asJSON)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "print JSON, a log a line")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "give up after this long")
	a.flags(cmd, sys)
	return cmd
}

func printLogs(cmd *cobra.Command, logs []*weftv1.Log, asJSON bool) error {
	w := cmd.OutOrStdout()
	if asJSON {
		return printLines(w, logs, func(l *weftv1.Log) logLine {
			line := logLine{Route: l.Route, First: l.FirstSeq, Last: l.LastSeq, Entries: l.Entries, Bytes: l.Bytes, Pending: l.Pending, Delayed: l.Delayed, Readers: []logReader{}}
			if l.Oldest != nil {
				oldest, newest := l.Oldest.AsTime(), l.Newest.AsTime()
				line.Oldest, line.Newest = &oldest, &newest
			}
			for _, r := range l.Readers {
				line.Readers = append(line.Readers, logReader{r.Name, r.Seq, r.Lag})
			}
			return line
		})
	}
	if len(logs) == 0 {
		note(cmd, `no route is durable: write "durable: {}" into one`)
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROUTE\tFIRST\tLAST\tENTRIES\tBYTES\tOLDEST\tDELAYED\tREADER\tLAG")
	for _, l := range logs {
		age := "-"
		if l.Oldest != nil {
			age = time.Since(l.Oldest.AsTime()).Round(time.Second).String()
		}
		head := fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%s\t%d", l.Route, l.FirstSeq, l.LastSeq, l.Entries, l.Bytes, age, l.Delayed)
		for _, r := range l.Readers {
			fmt.Fprintf(t, "%s\t%s\t%d\n", head, r.Name, r.Lag)
			head = "\t\t\t\t\t\t"
		}
		if len(l.Readers) == 0 {
			fmt.Fprintf(t, "%s\t-\t-\n", head)
		}
	}
	return t.Flush()
}

// logEntryLine is an entry as show --json prints it, one to a line.
type logEntryLine struct {
	Seq        uint64            `json:"seq"`
	Time       time.Time         `json:"time"`
	Node       string            `json:"node,omitempty"`
	From       string            `json:"from,omitempty"`
	Listener   string            `json:"listener,omitempty"`
	Topic      string            `json:"topic"`
	QoS        uint32            `json:"qos"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Payload    []byte            `json:"payload"` // base64
}

type logShowing struct {
	api     api
	first   logRange
	count   uint32
	timeout time.Duration
	json    bool
}

func logShowCommand(sys system) *cobra.Command {
	var s logShowing
	cmd := &cobra.Command{
		Use:   "show ROUTE",
		Short: "Shows entries of a durable route's log",
		Long: `Shows entries of a durable route's log, the oldest first. What devices send may hold secrets.

Text is shown as text, other bytes in hexadecimal.`,
		Example: `weft log show orders                          # the oldest ones
weft log show orders --since 10m --count 100
weft log show orders --from 8192 --json`,
		Args: arguments(1, 1, "the name of a durable route, which weft log list shows"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	s.first.flags(cmd)
	f.Uint32VarP(&s.count, "count", "n", 20, "so many entries, at most 1000")
	f.BoolVar(&s.json, "json", false, "print each entry as one line of JSON, its payload in base64")
	f.DurationVar(&s.timeout, "timeout", 10*time.Second, "give up after this long")
	s.api.flags(cmd, sys)
	return cmd
}

func (s *logShowing) run(cmd *cobra.Command, route string) error {
	at, err := s.first.time()
	if err != nil {
		return err
	}
	if s.count == 0 || s.count > 1000 {
		return usageError("--count %d: expected 1 to 1000", s.count)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	r, err := s.api.logs().Read(ctx, connect.NewRequest(&weftv1.LogsReadRequest{
		Route: route, FromSeq: s.first.from, FromTime: at, Limit: s.count, As: weftv1.Encoding_ENCODING_BYTES,
	}))
	if err != nil {
		return logFailed(&s.api, err)
	}
	for _, e := range r.Msg.Entries {
		if err := s.print(cmd.OutOrStdout(), e); err != nil {
			return err
		}
	}
	switch {
	case len(r.Msg.Entries) == 0:
		note(cmd, "no entries from there on")
	case r.Msg.NextSeq != 0:
		note(cmd, "there may be more: --from %d", r.Msg.NextSeq)
	}
	return nil
}

func (s *logShowing) print(w io.Writer, e *weftv1.LogEntry) error {
	m := e.Message
	if s.json {
		return json.NewEncoder(w).Encode(logEntryLine{e.Seq, asTime(e.Time), e.Node, e.From, m.GetListener(), m.GetTopic(), m.GetQos(), m.GetAttributes(), m.GetPayload()})
	}
	fmt.Fprintf(w, "%d  %s  %s  qos %d  from %s at %s", e.Seq, clockText(asTime(e.Time)), printable(m.GetTopic()), m.GetQos(), orDash(printable(e.From)), orDash(printable(e.Node)))
	if text := valuesText(m.GetAttributes()); text != "" {
		fmt.Fprintf(w, "  %s", text)
	}
	_, err := fmt.Fprintf(w, "\n%s", (&letterShowing{}).bytes(m.GetPayload()))
	return err
}

type logReplay struct {
	api            api
	first          logRange
	to             uint64
	limit          uint64
	topic, toRoute string
	all            bool
	json           bool
}

// logReplayed is what replay --json prints.
type logReplayed struct {
	Replayed uint64            `json:"replayed"`
	Taken    uint64            `json:"taken"`
	Dropped  map[string]uint32 `json:"dropped"`
}

func logReplayCommand(sys system) *cobra.Command {
	var r logReplay
	cmd := &cobra.Command{
		Use:   "replay ROUTE",
		Short: "Sends entries of a durable route's log on their way again",
		Long: `Sends entries of a durable route's log on their way again, in order, as new messages: to their own topic along the routes,
to another topic (--topic), or along a route whatever its condition says and past its plugins (--to-route). Entries that
come during the replay are not part of it. What is replayed into a durable route gets a new place in that route's log; an
id that the log still remembers (durable.id, window) is a duplicate there.
Exit code 1: nobody took some of them.`,
		Example: `weft log replay orders --since 1h --topic again/orders
weft log replay orders --from 8192 --to 9216
weft log replay orders --all --to-route archive`,
		Args: arguments(1, 1, "the name of a durable route, which weft log list shows"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	r.first.flags(cmd)
	f.Uint64Var(&r.to, "to", 0, "end with the entry of this number (0: the newest now)")
	f.BoolVar(&r.all, "all", false, "begin with the oldest")
	f.StringVar(&r.topic, "topic", "", "publish them to this `TOPIC`")
	f.StringVar(&r.toRoute, "to-route", "", "take them along this `ROUTE`")
	f.Uint64Var(&r.limit, "limit", 0, "at most so many (0: all that are chosen)")
	f.BoolVar(&r.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("topic", "to-route")
	r.api.flags(cmd, sys)
	return cmd
}

// replayPage is how many entries one call replays.
const replayPage = 1000

func (r *logReplay) run(cmd *cobra.Command, route string) error {
	at, err := r.first.time()
	if err != nil {
		return err
	}
	if chosen := r.first.from != 0 || at != nil; chosen == r.all {
		return usageError("say where to begin: --from, --since or --at, or --all for the oldest")
	}
	request := &weftv1.LogsReplayRequest{Route: route, FromSeq: r.first.from, FromTime: at, ToSeq: r.to, Topic: r.topic, ToRoute: r.toRoute}
	sum := logReplayed{Dropped: map[string]uint32{}}
	for {
		request.Limit = replayPage
		if r.limit > 0 {
			request.Limit = uint32(min(r.limit-sum.Replayed, replayPage))
		}
		answer, err := r.api.logs().Replay(cmd.Context(), connect.NewRequest(request))
		if err != nil {
			return logFailed(&r.api, err)
		}
		m := answer.Msg
		sum.Replayed += uint64(m.Replayed)
		sum.Taken += uint64(m.Taken)
		for reason, n := range m.Dropped {
			sum.Dropped[reason] += n
		}
		if m.NextSeq == 0 || m.Replayed == 0 || r.limit > 0 && sum.Replayed >= r.limit {
			break
		}
		request.FromSeq, request.FromTime, request.ToSeq = m.NextSeq, nil, m.ToSeq
	}
	if r.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(sum); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s replayed, %d taken\n", route, strconv.FormatUint(sum.Replayed, 10), sum.Taken)
		for reason, n := range sum.Dropped {
			fmt.Fprintf(cmd.OutOrStdout(), "  %d not taken: %s\n", n, reason)
		}
	}
	if sum.Taken < sum.Replayed {
		return fail(exitRuntime, fmt.Errorf("%d of %d entries were taken by nobody", sum.Replayed-sum.Taken, sum.Replayed), "")
	}
	return nil
}
