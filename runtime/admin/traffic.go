package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Recorder is the part of weft that shows messages on their way.
type Recorder interface {
	// Record begins to record. It fails with ErrUnknown where there is no such
	// listener or plugin, and with ErrBusy where too many recordings run. From its
	// return to Close every message that the options name is in the recording or
	// counted.
	Record(ctx context.Context, o RecordOptions) (Recording, error)
	// Tail begins to show some of the messages. It fails with ErrUnknown where there is
	// no such listener, plugin or connection, with ErrInvalidPattern, and with ErrBusy
	// where too many tails run.
	Tail(ctx context.Context, o TailOptions) (Tailing, error)
}

// TailOptions chooses messages; an empty field chooses all.
type TailOptions struct {
	Listener   string
	Topics     []string
	Connection string
	Plugin     string
	// Troubled: only those that were not delivered, or on which a plugin failed.
	Troubled bool
	// Rate is how many a second are shown at most.
	Rate int
	// Cut is how many bytes of payloads and values are shown.
	Cut int
}

// Tailing is a tail that runs. Next is called by one goroutine; Close may be called by
// any, more than once.
type Tailing interface {
	// Next waits for the next message, nil if there is none for so long. The error is
	// the context's.
	Next(ctx context.Context, quiet time.Duration) (*weftv1.TailMessage, error)
	// Counts are the messages that went their way since it began, those that were
	// looked at, and those that were too many to be shown.
	Counts() (passed, looked, missed uint64)
	Close()
}

// Bounds of a TailRequest.
const (
	maxTailRate     = 1000
	defaultTailRate = 20
	maxTailCut      = 4096
	defaultTailCut  = 256
	maxTailTopics   = 64
	tailQuiet       = 5 * time.Second
)

// RecordOptions says what to record; at least one of Listener and Plugin is set.
type RecordOptions struct {
	// Listener: the chain of this listener.
	Listener string
	// Plugin: this plugin, in the chain of Listener or, if that is empty, wherever
	// it stands.
	Plugin string
	// Every: one batch of so many; 1 is all.
	Every uint32
}

// Recording is traffic that is being recorded. Next is called by one goroutine;
// Close may be called by any, more than once.
type Recording interface {
	// Started says what is recorded.
	Started() *weftv1.RecordStarted
	// Next waits for the next message. missed and skipped count those that are not
	// in the recording since it began, because they came too fast and because they
	// were left out by Every. The error is the context's.
	Next(ctx context.Context) (m *weftv1.RecordedMessage, missed, skipped uint64, err error)
	Close()
}

// ErrUnknown says that there is no such listener or plugin.
var ErrUnknown = errors.New("unknown")

// traffic serves weft.v1.Traffic.
type traffic struct {
	recorder Recorder
	logger   *slog.Logger
	draining context.Context // done when the server shuts down
}

// Record is the call of the same name.
func (s *traffic) Record(ctx context.Context, r *connect.Request[weftv1.RecordRequest], stream *connect.ServerStream[weftv1.RecordResponse]) error {
	o := RecordOptions{Listener: r.Msg.GetListener(), Plugin: r.Msg.GetPlugin(), Every: max(r.Msg.GetEvery(), 1)}
	if o.Listener == "" && o.Plugin == "" {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("name a listener, a plugin, or both"))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.draining, func() { cancel(ErrDraining) })()
	recording, err := s.recorder.Record(ctx, o)
	if err != nil {
		return toConnect(ctx, s.logger, drainCause(ctx, err))
	}
	defer recording.Close()
	s.logger.Info("traffic is recorded", "listener", o.Listener, "plugin", o.Plugin, "every", o.Every)
	err = stream.Send(&weftv1.RecordResponse{Event: &weftv1.RecordResponse_Started{Started: recording.Started()}})
	if err == nil {
		err = forward(ctx, recording, stream, r.Msg.GetCount())
	}
	return toConnect(ctx, s.logger, drainCause(ctx, err))
}

// Tail is the call of the same name.
func (s *traffic) Tail(ctx context.Context, r *connect.Request[weftv1.TailRequest], stream *connect.ServerStream[weftv1.TailResponse]) error {
	m := r.Msg
	o := TailOptions{
		Listener: m.GetListener(), Topics: m.GetTopics(), Connection: m.GetConnection(), Plugin: m.GetPlugin(), Troubled: m.GetTroubled(),
		Rate: cmp.Or(int(m.GetRate()), defaultTailRate), Cut: cmp.Or(int(m.GetCut()), defaultTailCut),
	}
	switch {
	case o.Rate > maxTailRate:
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("rate %d: expected 1 to %d messages a second", o.Rate, maxTailRate))
	case o.Cut > maxTailCut:
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("cut %d: expected 1 to %d bytes", o.Cut, maxTailCut))
	case len(o.Topics) > maxTailTopics:
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d topics: expected at most %d", len(o.Topics), maxTailTopics))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.draining, func() { cancel(ErrDraining) })()
	tail, err := s.recorder.Tail(ctx, o)
	if err != nil {
		return toConnect(ctx, s.logger, drainCause(ctx, err))
	}
	defer tail.Close()
	err = stream.Send(&weftv1.TailResponse{Event: &weftv1.TailResponse_Started{Started: &weftv1.TailStarted{}}})
	if err == nil {
		err = forwardTail(ctx, tail, stream, m.GetCount())
	}
	return toConnect(ctx, s.logger, drainCause(ctx, err))
}

// forwardTail sends what a tail shows until either side ends it.
func forwardTail(ctx context.Context, from Tailing, stream *connect.ServerStream[weftv1.TailResponse], count uint64) error {
	for n := uint64(0); ; {
		m, err := from.Next(ctx, tailQuiet)
		if err != nil {
			return err
		}
		out := &weftv1.TailResponse{Event: &weftv1.TailResponse_Quiet{Quiet: &weftv1.TailQuiet{}}}
		if m != nil {
			n++
			out.Event = &weftv1.TailResponse_Message{Message: m}
		}
		out.Passed, out.Looked, out.Missed = from.Counts()
		if err := stream.Send(out); err != nil {
			return err
		}
		if m != nil && n == count {
			out.Event = &weftv1.TailResponse_Ended{Ended: &weftv1.TailEnded{Why: "count"}}
			return stream.Send(out)
		}
	}
}

// forward sends what is recorded until either side ends it.
func forward(ctx context.Context, from Recording, stream *connect.ServerStream[weftv1.RecordResponse], count uint64) error {
	for n := uint64(1); ; n++ {
		m, missed, skipped, err := from.Next(ctx)
		if err != nil {
			return err
		}
		out := &weftv1.RecordResponse{Event: &weftv1.RecordResponse_Message{Message: m}, Missed: missed, Skipped: skipped}
		if err := stream.Send(out); err != nil {
			return err
		}
		if n == count {
			return stream.Send(&weftv1.RecordResponse{
				Event: &weftv1.RecordResponse_Ended{Ended: &weftv1.RecordEnded{Why: "count"}}, Missed: missed, Skipped: skipped,
			})
		}
	}
}
