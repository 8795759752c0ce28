package transport

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/upstream"
)

// Message is what goes to a member. Its bytes belong to whoever submits it and are
// not changed until its job is done.
type Message struct {
	abi.Message
	// ID tells the message from others, for members that want each one once; empty:
	// none.
	ID []byte
	// Key is what a pool that hashes goes by; messages with the same key are sent one
	// after the other. Empty: none.
	Key []byte
	// Path and Query are those of an HTTP request; an empty Path is the transport's own.
	Path, Query []byte
	// Deadline is when nobody waits for the answer any more; zero: never.
	Deadline time.Time
}

// Asks tells whether the message is a request, whose answer somebody waits for.
func (m *Message) Asks() bool { return m.Type == abi.TypeRequest }

// Answer is a member's answer to a request. It belongs to whoever gets it.
type Answer struct {
	Attrs   abi.Attributes
	Payload []byte
	// Status is HTTP's status code, also of an answer that comes with an error or to no
	// request; 0: there was none.
	Status int
}

// Transport takes messages to members. Its methods may be called by any goroutine.
type Transport interface {
	// Send takes the message to the member and waits for the answer if it is a
	// request; else until the member has taken it, as far as the protocol can tell.
	// Errors are marked with upstream.As; with upstream.Final where the member may
	// have acted on the message and may not get it twice. With an error, an answer says
	// at most its Status. It keeps nothing of m.
	Send(ctx context.Context, to *upstream.Member, m *Message) (Answer, error)
	// Check is the pool's upstream.Checker.
	Check(ctx context.Context, m *upstream.Member) error
	// Sweep gives up connections that are not needed. It is called every second.
	Sweep()
	// Stats reads the counters.
	Stats() Stats
	// Close closes every connection; what is under way fails. Every goroutine of the
	// transport has ended when it returns.
	Close()
}

// Stats are a transport's counters.
type Stats struct {
	// Open is the connections there are now, Opened those there have been.
	Open   int
	Opened uint64
	// Stray is answers that nobody waited for; Garbled is bytes that were no frame, or
	// answers that broke the protocol.
	Stray, Garbled uint64
}

var (
	// ErrFull is that as much waits as may.
	ErrFull = errors.New("the pool's queue is full")
	// ErrClosed is that the sender or the transport ends.
	ErrClosed = errors.New("closed")
	// ErrRefused is wrapped where a member has said no to a message for good.
	ErrRefused = errors.New("refused by the member")
	// ErrAnswer is wrapped where an answer breaks the protocol or a bound.
	ErrAnswer = errors.New("not an answer")
	// ErrUnencodable is wrapped where a message does not fit the frame, or the request.
	ErrUnencodable = errors.New("the message does not fit the member's protocol")
)

// maybe marks an error of a message that the member may have acted on: it is final
// unless such messages may be sent again.
func maybe(again bool, o upstream.Outcome, err error) error {
	if err = upstream.As(o, err); again {
		return err
	}
	return upstream.Final(err)
}
