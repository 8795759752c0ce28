package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/kernel"
)

func fastPathCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{Use: "fastpath", Short: "Shows and changes which sources may speak to listeners", Long: `Shows which sources may speak to listeners, what was dropped of them and where, and blocks sources. weft enforces that itself, and has
the kernel do so before a packet reaches it where the configuration has a kernel block.`, Example: `weft fastpath status
weft fastpath block 192.0.2.7 --for 1h --why "floods us"
weft fastpath list
weft fastpath unblock 192.0.2.7`,
		Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(fastPathStatusCommand(sys), fastPathListCommand(sys), fastPathBlockCommand(sys), fastPathUnblockCommand(sys), fastPathDetachCommand())
	return cmd
}

func (a *api) fastPath() weftv1connect.FastPathClient {
	return weftv1connect.NewFastPathClient(a.http(), a.url())
}

// fastPathStatus is the status as --json prints it.
type fastPathStatus struct {
	Kernel     bool              `json:"kernel"`
	Problem    string            `json:"problem,omitempty"`
	Interfaces []fastPathLink    `json:"interfaces"`
	Pin        string            `json:"pin,omitempty"`
	Entries    uint32            `json:"entries"`
	Limit      uint32            `json:"entries_limit"`
	CostNanos  int64             `json:"cost_ns,omitempty"`
	Owners     map[string]uint32 `json:"owners"`
	Counts     []fastPathCount   `json:"counts"`
	Top        []fastPathSource  `json:"top"`
}

type fastPathLink struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"`
	Problem string `json:"problem,omitempty"`
}

type fastPathCount struct {
	Listener string `json:"listener"`
	Reason   string `json:"reason"`
	Enforcer string `json:"enforcer"`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
}

type fastPathSource struct {
	Source   string    `json:"source"`
	Listener string    `json:"listener"`
	Reason   string    `json:"reason"`
	Packets  uint64    `json:"packets"`
	Last     time.Time `json:"last"`
}

func toFastPathStatus(s *weftv1.FastPathStatusResponse, top *weftv1.FastPathTopResponse) fastPathStatus {
	out := fastPathStatus{
		Kernel: s.GetKernel(), Problem: s.GetProblem(), Interfaces: []fastPathLink{}, Pin: s.GetPin(), Entries: s.GetEntries(), Limit: s.GetEntriesLimit(),
		CostNanos: s.GetCost().AsDuration().Nanoseconds(), Owners: s.GetOwners(), Counts: []fastPathCount{}, Top: []fastPathSource{},
	}
	for _, i := range s.GetInterfaces() {
		out.Interfaces = append(out.Interfaces, fastPathLink{i.GetName(), i.GetMode(), i.GetProblem()})
	}
	for _, c := range s.GetCounts() {
		out.Counts = append(out.Counts, fastPathCount{c.GetListener(), c.GetReason(), c.GetEnforcer(), c.GetPackets(), c.GetBytes()})
	}
	for _, t := range top.GetSources() {
		out.Top = append(out.Top, fastPathSource{t.GetSource(), t.GetListener(), t.GetReason(), t.GetPackets(), t.GetLast().AsTime()})
	}
	return out
}

func fastPathStatusCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows where sources are filtered, what was dropped, and of whom",
		Long: `Shows where sources are filtered, how many packets passed or were dropped for which reason (of the kernel each packet, of the engine
datagrams, and connections when they are accepted), and the sources of which most was dropped in the last minute or two, estimated from samples.`,
		Example: `weft fastpath status
weft fastpath status --json | jq '.counts[] | select(.reason != "pass")'`,
		Args: arguments(0, 0, "no arguments"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		s, err := a.fastPath().Status(ctx, connect.NewRequest(&weftv1.FastPathStatusRequest{}))
		if err != nil {
			return a.failed(err)
		}
		top, err := a.fastPath().Top(ctx, connect.NewRequest(&weftv1.FastPathTopRequest{}))
		if err != nil {
			return a.failed(err)
		}
		shown := toFastPathStatus(s.Msg, top.Msg)
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
		}
		return printFastPath(cmd.OutOrStdout(), &shown)
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	a.flags(cmd, sys)
	return cmd
}

