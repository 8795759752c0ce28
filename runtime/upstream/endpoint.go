package upstream

import (
	"context"
	"errors"
	"log/slog"
)

// Endpoint is a member as the configuration or a discovery describes it.
type Endpoint struct {
	// Address is what the transport dials, and what tells members apart.
	Address string
	// Weight is its share beside the others'; 0 is 1. At most MaxWeight.
	Weight int
	// Priority: members of a higher number are picked only while none of a lower one
	// may be (RFC 2782).
	Priority int
	// Labels are what a discovery knows besides: read only.
	Labels map[string]string
}

// MaxWeight is the highest weight: as much as an SRV record can say.
const MaxWeight = 65535

// Found is what a discovery says: the members that there are now, or why it cannot
// say. With Err set, Endpoints do not count and the last good answer stands.
type Found struct {
	Endpoints []Endpoint
	Err       error
}

// Discoverer finds a pool's members. Discover calls found with every answer, from one
// goroutine, until its context ends; what it returns is then nil. An error that it
// returns earlier is one that trying again does not mend.
type Discoverer interface {
	Discover(ctx context.Context, logger *slog.Logger, found func(Found)) error
	// String says what is asked, for logs: "dns billing.internal:8080".
	String() string
}

// ErrNoMember is returned when no member may be picked; the error's text says why.
var ErrNoMember = errors.New("no member of the pool may be picked")

// ErrRate is returned when a call may not start because too many did (Rate).
var ErrRate = errors.New("the pool's rate is used up")

// ErrBudget is wrapped beside a try's own error when it was not tried again because
// the budget of retries is used up (Retry.Share).
var ErrBudget = errors.New("the pool's budget of retries is used up")

// ErrClosed is returned after Run has ended.
var ErrClosed = errors.New("the pool is closed")
