package engine

import "time"

// Handler is what a loop serves. Each loop has its own; all methods are called
// on the loop's goroutine, one at a time.
type Handler interface {
	// Open tells of a new connection. c.Close refuses it.
	Open(c *Conn)
	// Data hands over everything that arrived on c and is not consumed yet, once
	// for each read. b lies in the turn's arena and is valid until the turn ends;
	// the handler may change it. consumed is how many bytes of it are dealt with:
	// all whole units. need is the whole length of the unit that b[consumed:]
	// begins, 0 if not known; when it is known, Data is not called again before so
	// many bytes are there.
	Data(c *Conn, b []byte) (consumed, need int)
	// Turn is called after everything of a turn was delivered: the place to work
	// on the batch and to send.
	Turn()
	// Closed tells that c has ended, after its last Data. c.Value is still there.
	// It is also called for a connection that Open refused.
	Closed(c *Conn, reason Reason)
	// Idle tells that nothing was received for HeartbeatEvery (and again after
	// each further such time).
	Idle(c *Conn)
	// Tick is called about every 100 ms.
	Tick(now time.Time)
}

// TurnRecoverer may be implemented by a Handler: TurnFailed is called when Turn
// has panicked, so that the handler can abandon its batch.
type TurnRecoverer interface {
	TurnFailed(panicked any)
}

// Pender may be implemented by a Handler: while Pending answers true, Drain waits
// (an answer is still to come, say).
type Pender interface {
	Pending() bool
}

// Awaiter may be implemented by a Handler: Drain waits for connections for which Awaits
// answers true, and reads from them when it reads no more from others: the peer has not
// said yet that it has what was sent to it. What else it sends meanwhile is the
// handler's to leave (see Loop.Deaf). The handler sees to it that the answer is false
// at last, whatever the peer does.
type Awaiter interface {
	Awaits(c *Conn) bool
}

// Receiver may be implemented by a Handler: Posted is called for each unit that
// another loop has posted. The unit is valid until the turn ends.
type Receiver interface {
	Posted(id uint64, unit []byte)
}

// Mover may be implemented by a Handler: Moved is called instead of Open for a
// connection that Loop.Move has brought here. Its Value is as it was, its id is new.
type Mover interface {
	Moved(c *Conn)
}

// Leaver may be implemented by a Handler: Leave is called once before an open
// connection ends in an orderly way: by Conn.CloseAfterFlush, because the engine ends
// it (silence, a read deadline, a unit that is too long), or at the end of a
// drain. It may send last words; they are written before the connection is closed.
type Leaver interface {
	Leave(c *Conn, reason Reason)
}

// Timed may be implemented by a Handler: Took is called at the end of each turn with how
// long it took, from when the loop woke up until everything was handed to the operating
// system.
type Timed interface {
	Took(turn time.Duration)
}
