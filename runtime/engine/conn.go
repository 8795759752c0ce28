package engine

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// ConnID names a connection for as long as the process lives: bits 56 to 63 the
// loop, 24 to 54 a generation, 0 to 23 the loop's slot. 0 names none. Bit 55 is never
// set: it is the handler's, to tell names of its own from these.
type ConnID uint64

const (
	slotBits  = 24
	loopShift = 56
	slotMask  = 1<<slotBits - 1

	maxGeneration = 1<<31 - 1
)

// Loop is the index of the loop that the connection lives on.
func (id ConnID) Loop() int { return int(id >> loopShift) }

func (id ConnID) slot() uint32 { return uint32(id & slotMask) }

func (id ConnID) generation() uint32 { return uint32(id >> slotBits) }

// String is the form used in logs: loop-slot-generation.
func (id ConnID) String() string {
	return fmt.Sprintf("%d-%d-%d", id.Loop(), id.slot(), id.generation())
}

type connState uint8

const (
	stateOpen      connState = iota
	stateFlushing            // CloseAfterFlush: what is queued is written, nothing is read
	stateLingering           // all is written and our side is shut: input is discarded until the peer closes too
	stateClosed
)

// Conn is one connection. It belongs to its loop's goroutine.
type Conn struct {
	// Value is for the handler.
	Value any

	loop *Loop
	net  *netConn   // nil for a socket of the epoll driver
	udp  *udpSocket // nil for a stream
	box  *outbox    // nil while nothing is owed
	part *partial   // nil while no unit is partial

	next, prev *Conn // in the wheel
	due        int64 // when the wheel fires, 0 if not in the wheel; all times in ms of the loop's clock

	wants, wakeDue int64 // WakeAt: what is wanted, and where it stands in the heap
	wakeSlot       uint32
	owed           int // Owe

	id       ConnID
	remote   netip.AddrPort
	in, out  uint64
	since    int64
	lastIn   int64
	backlog  int64 // by SetBusy: counts as if it were queued
	silence  int64 // by SetSilence: 0 is the listener's, -1 is never
	until    int64 // end of lingering
	fd       int32
	holds    int32 // consumers for which reading is suspended
	silenced bool  // by Suspend, which counts among them
	shown    int64 // the cost of the outbox that other loops see
	listener uint16
	idles    uint16 // Idle calls since lastIn
	state    connState
	reason   Reason
	interest uint8 // what epoll was told
	dirty    bool  // in the loop's dirty list
	blocked  bool  // the socket takes no more until it says so
	eof      bool  // the peer has closed its sending side
	left     bool  // Leaver.Leave was called
}

// ID names the connection, also for other loops.
func (c *Conn) ID() ConnID { return c.id }

// Loop is the connection's loop.
func (c *Conn) Loop() *Loop { return c.loop }

// Listener is the index of the listener in the slice given to New.
func (c *Conn) Listener() int { return int(c.listener) }

// Remote is the peer's address; IPv4 in its 4-byte form.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Since is when the connection was accepted.
func (c *Conn) Since() time.Time {
	return c.loop.engine.start.Add(time.Duration(c.since) * time.Millisecond)
}

// BytesIn and BytesOut count what was read and written.
func (c *Conn) BytesIn() uint64 { return c.in }

// BytesOut counts what was written.
func (c *Conn) BytesOut() uint64 { return c.out }

// Queued is how many bytes are owed: sent and not written yet, and what Owe said.
func (c *Conn) Queued() int {
	if c.box == nil {
		return c.owed
	}
	return c.owed + c.box.bytes
}

// Held tells whether reading is suspended by Loop.Hold.
func (c *Conn) Held() bool { return c.holds > 0 }

// Suspend stops reading from c, or goes on with it, beside what Loop.Hold does. What
// was already read in this turn is still delivered; the time in which nothing is
// read does not count as silence. Only the loop of c may call it.
func (c *Conn) Suspend(on bool) {
	if c.silenced == on || c.state == stateClosed {
		return
	}
	c.silenced = on
	if !on {
		if c.holds--; c.holds == 0 {
			c.loop.resume(c)
		}
		return
	}
	if c.holds++; c.holds == 1 {
		c.loop.count[countPaused]++
		c.loop.updateInterest(c)
	}
}

// SetSilence says after how much silence c is closed, instead of its listener's
// CloseAfter; 0 or less is never. It counts from what was last received. Only the
// loop of c may call it.
func (c *Conn) SetSilence(d time.Duration) {
	if c.silence = millis(d); c.silence == 0 {
		c.silence = -1
	}
	c.loop.arm(c)
}

// closeAfter is after how much silence c is closed, 0 for never.
func (c *Conn) closeAfter(lim *limits) int64 {
	switch {
	case c.silence == 0:
		return lim.closeAfter
	case c.silence < 0:
		return 0
	}
	return c.silence
}

