package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/plugins/recording"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

type pluginRecording struct {
	api              api
	listener, plugin string
	count            uint64
	wait             time.Duration
	every            uint32
}

func pluginRecordCommand(sys system) *cobra.Command {
	var r pluginRecording
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Records the traffic of a running weft, to try a plugin against",
		Long: `Records messages as they reach a listener's chain, or one plugin, with what the running weft makes of each, until it is
interrupted or has enough. weft plugin replay hands them to another version of a plugin and shows what it does otherwise.

The recording goes to stdout: a header, then one message as JSON on each line, payloads in base64. It holds what devices
sent, word for word, tokens and passwords included: keep it as you keep those.

The traffic goes on undisturbed: what comes faster than it is read is left out and counted.`,
		Example: `weft plugin record --listener trucks --count 10000 > traffic.jsonl
weft plugin record --plugin filter --for 30s > traffic.jsonl
weft plugin record --plugin filter --listener trucks --every 100 --for 1h > sample.jsonl`,
		Args: arguments(0, 0, "no arguments; --listener and --plugin say what to record"),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&r.listener, "listener", "l", "", "the chain of this listener")
	f.StringVarP(&r.plugin, "plugin", "p", "", "this plugin, in the chain of --listener or wherever it stands, with its own verdicts")
	f.Uint64VarP(&r.count, "count", "n", 0, "end after so many messages (0: go on)")
	f.DurationVar(&r.wait, "for", 0, "end after this long (0: go on)")
	f.Uint32Var(&r.every, "every", 1, "record one batch of so many")
	r.api.flags(cmd, sys)
	return cmd
}

func (a *api) traffic() weftv1connect.TrafficClient {
	return weftv1connect.NewTrafficClient(a.http(), a.url())
}

func (r *pluginRecording) run(cmd *cobra.Command) error {
	switch {
	case r.listener == "" && r.plugin == "":
		return usageError("say what to record: --listener NAME, --plugin NAME, or both")
	case r.every == 0:
		return usageError("--every 0: expected 1 for all batches, or more")
	case r.wait < 0:
		return usageError("--for %s: expected how long, such as 30s", r.wait)
	}
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if r.wait > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.wait)
	}
	defer cancel()
	stream, err := r.api.traffic().Record(ctx, connect.NewRequest(&weftv1.RecordRequest{
		Listener: r.listener, Plugin: r.plugin, Every: r.every, Count: r.count,
	}))
	if err != nil {
		return r.failed(err)
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() {
		if ctx.Err() != nil {
			return fail(exitAPI, fmt.Errorf("weft at %s did not begin to record in time", r.api.address), "--for gives it longer.")
		}
		return r.failed(r.ended(stream.Err()))
	}
	w, err := recording.NewWriter(cmd.OutOrStdout(), r.header(stream.Msg().GetStarted()))
	if err != nil {
		return err
	}
	note(cmd, "recording; Ctrl-C ends. It holds what devices send, secrets too")
	end := recording.End{}
	for end.Why == "" && stream.Receive() {
		m := stream.Msg()
		end.Missed, end.Skipped = m.Missed, m.Skipped
		if m.GetMessage() != nil {
			if err := w.Write(toEntry(m.GetMessage())); err != nil {
				return err
			}
		}
		end.Why = m.GetEnded().GetWhy()
	}
	return r.close(ctx, cmd, w, end, stream.Err())
}

// close ends the file, whatever has ended the stream.
func (r *pluginRecording) close(ctx context.Context, cmd *cobra.Command, w *recording.Writer, end recording.End, err error) error {
	switch {
	case end.Why != "":
		err = nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded), r.wait > 0 && connect.CodeOf(err) == connect.CodeDeadlineExceeded:
		// weft knows of the deadline, too, and may be the quicker one.
		end.Why, err = "time", nil
	case ctx.Err() != nil:
		end.Why, err = "interrupted", nil
	default:
		end.Why, err = "draining", r.failed(r.ended(err))
	}
	if closed := w.Close(end); closed != nil {
		return closed
	}
	note(cmd, "recorded %s, missed %d, left out %d (--every)", plural(int(w.Entries()), "message"), end.Missed, end.Skipped)
	return err
}

// ended is the error for a stream that ended although nobody asked for it.
func (r *pluginRecording) ended(err error) error {
	if err == nil {
		return connect.NewError(connect.CodeUnavailable, io.EOF)
	}
	return err
}

func (r *pluginRecording) failed(err error) error {
	if connect.CodeOf(err) == connect.CodeNotFound {
		return fail(exitUsage, r.api.said(err), "")
	}
	return r.api.failed(err)
}

func (r *pluginRecording) header(s *weftv1.RecordStarted) recording.Header {
	return recording.Header{
		Weft: currentVersions().Version, Created: time.Now().UTC(), Listener: s.GetListener(), Plugin: s.GetPlugin(),
		Chain: s.GetChain(), Every: uint64(r.every),
	}
}
