package admin

import (
	"context"
	"errors"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/delivery"
)

// toConnect gives an error of the Bus the code that clients act on. What is not
// known to be meant for clients goes to the log instead.
func toConnect(ctx context.Context, logger *slog.Logger, err error) error {
	var already *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.Is(err, ErrInvalidPattern), errors.Is(err, ErrInvalidMessage):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, ErrUnknownPlugin):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, ErrRefused):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, delivery.ErrNoLetter), errors.Is(err, ErrUnknown):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, ErrNobody):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, ErrDropped):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, ErrLost):
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.Is(err, ErrAway):
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.Is(err, ErrBusy), errors.Is(err, ErrFull):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.Is(err, ErrDraining):
		return connect.NewError(connect.CodeUnavailable, errors.New("weft is shutting down; try again when it is back"))
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("weft did not answer within the call's deadline"))
	case errors.Is(err, context.Canceled), errors.Is(err, ErrEnded):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
	}
	logger.ErrorContext(ctx, "an API call failed", "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("internal error; weft's log has the cause"))
}
