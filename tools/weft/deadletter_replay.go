package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type letterReplay struct {
	api         api
	filter      letterFilter
	all         bool
	pastPlugins bool
	to          string
	rate, limit uint32
	dryRun      bool
	json        bool
}

// letterResult is what replay --json prints for each letter, one to a line.
type letterResult struct {
	ID      uint64 `json:"id"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	Copies  uint32 `json:"copies,omitempty"`
	Removed bool   `json:"removed"`
	Topic   string `json:"topic,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
}

func deadLetterReplayCommand(sys system) *cobra.Command {
	var r letterReplay
	cmd := &cobra.Command{
		Use:   "replay [ID...]",
		Short: "Sends dead letters on their way again",
		Long: `Sends dead letters on their way again, the oldest first, and says what became of each.

A letter goes as it came, whatever brought it, through its listener's whole chain; one that a plugin made, from the plugin on
that failed on it. Where weft does not know what came (the letter is of a durable route's log, of another node, or of an
upstream pool after plugins had changed it) it says so: these go with --past-plugins or --to. Its sender gets no second
acknowledgement; an answer reaches it if it is still connected. One that is delivered or answered leaves the store, any
other stays, and none is kept twice. Letters that arrive during the replay are not part of it.
Exit code 1: a letter was not delivered.`,
		Example: `weft deadletter replay --plugin filter --dry-run      # which ones it would be
weft deadletter replay --plugin filter                # once the plugin is mended
weft deadletter replay 17 18 --past-plugins           # to their places, through no plugin
weft deadletter replay --cause fuel --to later/retry --rate 10`,
		Args: arguments(0, -1, "ids of letters, or flags that choose"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	r.filter.flags(cmd)
	f.BoolVar(&r.all, "all", false, "every letter")
	f.BoolVar(&r.pastPlugins, "past-plugins", false, "as they were when they failed, along the routes, through no plugin")
	f.StringVar(&r.to, "to", "", "as they were when they failed, published to this `TOPIC`")
	f.Uint32Var(&r.rate, "rate", 100, "letters a second, at most 10000")
	f.Uint32Var(&r.limit, "limit", 0, "at most so many (0: all that are chosen)")
	f.BoolVar(&r.dryRun, "dry-run", false, "only say which letters it would be")
	f.BoolVar(&r.json, "json", false, "print each result as one line of JSON")
	cmd.MarkFlagsMutuallyExclusive("past-plugins", "to")
	r.api.flags(cmd, sys)
	return cmd
}

func (r *letterReplay) request(args []string) (*weftv1.DeadLettersReplayRequest, error) {
	ids, err := letterIDs(args)
	if err != nil {
		return nil, err
	}
	if err := chooseLetters(ids, &r.filter, r.all); err != nil {
		return nil, err
	}
	request := &weftv1.DeadLettersReplayRequest{Ids: ids, Rate: r.rate, Limit: r.limit, DryRun: r.dryRun, Topic: r.to}
	if len(ids) == 0 {
		if request.Filter, err = r.filter.message(); err != nil {
			return nil, err
		}
	}
	switch {
	case r.rate == 0:
		return nil, usageError("--rate 0: expected 1 to 10000 letters a second")
	case r.pastPlugins:
		request.Way = weftv1.ReplayWay_REPLAY_WAY_PAST_PLUGINS
	case r.to != "":
		request.Way = weftv1.ReplayWay_REPLAY_WAY_TOPIC
	}
	return request, nil
}

func (r *letterReplay) run(cmd *cobra.Command, args []string) error {
	request, err := r.request(args)
	if err != nil {
		return err
	}
	stream, err := r.api.deadLetters().Replay(cmd.Context(), connect.NewRequest(request))
	if err != nil {
		return letterFailed(&r.api, err)
	}
	defer func() { _ = stream.Close() }()
	counts := map[string]int{}
	stayed, gone := 0, 0
	for stream.Receive() {
		m := stream.Msg()
		counts[m.Outcome]++
		switch {
		case m.Outcome == "gone":
			gone++
		case !m.Removed:
			stayed++
		}
		if err := r.print(cmd.OutOrStdout(), m); err != nil {
			return err
		}
	}
	note(cmd, "%s", replaySummary(counts, r.dryRun))
	if err := stream.Err(); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil // the person has ended it
		}
		return letterFailed(&r.api, err)
	}
	switch {
	case r.dryRun:
	case stayed > 0:
		return fail(exitRuntime, fmt.Errorf("not delivered, and kept: %s", plural(stayed, "letter")), "weft deadletter list shows them.")
	case gone > 0 && len(counts) == 1:
		return fail(exitUsage, fmt.Errorf("not there any more: %s", plural(gone, "letter")), "weft deadletter list shows those that are kept.")
	case gone > 0:
		return fail(exitRuntime, fmt.Errorf("not there any more: %s", plural(gone, "letter")), "weft deadletter list shows those that are kept.")
	}
	return nil
}

func (r *letterReplay) print(w io.Writer, m *weftv1.DeadLettersReplayResponse) error {
	if r.json {
		return json.NewEncoder(w).Encode(letterResult{m.Id, m.Outcome, m.Reason, m.Copies, m.Removed, m.Topic, m.Plugin})
	}
	line := fmt.Sprintf("%d %s", m.Id, m.Outcome)
	switch {
	case m.Outcome == "delivered":
		line += fmt.Sprintf(" to %d", m.Copies)
	case m.Reason != "":
		line += ": " + printable(m.Reason)
	}
	if m.Topic != "" {
		line += "  (" + printable(m.Topic) + ")"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func replaySummary(counts map[string]int, dryRun bool) string {
	var parts []string
	total := 0
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[outcome], outcome))
		total += counts[outcome]
	}
	switch {
	case total == 0:
		return "no letter is like that: nothing to replay"
	case dryRun:
		return fmt.Sprintf("%s: %s; without --dry-run this is done", plural(total, "letter"), strings.Join(parts, ", "))
	}
	return fmt.Sprintf("%s: %s", plural(total, "letter"), strings.Join(parts, ", "))
}
