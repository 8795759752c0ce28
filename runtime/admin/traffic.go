package admin

import (
	"context"
	"errors"
	"log/slog"

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
}

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
