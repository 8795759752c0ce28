package mqtt

import "iter"

// Outcome is what became of one copy of a message that was offered to a session.
type Outcome uint8

// What becomes of a copy. All but the first two are losses, counted in Counts.
const (
	// Taken: the session keeps it; Session.Next hands it out when its turn comes.
	Taken Outcome = iota
	// Direct: it is QoS 0 and nothing is kept of it; the caller writes it now.
	Direct
	// DropOffline: QoS 0, the client is away, and the session keeps no QoS 0.
	DropOffline
	// DropMessages: the session holds as many messages as it may.
	DropMessages
	// DropBytes: the session holds as many bytes as it may.
	DropBytes
	// DropBudget: the sessions of the process together hold as much as they may.
	DropBudget
	// DropOldest: it had waited longest when a newer one needed its place.
	DropOldest
	// DropExpired: its expiry interval passed before its delivery began.
	DropExpired
	// DropTooLarge: the client takes no packet of its size.
	DropTooLarge
	// DropRefused: the client answered it with an error.
	DropRefused
	// DropEnded: the session ended before the client acknowledged it.
	DropEnded

	// NumOutcomes is how many outcomes there are.
	NumOutcomes = int(iota)
)

var outcomeNames = [NumOutcomes]string{
	Taken: "taken", Direct: "direct", DropOffline: "session_offline", DropMessages: "session_messages",
	DropBytes: "session_bytes", DropBudget: "session_budget", DropOldest: "session_oldest", DropExpired: "expired",
	DropTooLarge: "packet_too_large", DropRefused: "refused_by_client", DropEnded: "session_ended",
}

// String is the outcome's name, as in the label "reason" of metrics.
func (o Outcome) String() string {
	if int(o) < NumOutcomes {
		return outcomeNames[o]
	}
	return "unknown"
}

// Dropped tells whether the copy is lost.
func (o Outcome) Dropped() bool { return o > Direct }

// Drops yields every outcome that is a loss.
func Drops() iter.Seq[Outcome] {
	return func(yield func(Outcome) bool) {
		for o := DropOffline; int(o) < NumOutcomes; o++ {
			if !yield(o) {
				return
			}
		}
	}
}

// Counts is what the sessions of one store have done, by outcome, and how much
// they hold. It belongs to the store's loop.
type Counts struct {
	Outcomes [NumOutcomes]uint64
	// Redelivered is how many PUBLISH packets were handed out again.
	Redelivered uint64
	// Duplicates is how many incoming messages were suppressed.
	Duplicates uint64
	// Entries is how many messages sessions hold, one shared by two sessions
	// counted twice; Messages is how many messages are stored.
	Entries, Messages int64
}
