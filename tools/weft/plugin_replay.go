package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/recording"
)

// replay runs a recording through a candidate.
type replay struct {
	with    setup
	against string
	fail    bool
	show    int
	json    bool
}

func pluginReplayCommand(sys system) *cobra.Command {
	var r replay
	cmd := &cobra.Command{
		Use:   "replay CANDIDATE.wasm RECORDING",
		Short: "Shows what another version of a plugin makes of recorded traffic",
		Long: `Hands the messages of a recording (weft plugin record) to a candidate, in the batches in which they came, at the time at which
they came, and shows each message of which it makes something else than the recorded plugin did: verdict, topic, attributes,
payload, context, what it emits and subscribes to. With --against the other side is a module instead of what was recorded.

Sessions have the contexts that were recorded, and nothing leaves this machine: a candidate that is granted http has no
network here.`,
		Example: `weft plugin replay new/filter.wasm traffic.jsonl -c weft.yaml
weft plugin replay new/filter.wasm traffic.jsonl --against filter.wasm --fail-on-difference`,
		Args: arguments(2, 2, "a module and a recording"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, sys, args[0], args[1]) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&r.against, "against", "", "compare with this `MODULE` instead of with what was recorded")
	cmd.Flags().BoolVar(&r.fail, "fail-on-difference", false, "exit code 5 if anything differs")
	cmd.Flags().IntVar(&r.show, "show", 20, "print at most so many messages that differ (0: all)")
	r.with.flags(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON")
	return cmd
}

func (r *replay) run(cmd *cobra.Command, sys system, module, file string) error {
	if r.show < 0 {
		return usageError("--show %d: expected 0 or more", r.show)
	}
	f, err := os.Open(file)
	if err != nil {
		return fail(exitConfig, err, "weft plugin record makes a recording.")
	}
	defer f.Close()
	in, err := recording.NewReader(f)
	if err != nil {
		return fail(exitConfig, fmt.Errorf("%s: %w", file, err), "")
	}
	header := in.Header()
	if r.against == "" && header.Plugin == "" && len(header.Chain) != 1 {
		return fail(exitConfig, fmt.Errorf("%s is what the chain %s made of its messages, not one plugin", file, strings.Join(header.Chain, ", ")),
			"Record with --plugin NAME, or name the live module with --against.")
	}
	if r.with.name == "" && r.with.from.file != "" {
		r.with.name = header.Plugin
	}
	listeners, err := listenersOf(in)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		in, err = recording.NewReader(f)
	}
	if err != nil {
		return fail(exitConfig, fmt.Errorf("%s: %w", file, err), "")
	}
	sides, err := r.sides(cmd.Context(), sys, module, listeners)
	if err != nil {
		return err
	}
	report, err := r.play(cmd.Context(), in, sides)
	for _, s := range sides {
		err = errors.Join(err, s.close(cmd.Context()))
	}
	if err != nil {
		return fail(exitConfig, fmt.Errorf("%s: %w", file, err), "")
	}
	report.CutOff = in.End() == nil
	if r.json {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	} else {
		err = report.print(cmd.OutOrStdout())
	}
	if err == nil && r.fail && report.Different > 0 {
		return &failure{code: exitFailed, err: errReported}
	}
	return err
}

// sides are the candidate and, if there is one, the module to compare it with.
func (r *replay) sides(ctx context.Context, sys system, module string, listeners []string) ([]*side, error) {
	var sides []*side
	for _, file := range []string{module, r.against} {
		if file == "" {
			continue
		}
		s, err := r.side(ctx, sys, file, listeners)
		if err != nil {
			for _, have := range sides {
				err = errors.Join(err, have.close(ctx))
			}
			return nil, err
		}
		sides = append(sides, s)
	}
	return sides, nil
}

// side is one of two modules, with a place for what it makes of a batch.
type side struct {
	*trial
	listeners []string
	made      []made
}

