package engine

// Reason says why a connection ended.
type Reason uint8

// The reasons. Those of the handler are passed to Conn.Close; the engine only
// counts them.
const (
	// ReasonNone: the connection is open.
	ReasonNone Reason = iota
	// ReasonPeerClosed: the peer closed it.
	ReasonPeerClosed
	// ReasonReset: the peer or the network broke it.
	ReasonReset
	// ReasonReadDeadline: a unit stayed partial for too long.
	ReasonReadDeadline
	// ReasonWriteDeadline: the peer took nothing for too long.
	ReasonWriteDeadline
	// ReasonSilence: nothing came for CloseAfter.
	ReasonSilence
	// ReasonUnitTooLong: a unit is longer than MaxUnit.
	ReasonUnitTooLong
	// ReasonOutboxFull: the policy is Disconnect.
	ReasonOutboxFull
	// ReasonPanic: a call of the handler for this connection panicked.
	ReasonPanic
	// ReasonDrained: the engine was drained.
	ReasonDrained
	// ReasonStopped: the engine was stopped.
	ReasonStopped
	// ReasonProtocol is the handler's: what came is not the listener's protocol.
	ReasonProtocol
	// ReasonDenied is the handler's: the peer may not be here.
	ReasonDenied
	// ReasonVerdict is the handler's: a plugin said so.
	ReasonVerdict
	// ReasonReplaced is the handler's: a newer connection took its place.
	ReasonReplaced
	// ReasonOperator is the handler's: a person closed it.
	ReasonOperator

	// ReasonCount is how many reasons there are.
	ReasonCount
)

var reasonNames = [ReasonCount]string{
	"none", "peer_closed", "reset", "read_deadline", "write_deadline", "silence", "unit_too_long", "outbox_full",
	"panic", "drained", "stopped", "protocol", "denied", "verdict", "replaced", "operator",
}

// String is the reason's name in logs and metrics.
func (r Reason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// Refusal says why a connection was not let in.
type Refusal uint8

// The refusals.
const (
	// RefusedTotal: Config.MaxConnections.
	RefusedTotal Refusal = iota
	// RefusedListener: Listener.MaxConnections.
	RefusedListener
	// RefusedSource: MaxPerSource of the engine or the listener.
	RefusedSource
	// RefusedFiles: the process or the system has no file descriptor left.
	RefusedFiles

	// RefusalCount is how many refusals there are.
	RefusalCount
)

var refusalNames = [RefusalCount]string{"total", "listener", "source", "files"}

// String is the refusal's name in logs and metrics.
func (r Refusal) String() string {
	if r < RefusalCount {
		return refusalNames[r]
	}
	return "unknown"
}

// Drop says why a unit that was handed to Send or SendTo was not delivered.
type Drop uint8

// The drops.
const (
	// DropOldestUnit: the policy DropOldest made place.
	DropOldestUnit Drop = iota
	// DropHardLimit: HardFactor times the limit were reached under Pause.
	DropHardLimit
	// DropDisconnect: the policy Disconnect closed the connection.
	DropDisconnect
	// DropClosed: the connection was closed before the unit was written.
	DropClosed
	// DropQueueFull: the queue to the other loop was full.
	DropQueueFull
	// DropUnsent: the system did not send the datagram.
	DropUnsent

	// DropCount is how many kinds of drops there are.
	DropCount
)

var dropNames = [DropCount]string{"oldest", "hard_limit", "disconnect", "closed", "queue_full", "unsent"}

// String is the drop's name in logs and metrics.
func (d Drop) String() string {
	if d < DropCount {
		return dropNames[d]
	}
	return "unknown"
}

// Sent is what became of a unit handed to Send or SendTo.
type Sent uint8

// The results.
const (
	// Accepted: written or queued.
	Accepted Sent = iota
	// Pressed: queued, but the outbox is over its limit; consider Loop.Hold.
	Pressed
	// Dropped: not taken, and counted by reason.
	Dropped
	// Closed: the connection is closed or closing. Counted as DropClosed.
	Closed
)
