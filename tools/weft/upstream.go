package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

func upstreamCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{Use: "upstream", Short: "Shows the pools of servers that routes send messages to", Example: "weft upstream list",
		Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(upstreamListCommand(sys))
	return cmd
}

// memberReport is a member as weft upstream list --json prints it, one a line.
type memberReport struct {
	Pool      string            `json:"pool"`
	Member    string            `json:"member"`
	Weight    uint32            `json:"weight"`
	Up        bool              `json:"up"`
	Why       string            `json:"why,omitempty"`
	Breaker   string            `json:"breaker"`
	InFlight  uint32            `json:"in_flight"`
	Requests  uint64            `json:"requests"`
	Failures  uint64            `json:"failures"`
	Results   map[string]uint64 `json:"results,omitempty"`
	P50Millis float64           `json:"p50_ms"`
	P99Millis float64           `json:"p99_ms"`
	Check     string            `json:"check_error,omitempty"`
}

func upstreamListCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "list [POOL...]",
		Short: "Lists the members of pools: who gets messages, how they end, how long they take",
		Long: `Lists the members of upstream pools: whether they get messages and if not why, the state of their circuit breaker, what is under way, how many tries have ended and how many failed, and how long half and 99 of 100 of them took at most (the bounds of a histogram).

The exit code is 1 if a pool has no member that gets messages.`,
		Example: `weft upstream list
weft upstream list billing --json | jq 'select(.up | not)'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			r, err := weftv1connect.NewUpstreamsClient(a.http(), a.url()).List(ctx, connect.NewRequest(&weftv1.UpstreamsListRequest{Names: names}))
			if err != nil {
				return a.failed(err)
			}
			if asJSON {
				err = printMembers(cmd.OutOrStdout(), r.Msg.GetPools())
			} else {
				err = printPools(cmd.OutOrStdout(), cmd.ErrOrStderr(), r.Msg.GetPools())
			}
			if err == nil && !served(r.Msg.GetPools()) {
				err = &failure{code: exitRuntime, err: errReported}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "print JSON, a member a line; durations are in ms")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "give up after this long")
	a.flags(cmd, sys)
	return cmd
}

// served tells whether every pool has a member that gets messages.
func served(pools []*weftv1.UpstreamPool) bool {
	for _, p := range pools {
		up := false
		for _, m := range p.GetMembers() {
			up = up || m.GetUp()
		}
		if !up {
			return false
		}
	}
	return true
}

func printMembers(w io.Writer, pools []*weftv1.UpstreamPool) error {
	out := json.NewEncoder(w)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, p := range pools {
		for _, m := range p.GetMembers() {
			if err := out.Encode(memberReport{
				Pool: p.GetName(), Member: m.GetAddress(), Weight: m.GetWeight(), Up: m.GetUp(), Why: m.GetWhy(), Breaker: m.GetBreaker(), InFlight: m.GetInFlight(),
				Requests: m.GetRequests(), Failures: m.GetFailures(), Results: m.GetResults(), P50Millis: ms(m.GetP50().AsDuration()), P99Millis: ms(m.GetP99().AsDuration()), Check: m.GetCheckError(),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func printPools(w, words io.Writer, pools []*weftv1.UpstreamPool) error {
	if len(pools) == 0 {
		fmt.Fprintln(words, "There is no pool: the configuration has no upstreams.")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POOL\tMEMBER\tSTATE\tBREAKER\tIN FLIGHT\tREQUESTS\tFAILURES\tP50\tP99")
	for _, p := range pools {
		for _, m := range p.GetMembers() {
			state := "up"
			if !m.GetUp() {
				state = "DOWN: " + m.GetWhy()
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", p.GetName(), m.GetAddress(), state, m.GetBreaker(), m.GetInFlight(), m.GetRequests(), m.GetFailures(),
				tookText(m.GetP50().AsDuration()), tookText(m.GetP99().AsDuration()))
		}
		if len(p.GetMembers()) == 0 {
			fmt.Fprintf(t, "%s\t(none found by %s)\t\t\t\t\t\t\t\n", p.GetName(), p.GetDiscovery())
		}
	}
	return t.Flush()
}

func tookText(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return "<=" + d.String()
}
