package admin

import (
	"context"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// auditing is an interceptor that logs who has changed what: every call that only an
// operator may make, with what it asked for, however it ended.
type auditing struct{ log *slog.Logger }

// note logs a call. request is what it asked for; nil where nothing was read.
func (a auditing) note(ctx context.Context, spec connect.Spec, remote string, began time.Time, request any, err error) {
	if !audited(spec.Procedure) {
		return
	}
	who, result := callerOf(ctx), "ok"
	if err != nil {
		result = connect.CodeOf(err).String()
	}
	a.log.InfoContext(ctx, "audit: an operator's call", "caller", who.name, "role", who.role.String(), "remote", remote,
		"call", spec.Procedure, asked(request), "result", result, "took", time.Since(began))
}

// audited tells whether calls of a procedure are logged.
func audited(procedure string) bool {
	n, known := needs[procedure]
	return !known || n == operate
}

// asked is the attribute that says what a request asks for, and for which targets.
func asked(request any) slog.Attr {
	m, ok := request.(proto.Message)
	if !ok {
		return slog.Attr{}
	}
	return slog.Attr{Key: "asked", Value: slog.GroupValue(fieldsAsked(m.ProtoReflect(), true)...)}
}

// WrapUnary logs unary calls.
func (a auditing) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		began := time.Now()
		answer, err := next(ctx, r)
		a.note(ctx, r.Spec(), r.Peer().Addr, began, r.Any(), err)
		return answer, err
	}
}

// WrapStreamingClient is not used: this is a server.
func (a auditing) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler logs streams.
func (a auditing) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if !audited(conn.Spec().Procedure) {
			return next(ctx, conn)
		}
		began, heard := time.Now(), &hearing{StreamingHandlerConn: conn}
		err := next(ctx, heard)
		a.note(ctx, conn.Spec(), conn.Peer().Addr, began, heard.first, err)
		return err
	}
}

// hearing keeps the first request of a stream.
type hearing struct {
	connect.StreamingHandlerConn
	first any
}

// Receive is that of the stream.
func (h *hearing) Receive(request any) error {
	err := h.StreamingHandlerConn.Receive(request)
	if err == nil && h.first == nil {
		h.first = request
	}
	return err
}
