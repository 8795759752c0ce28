package admin

import (
	"errors"

	"github.com/weftrun/weft/runtime/delivery"
)

// DeadLetters is the part of weft that keeps dead letters and sends them on their
// way again. Its methods may be called from any goroutine.
type DeadLetters interface {
	// Store is the store, with everything in it that the loops have handed over;
	// nil if no letters are kept.
	Store() *delivery.DeadLetterStore
	// Lost is how many letters never reached the store because too many came at
	// once.
	Lost() uint64
	// Check tells whether a letter could be replayed that way; it wraps
	// ErrNotReplayable if not.
	Check(l *delivery.DeadLetter, way ReplayWay) error
	// Replay sends a letter on its way again and waits until it is known what
	// became of it locally. It does not change the store. Errors wrap
	// ErrNotReplayable, ErrBusy or ErrDraining.
	Replay(l *delivery.DeadLetter, way ReplayWay) (ReplayResult, error)
}

// ReplayWay is the way that a replayed letter takes. The zero value is that of
// the message itself: as it came through the listener's whole chain; a message that
// a plugin made, from the plugin on that failed on it. Where neither is known, it
// is refused.
type ReplayWay struct {
	// PastPlugins: the message as it was when it became a dead letter, along the
	// routes, through no plugin.
	PastPlugins bool
	// Topic, if not empty: the message as it was, published to this topic, through
	// the plugins of the routes unless PastPlugins is set.
	Topic string
}

// ReplayResult is what became of a replayed letter.
type ReplayResult struct {
	// Outcome is one of the constants below.
	Outcome string
	// Reason is why, for ReplayDead and ReplayDropped.
	Reason string
	// Copies is how many receivers took it.
	Copies int
}

// The outcomes of a replay. The first two let the letter leave the store.
const (
	ReplayDelivered = "delivered" // at least one receiver took it
	ReplayReplied   = "replied"   // a plugin answered it
	ReplayFiltered  = "filtered"  // a plugin dropped it on purpose
	ReplayDead      = "dead"      // it became a dead letter again
	ReplayDropped   = "dropped"   // nobody took it
	ReplayPaused    = "paused"    // a plugin has paused it: it goes on by itself
)

// Handled tells whether the letter has reached its end.
func (r ReplayResult) Handled() bool {
	return r.Outcome == ReplayDelivered || r.Outcome == ReplayReplied
}

// ErrNotReplayable says that the letter cannot be replayed that way.
var ErrNotReplayable = errors.New("cannot be replayed")