// Disregard says that what came last is no sign of life: silence counts from before
// it. It may be called only by Handler.Data for the connection that the call is about.
func (c *Conn) Disregard() { c.lastIn, c.idles = c.loop.heard, c.loop.idles }

// HalfClosed tells whether the peer has closed its sending side.
func (c *Conn) HalfClosed() bool { return c.eof }

// NetConn is the connection of package net behind c, for a look at its TLS state,
// or nil with the epoll driver. It must not be read, written or closed.
func (c *Conn) NetConn() net.Conn {
	if c.net == nil {
		return nil
	}
	return c.net.conn
}

// Close ends the connection at once. What is queued is dropped and counted; see
// CloseAfterFlush. Handler.Closed follows within this turn or the next. Closing
// twice does nothing.
func (c *Conn) Close(reason Reason) { c.loop.shut(c, reason) }

// CloseAfterFlush ends the connection when everything sent until now is written,
// within the write deadline. Nothing more is read from it and nothing more can be
// sent. The peer then has a second to close its side, so that no unread input of
// its own destroys the last bytes on their way to it.
func (c *Conn) CloseAfterFlush(reason Reason) {
	if c.state != stateOpen {
		return
	}
	if c.loop.callLeave(c, reason); c.state != stateOpen {
		return
	}
	c.state, c.reason = stateFlushing, reason
	c.loop.updateInterest(c)
	c.loop.soil(c)
}

// Send queues one whole unit (a frame), written when the turn ends. The bytes are
// borrowed until then and must not change; what the socket does not take is copied.
// A higher priority (0 to 7) overtakes queued units and never splits one. Units
// that follow each other in one array are written as one run: encode a turn's
// frames into one buffer, and send slices of it that keep their capacity.
func (c *Conn) Send(unit []byte, priority uint8) Sent {
	l := c.loop
	if c.state != stateOpen {
		l.countOf(c)[listenerDropped+int(DropClosed)]++
		return Closed
	}
	if len(unit) == 0 {
		return Accepted
	}
	if c.udp != nil {
		c.udp.send(outgoing{to: c.remote, conn: c, b: unit})
		return Accepted
	}
	o := c.box
	if o == nil {
		o = l.takeBox()
		c.box = o
	}
	if o.cost()+len(unit)+unitCost > l.limits[c.listener].outbox && !o.empty() {
		return l.sendOver(c, unit, priority)
	}
	l.push(c, unit, priority)
	return Accepted
}

// Flush offers the socket what is queued, unless it takes no more for now: Queued says
// then what the peer does not take rather than what this turn has sent. It need not be
// called, as every turn ends with it. Only the loop's goroutine may call it.
func (c *Conn) Flush() {
	if c.state == stateOpen && !c.blocked && c.box != nil {
		c.loop.write(c)
	}
}

// push queues a unit: borrowed if the socket may still take it this turn.
func (l *Loop) push(c *Conn, unit []byte, priority uint8) {
	if c.blocked {
		c.box.own(l, unit, priority)
	} else {
		c.box.borrow(l, unit, priority)
	}
	l.soil(c)
}

// soil puts c on the list of connections to be written when the turn ends.
func (l *Loop) soil(c *Conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// sendOver queues a unit that takes the outbox over its limit. First the socket
// is offered what is there: the limit is for what the peer does not take.
func (l *Loop) sendOver(c *Conn, unit []byte, priority uint8) Sent {
	if !c.blocked {
		l.write(c)
		if c.state != stateOpen {
			l.countOf(c)[listenerDropped+int(DropClosed)]++
			return Closed
		}
		if c.box == nil {
			c.box = l.takeBox()
		}
	}
	limit := l.limits[c.listener].outbox
	o := c.box
	cost := o.cost() + len(unit) + unitCost
	if cost <= limit || o.empty() {
		l.push(c, unit, priority)
		return Accepted
	}
	switch l.limits[c.listener].policy {
	case Disconnect:
		l.countOf(c)[listenerDropped+int(DropDisconnect)]++
		l.shut(c, ReasonOutboxFull)
		return Dropped
	case DropOldest:
		for cost > limit {
			size, ok := o.dropOldest(l, priority)
			if !ok {
				break
			}
			l.countOf(c)[listenerDropped+int(DropOldestUnit)]++
			cost -= size + unitCost
		}
		if cost > limit && !o.empty() {
			l.countOf(c)[listenerDropped+int(DropOldestUnit)]++
			return Dropped
		}
		l.push(c, unit, priority)
		return Accepted
	}
	if cost > HardFactor*limit {
		l.countOf(c)[listenerDropped+int(DropHardLimit)]++
		return Dropped
	}
	l.push(c, unit, priority)
	return Pressed
}