func (r *replay) side(ctx context.Context, sys system, file string, listeners []string) (*side, error) {
	wasm, err := readModule(file)
	if err != nil {
		return nil, err
	}
	spec, err := r.with.spec(sys, file, wasm)
	if err != nil {
		return nil, err
	}
	t, err := newTrial(ctx, spec, listeners, plugins.EnvConfig{})
	if err != nil {
		return nil, err
	}
	t.clock.set(0) // the recording says what time it is
	return &side{trial: t, listeners: listeners}, nil
}

// maxListeners bounds how many names of listeners a recording can have.
const maxListeners = 1024

// listenersOf reads a recording for the names of its listeners, which a chain
// must know before it sees a message.
func listenersOf(in *recording.Reader) ([]string, error) {
	names := []string{}
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, e.Listener) {
			if names = append(names, e.Listener); len(names) > maxListeners {
				return nil, fmt.Errorf("line %d: the messages of more than %d listeners", in.Line(), maxListeners)
			}
		}
	}
}

// play reads the recording batch by batch.
func (r *replay) play(ctx context.Context, in *recording.Reader, sides []*side) (*replayReport, error) {
	report := &replayReport{Differences: []messageDifference{}, Fields: map[string]uint64{}, Causes: map[string]uint64{}}
	var batch []*recording.Entry
	var lines []int
	for {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		e, err := in.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return report, err
		}
		end := err != nil
		if !end && e.Hook == abi.HookResume.String() {
			report.Resumed++
			continue
		}
		if len(batch) > 0 && (end || e.Batch != batch[0].Batch || e.Hook != batch[0].Hook) {
			if err := r.batch(batch, lines, sides, report); err != nil {
				return report, err
			}
			batch, lines = batch[:0], lines[:0]
		}
		if end {
			report.fuel(sides)
			return report, nil
		}
		batch, lines = append(batch, e), append(lines, in.Line())
	}
}

// batch runs one batch through the sides and compares.
func (r *replay) batch(batch []*recording.Entry, lines []int, sides []*side, report *replayReport) error {
	for _, s := range sides {
		if err := s.run(batch); err != nil {
			return err
		}
	}
	live := recordedOf(batch)
	if len(sides) > 1 {
		live = sides[1].made
	}
	for i, e := range batch {
		report.add(e, lines[i], &live[i], &sides[0].made[i], r.show)
	}
	return nil
}

// run hands a batch to a module and keeps what it made of each message.
func (s *side) run(batch []*recording.Entry) error {
	s.batch.Reset()
	for _, e := range batch {
		m, err := e.ABI(uint32(slices.Index(s.listeners, e.Listener)))
		if err != nil {
			return err
		}
		s.clock.set(max(m.Time, s.clock.Wall()))
		s.batch.Messages = append(s.batch.Messages, m)
	}
	switch batch[0].Hook {
	case abi.HookOpen.String():
		s.chain.Open(&s.batch)
	case abi.HookClose.String():
		s.chain.CloseSessions(&s.batch)
	default:
		s.chain.Messages(&s.batch)
	}
	s.collect(batch)
	return nil
}

// collect keeps what became of a batch.
func (s *side) collect(batch []*recording.Entry) {
	s.made = make([]made, len(batch))
	for i := range s.batch.Messages {
		m, o := &s.batch.Messages[i], &s.batch.Outcomes[i]
		to := &s.made[o.Origin]
		if o.Emitted {
			to.emitted = append(to.emitted, recording.NewMessage(m, ""))
			continue
		}
		to.verdict, to.cause, to.out, to.message = o.Verdict.String(), failureOf(o.Cause.String()), slices.Clone(o.Out), recording.NewMessage(m, "")
	}
	for _, sub := range s.batch.Subscriptions {
		// Which of a session's messages it was is not known: the last one has them.
		at := lastOf(batch, sub.Session)
		if at >= 0 {
			s.made[at].subscriptions = append(s.made[at].subscriptions, recording.Subscription{
				Pattern: slices.Clone(sub.Pattern), QoS: sub.QoS, Remove: sub.Remove,
			})
		}
	}
}

// lastOf is the session's last message in a batch, -1 if it has none.
func lastOf(batch []*recording.Entry, session uint64) int {
	for i := len(batch) - 1; i >= 0; i-- {
		if batch[i].Session == session {
			return i
		}
	}
	return -1
}
