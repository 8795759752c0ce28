package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Outcome is how a try ended, as far as the member's health is concerned.
type Outcome uint8

const (
	// OK says that the member did what it was asked.
	OK Outcome = iota
	// Declined says that the member is well and said no to this message (HTTP 4xx). Counts as
	// a success of the member; not tried again.
	Declined
	// Cancelled says that the caller gave up, or another try was faster: nothing about
	// the member.
	Cancelled
	// Refused says that no connection could be made.
	Refused
	// TimedOut says that no answer came in time.
	TimedOut
	// Broken says that the connection ended before the answer was whole.
	Broken
	// Garbled says that the answer is not in the protocol.
	Garbled
	// Busy says that the member has too much to do (HTTP 429, 503).
	Busy
	// Failed says that the member said so (HTTP 5xx), or anything else.
	Failed

	outcomes = int(Failed) + 1
)

var outcomeNames = [outcomes]string{"ok", "declined", "cancelled", "refused", "timeout", "broken", "garbled", "busy", "failed"}

// String is the outcome's name in metrics.
func (o Outcome) String() string {
	if int(o) < outcomes {
		return outcomeNames[o]
	}
	return "unknown"
}

// Failure tells whether the outcome counts against the member.
func (o Outcome) Failure() bool { return o >= Refused && int(o) < outcomes }

// As marks an error with its outcome, for whoever knows better than [Classify]: a
// transport. What was final stays so. nil stays nil.
func As(o Outcome, err error) error {
	if err == nil {
		return nil
	}
	return &marked{outcome: o, final: final(err), err: err}
}

// Final marks an error after which the call must not be tried again, because the
// member may have acted on it and the message may not arrive twice. The outcome is
// what it was. nil stays nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &marked{outcome: Classify(err), final: true, err: err}
}

type marked struct {
	outcome Outcome
	final   bool
	err     error
}

func (e *marked) Error() string { return e.err.Error() }
func (e *marked) Unwrap() error { return e.err }

// Classify is the outcome that an error stands for: what [As] said, or what the
// standard library's errors say; Failed if they say nothing.
func Classify(err error) Outcome {
	if err == nil {
		return OK
	}
	if m, ok := errors.AsType[*marked](err); ok {
		return m.outcome
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return TimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return Broken
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch {
		case op.Timeout():
			return TimedOut
		case op.Op == "dial":
			return Refused
		}
		return Broken
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return Refused
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Refused
	}
	return Failed
}

// again tells whether an error may be tried again.
func again(err error) bool {
	return !final(err) && Classify(err).Failure()
}

func final(err error) bool {
	m, ok := errors.AsType[*marked](err)
	return ok && m.final
}
