package main

import (
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// deadLetterCommand holds everything about dead letters of a running weft.
func deadLetterCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "Shows, replays and deletes messages that could not be handled",
		Long: `Shows, replays and deletes messages that could not be handled: those on which a plugin with "on_failure: quarantine" failed,
and those that a plugin or a route has sent to dead-letter.

They are kept in memory, within dead_letter.keep and dead_letter.size of the configuration: a restart of weft forgets them.`,
		Example: `weft deadletter list                          # how many of which kind, and the newest
weft deadletter show 17                       # one, with its bytes
weft deadletter replay --plugin filter        # through the plugins again, once the plugin is mended
weft deadletter purge --plugin filter --yes`,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(deadLetterListCommand(sys), deadLetterShowCommand(sys), deadLetterReplayCommand(sys), deadLetterPurgeCommand(sys))
	return cmd
}

func (a *api) deadLetters() weftv1connect.DeadLettersClient {
	return weftv1connect.NewDeadLettersClient(a.http(), a.url())
}

// letterFailed is api.failed for calls about dead letters.
func letterFailed(a *api, err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeNotFound:
		return fail(exitUsage, a.said(err), "weft deadletter list shows those that are kept.")
	case connect.CodeFailedPrecondition:
		return fail(exitRuntime, a.said(err), "Set dead_letter.keep in the configuration.")
	}
	return a.failed(err)
}

// letterFilter is the flags that choose letters.
type letterFilter struct {
	plugin, cause, topic, listener string
	generation                     uint64
	since                          time.Duration
}

func (l *letterFilter) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&l.plugin, "plugin", "p", "", "only letters of this plugin")
	f.Uint64Var(&l.generation, "generation", 0, "only letters of this generation of the plugin")
	f.StringVar(&l.cause, "cause", "", "only letters with this cause: route, untaken, conversion, plugin, trap, fuel, depth, fault, back_off or buffer")
	f.StringVarP(&l.topic, "topic", "t", "", "only messages whose topics match this `PATTERN`")
	f.StringVarP(&l.listener, "listener", "l", "", "only messages that came in by this listener")
	f.DurationVar(&l.since, "since", 0, "only letters not older than this, such as 1h")
	_ = cmd.RegisterFlagCompletionFunc("cause", cobra.FixedCompletions(letterCauses, cobra.ShellCompDirectiveNoFileComp))
}

var letterCauses = []string{"route", "untaken", "conversion", "plugin", "trap", "fuel", "depth", "fault", "back_off", "buffer"}

// empty tells whether no flag was given.
func (l *letterFilter) empty() bool { return *l == letterFilter{} }

func (l *letterFilter) message() (*weftv1.DeadLetterFilter, error) {
	if l.cause != "" {
		if err := oneOf("cause", l.cause, letterCauses...); err != nil {
			return nil, err
		}
	}
	if l.since < 0 {
		return nil, usageError("--since %s: expected a time to look back, such as 1h", l.since)
	}
	m := &weftv1.DeadLetterFilter{Plugin: l.plugin, Cause: l.cause, Topic: l.topic, Listener: l.listener, Generation: l.generation}
	if l.since > 0 {
		m.Since = timestamppb.New(time.Now().Add(-l.since))
	}
	return m, nil
}

// letterIDs reads ids from the command line.
func letterIDs(args []string) ([]uint64, error) {
	ids := make([]uint64, 0, len(args))
	for _, text := range args {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil || id == 0 {
			return nil, usageError("%q is no letter's id: expected a number that weft deadletter list shows", text)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// chooseLetters checks that letters are named in one way: by ids, by a filter, or
// all of them.
func chooseLetters(ids []uint64, filter *letterFilter, all bool) error {
	ways := 0
	for _, given := range []bool{len(ids) > 0, !filter.empty(), all} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return usageError("name letters by their ids or by a filter such as --plugin, or give --all")
	case ways > 1:
		return usageError("ids, a filter and --all exclude each other")
	}
	return nil
}

// plural is a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
