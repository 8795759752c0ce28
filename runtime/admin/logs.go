package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Logs are the logs of durable routes. Its methods may be called from any goroutine.
// Errors wrap ErrUnknown where there is no such route, ErrAway where the log cannot be
// read, or the context's.
type Logs interface {
	// Logs is the state of each.
	Logs(ctx context.Context) ([]Log, error)
	// SeqAt is the number of the first entry at a time or later.
	SeqAt(ctx context.Context, route string, at time.Time) (uint64, error)
	// Read returns up to limit entries from a number on. Their messages are the
	// caller's.
	Read(ctx context.Context, route string, from uint64, limit int) ([]LogEntry, error)
	// Replay sends entries on their way again.
	Replay(ctx context.Context, route string, way LogReplay) (LogReplayed, error)
}

// Log is the state of a durable route's log.
type Log struct {
	Route          string
	First, Last    uint64
	Records, Bytes uint64
	Oldest, Newest time.Time
	Pending        uint64
	Delayed        uint64
	Readers        []LogReader
}

// LogReader is who takes entries out of a log: up to Seq, so that about Lag are left.
type LogReader struct {
	Name     string
	Seq, Lag uint64
}

// LogEntry is a message in a log.
type LogEntry struct {
	Seq        uint64
	Time       time.Time
	Node, From string
	Delivery   Delivery
}

// LogReplay says which entries go on their way again: those from From to To, at most
// Limit; and where to: Topic along the routes, Route whatever its condition says, or
// neither.
type LogReplay struct {
	From, To uint64
	Limit    int
	Topic    string
	Route    string
}

// LogReplayed is what became of them. Next is where to go on, 0 if nothing is left.
type LogReplayed struct {
	Replayed, Taken int
	Dropped         map[string]int
	Next, To        uint64
}

// logs serves weft.v1.Logs.
type logs struct {
	logs   Logs
	logger *slog.Logger
}

const (
	defaultEntries = 20
	maxEntries     = 1000
	defaultReplay  = 1000
	maxReplay      = 10000
)

// List is the call of the same name.
func (s *logs) List(ctx context.Context, _ *connect.Request[weftv1.LogsListRequest]) (*connect.Response[weftv1.LogsListResponse], error) {
	list, err := s.logs.Logs(ctx)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	out := &weftv1.LogsListResponse{}
	for i := range list {
		l := &list[i]
		m := &weftv1.Log{
			Route: l.Route, FirstSeq: l.First, LastSeq: l.Last, Entries: l.Records, Bytes: l.Bytes,
			Oldest: timestamp(l.Oldest), Newest: timestamp(l.Newest), Pending: l.Pending, Delayed: l.Delayed,
		}
		for _, r := range l.Readers {
			m.Readers = append(m.Readers, &weftv1.LogReader{Name: r.Name, Seq: r.Seq, Lag: r.Lag})
		}
		out.Logs = append(out.Logs, m)
	}
	return connect.NewResponse(out), nil
}

// Read is the call of the same name.
func (s *logs) Read(ctx context.Context, r *connect.Request[weftv1.LogsReadRequest]) (*connect.Response[weftv1.LogsReadResponse], error) {
	limit, err := between("limit", r.Msg.GetLimit(), defaultEntries, maxEntries)
	if err != nil {
		return nil, err
	}
	if _, known := weftv1.Encoding_name[int32(r.Msg.GetAs())]; !known {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("encoding %d, expected auto, bytes, text or JSON", r.Msg.GetAs()))
	}
	from, err := s.from(ctx, r.Msg.GetRoute(), r.Msg.GetFromSeq(), r.Msg.GetFromTime())
	if err != nil {
		return nil, err
	}
	entries, err := s.logs.Read(ctx, r.Msg.GetRoute(), from, limit)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	out := &weftv1.LogsReadResponse{}
	for i := range entries {
		e := &entries[i]
		out.Entries = append(out.Entries, &weftv1.LogEntry{
			Seq: e.Seq, Time: timestamp(e.Time), Node: validText([]byte(e.Node)), From: validText([]byte(e.From)),
			Message: form{as: r.Msg.GetAs()}.message(e.Delivery),
		})
	}
	if len(entries) == limit {
		out.NextSeq = entries[limit-1].Seq + 1
	}
	return connect.NewResponse(out), nil
}

// Replay is the call of the same name.
func (s *logs) Replay(ctx context.Context, r *connect.Request[weftv1.LogsReplayRequest]) (*connect.Response[weftv1.LogsReplayResponse], error) {
	limit, err := between("limit", r.Msg.GetLimit(), defaultReplay, maxReplay)
	if err != nil {
		return nil, err
	}
	if r.Msg.GetTopic() != "" && r.Msg.GetToRoute() != "" {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("topic and to_route exclude each other"))
	}
	from, err := s.from(ctx, r.Msg.GetRoute(), r.Msg.GetFromSeq(), r.Msg.GetFromTime())
	if err != nil {
		return nil, err
	}
	done, err := s.logs.Replay(ctx, r.Msg.GetRoute(), LogReplay{From: from, To: r.Msg.GetToSeq(), Limit: limit, Topic: r.Msg.GetTopic(), Route: r.Msg.GetToRoute()})
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	s.logger.Info("entries of a durable route replayed", "route", r.Msg.GetRoute(), "replayed", done.Replayed, "taken", done.Taken, "topic", r.Msg.GetTopic(), "to_route", r.Msg.GetToRoute())
	out := &weftv1.LogsReplayResponse{Replayed: uint32(done.Replayed), Taken: uint32(done.Taken), NextSeq: done.Next, ToSeq: done.To}
	for reason, n := range done.Dropped {
		if out.Dropped == nil {
			out.Dropped = map[string]uint32{}
		}
		out.Dropped[reason] = uint32(n)
	}
	return connect.NewResponse(out), nil
}

// from is the number of the first entry that is asked for.
func (s *logs) from(ctx context.Context, route string, seq uint64, at *timestamppb.Timestamp) (uint64, error) {
	switch {
	case seq != 0 && at != nil:
		return 0, connect.NewError(connect.CodeInvalidArgument, errors.New("from_seq and from_time exclude each other"))
	case at == nil:
		return seq, nil
	}
	if err := at.CheckValid(); err != nil {
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("from_time: %w", err))
	}
	seq, err := s.logs.SeqAt(ctx, route, at.AsTime())
	if err != nil {
		return 0, toConnect(ctx, s.logger, err)
	}
	return seq, nil
}

// between is a number of a request, or what stands for none.
func between(name string, n uint32, none, most int) (int, error) {
	switch {
	case n == 0:
		return none, nil
	case int(n) > most:
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s %d, at most %d is allowed", name, n, most))
	}
	return int(n), nil
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