func printFastPath(w io.Writer, s *fastPathStatus) error {
	switch {
	case s.Kernel && s.Problem != "":
		fmt.Fprintf(w, "The kernel does not take changes; weft enforces them alone: %s\n", s.Problem)
	case s.Kernel && !slices.ContainsFunc(s.Interfaces, func(i fastPathLink) bool { return i.Mode != "" }):
		fmt.Fprintln(w, "weft enforces the rules alone: the kernel does on no interface.")
	case s.Kernel:
		fmt.Fprintln(w, "The kernel and weft enforce the rules.")
	case s.Problem != "":
		fmt.Fprintf(w, "weft enforces the rules alone: %s\n", s.Problem)
	default:
		fmt.Fprintln(w, "weft enforces the rules; the configuration has no kernel block.")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range s.Interfaces {
		mode := i.Mode
		if mode == "" {
			mode = "not attached"
		}
		fmt.Fprintf(t, "interface\t%s\t%s\t%s\n", i.Name, mode, i.Problem)
	}
	if s.Pin != "" {
		fmt.Fprintf(t, "kept in\t%s\n", s.Pin)
	}
	if s.CostNanos > 0 {
		fmt.Fprintf(t, "cost a packet\t%s\n", time.Duration(s.CostNanos))
	}
	fmt.Fprintf(t, "entries\t%d of %d\n", s.Entries, s.Limit)
	for _, owner := range slices.Sorted(maps.Keys(s.Owners)) {
		fmt.Fprintf(t, "rules of\t%s\t%d\n", owner, s.Owners[owner])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(s.Counts) > 0 {
		fmt.Fprintln(t, "\nLISTENER\tREASON\tBY\tPACKETS\tBYTES")
		for _, c := range s.Counts {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", c.Listener, c.Reason, c.Enforcer, c.Packets, bytesText(int64(c.Bytes)))
		}
	}
	if len(s.Top) > 0 {
		fmt.Fprintln(t, "\nDROPPED MOST\tLISTENER\tREASON\tPACKETS\tLAST")
		for _, x := range s.Top {
			fmt.Fprintf(t, "%s\t%s\t%s\tabout %d\t%s\n", x.Source, x.Listener, x.Reason, x.Packets, lasted(time.Since(x.Last)))
		}
	}
	return t.Flush()
}

// fastPathRule is a rule as --json prints it.
type fastPathRule struct {
	Owner     string     `json:"owner"`
	Listener  string     `json:"listener,omitempty"`
	Prefix    string     `json:"prefix"`
	Action    string     `json:"action"`
	Since     time.Time  `json:"since"`
	Until     *time.Time `json:"until,omitempty"`
	Why       string     `json:"why,omitempty"`
	Overruled bool       `json:"overruled"`
}

func toFastPathRule(r *weftv1.FastPathRule) fastPathRule {
	out := fastPathRule{Owner: r.GetOwner(), Listener: r.GetListener(), Prefix: r.GetPrefix(), Action: r.GetAction(), Since: r.GetSince().AsTime(), Why: r.GetWhy(), Overruled: r.GetOverruled()}
	if r.GetUntil() != nil {
		until := r.GetUntil().AsTime()
		out.Until = &until
	}
	return out
}

// printRules prints rules: JSON one a line, or a table.
func printRules(w io.Writer, rules []*weftv1.FastPathRule, asJSON bool) error {
	if asJSON {
		return printLines(w, rules, toFastPathRule)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PREFIX\tACTION\tLISTENER\tOWNER\tLEFT\tWHY")
	for _, r := range rules {
		listener, left, why := r.GetListener(), "for ever", r.GetWhy()
		if listener == "" {
			listener = "(all)"
		}
		if r.GetUntil() != nil {
			left = remaining(time.Until(r.GetUntil().AsTime()))
		}
		if r.GetOverruled() {
			why = "OVERRULED " + why
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.GetPrefix(), r.GetAction(), listener, r.GetOwner(), left, why)
	}
	return t.Flush()
}

// remaining writes how long something still holds, as it was asked for: an hour is not
// 59m59s a moment later.
func remaining(d time.Duration) string { return lasted(d + time.Second - 1) }

func fastPathListCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var want weftv1.FastPathListRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists rules: the configuration's, operators', plugins'",
		Example: `weft fastpath list
weft fastpath list --source 192.0.2.7         # what is said about it?
weft fastpath list --owner operator --json | jq -r .prefix`,
		Args: arguments(0, 0, "no arguments; --source and other flags choose"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		r, err := a.fastPath().List(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		if n := len(r.Msg.GetRules()); uint32(n) < r.Msg.GetTotal() {
			defer fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d; narrow them down, or list more by -n\n", n, r.Msg.GetTotal())
		} else if n == 0 && !asJSON {
			fmt.Fprintln(cmd.ErrOrStderr(), "There is no such rule: each listener's default holds.")
			return nil
		}
		return printRules(cmd.OutOrStdout(), r.Msg.GetRules(), asJSON)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&want.Source, "source", "", "only those about this `ADDRESS`")
	f.StringVar(&want.Owner, "owner", "", "only those of this `OWNER`: config, operator, plugin:NAME, policy:frame, policy:auth, kept")
	f.StringVar(&want.Listener, "listener", "", "only those that hold for this `LISTENER`")
	f.Uint32VarP(&want.Size, "count", "n", 1000, "list so many, 10000 at most")
	f.BoolVar(&asJSON, "json", false, "print JSON, a rule a line")
	a.flags(cmd, sys)
	return cmd
}

func fastPathBlockCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var ttl time.Duration
	var yes bool
	var want weftv1.FastPathBlockRequest
	cmd := &cobra.Command{
		Use:   "block SOURCE",
		Short: "Blocks an address or a prefix, at once",
		Long: `Blocks an address or a prefix. New connections of it are refused, its datagrams dropped, and the connections that it has are closed.
An operator's rules go before all others. A prefix of more than sixteen million addresses, or of more than a provider has, is blocked
with --yes alone: 10.0.0.0/7, 2001:db8::/18 and what is shorter.`,
		Example: `weft fastpath block 192.0.2.7 --for 1h --why "floods us"
weft fastpath block 2001:db8::/48 --listener trucks`,
		Args: arguments(1, 1, "one address or prefix, such as 192.0.2.7 or 10.0.0.0/8"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if ttl < 0 {
			return usageError("--for %s: expected a time such as 1h, or 0 for ever", ttl)
		}
		if wide(args[0]) && !yes {
			return usageError("%s: so short a prefix may be everybody, you too; nothing was blocked: --yes does it", args[0])
		}
		want.Source, want.Ttl = args[0], durationpb.New(ttl)
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		r, err := a.fastPath().Block(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		if !asJSON {
			defer fmt.Fprintf(cmd.ErrOrStderr(), "to end it: weft fastpath unblock %s\n", r.Msg.GetRules()[0].GetPrefix())
		}
		return printRules(cmd.OutOrStdout(), r.Msg.GetRules(), asJSON)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&ttl, "for", 0, "for how long; 0 until it is unblocked (or weft ends, where no kernel keeps it)")
	f.StringSliceVar(&want.Listeners, "listener", nil, "only at this `LISTENER`; can be given more than once")
	f.StringVar(&want.Why, "why", "", "`TEXT` for whoever lists the rules")
	f.BoolVarP(&yes, "yes", "y", false, "block a very short prefix, too")
	f.BoolVar(&asJSON, "json", false, "print JSON, a rule a line")
	a.flags(cmd, sys)
	return cmd
}

// The shortest prefixes that are blocked without a question.
const (
	shortest4 = 8
	shortest6 = 19
)

// wide tells whether the text is a prefix that is too short to block it by mistake.
func wide(text string) bool {
	p, err := netip.ParsePrefix(text)
	return err == nil && (p.Addr().Is4() && p.Bits() < shortest4 || p.Addr().Is6() && p.Bits() < shortest6)
}

func fastPathUnblockCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var want weftv1.FastPathUnblockRequest
	cmd := &cobra.Command{
		Use:     "unblock SOURCE",
		Short:   "Removes the blocks of an address or a prefix, whoever has set them",
		Long:    `Removes the blocks of exactly this address or prefix, whoever has set them, but not what the configuration denies.`,
		Example: "weft fastpath unblock 192.0.2.7",
		Args:    arguments(1, 1, "one address or prefix, as weft fastpath list prints it"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		want.Source = args[0]
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		r, err := a.fastPath().Unblock(ctx, connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		if still := r.Msg.GetStill(); still != nil {
			defer fmt.Fprintf(cmd.ErrOrStderr(), "it is still denied: %s by %s\n", still.GetPrefix(), still.GetOwner())
		}
		return printRules(cmd.OutOrStdout(), r.Msg.GetRules(), asJSON)
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&want.Listener, "listener", "", "only the rules of this `LISTENER`")
	f.BoolVar(&asJSON, "json", false, "print JSON, a rule a line")
	a.flags(cmd, sys)
	return cmd
}

func fastPathDetachCommand() *cobra.Command {
	var pin string
	cmd := &cobra.Command{
		Use:   "detach",
		Short: "Removes everything that weft has left in the kernel",
		Long: `Removes programs, rules and counters that weft has left in the kernel (kernel.keep), so that no packet is dropped any more. It needs no
running weft; one that runs notices within seconds, and goes on filtering by itself until it is started again.`,
		Example: `weft fastpath detach                              # as root
weft fastpath detach --pin /sys/fs/bpf/other`,
		Args: arguments(0, 0, "no arguments"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		err := kernel.Detach(pin)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(cmd.ErrOrStderr(), "Nothing of weft's is there: %s\n", pin)
			return nil
		case errors.Is(err, fs.ErrPermission):
			return fail(exitRuntime, err, "run it as root, or with the capabilities BPF and NET_ADMIN")
		case err != nil:
			return fail(exitRuntime, err, "")
		}
		fmt.Fprintf(cmd.OutOrStdout(), "detached %s\n", pin)
		return nil
	}
	cmd.Flags().StringVar(&pin, "pin", kernel.DefaultPin, "`FOLDER` in a bpffs, as kernel.pin has it")
	return cmd
}
