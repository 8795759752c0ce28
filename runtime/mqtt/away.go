package mqtt

import "math"

// Forever is the session expiry interval of a session that never ends by time
// (MQTT 5.0, section 3.1.2.11.2).
const Forever uint32 = math.MaxUint32

// leave is what a session without a connection waits for.
type leave struct {
	due  int64 // the earlier of the two
	ends int64 // math.MaxInt64 is never
	will int64 // when the will is published; math.MaxInt64 is never
	// place in the heap; -1 while the session has a connection
	place int
}

// Away holds the sessions of one loop whose clients are away, by the time at
// which something is due: a will, the session's end. It belongs to the loop.
type Away struct {
	order heap[*Session]
	spent *Session // whose will Due has handed out
	swept int      // where Sweep goes on
}

// NewAway returns an empty Away.
func NewAway() *Away {
	return &Away{order: heap[*Session]{
		less:  func(a, b *Session) bool { return a.leave.due < b.leave.due },
		moved: func(s *Session, place int) { s.leave.place = place },
	}}
}

// Leave begins the session's absence, when its connection is gone: it calls
// Detach. The session ends after expiry seconds (0: at once; Forever: never) and
// its will is published when the will's delay has passed or with the session's
// end, whichever comes first; a client that said goodbye (DISCONNECT 0x00) has
// lost its will before (DropWill). Call Due afterwards: both may be due already.
//
// A takeover is a Leave of the old connection, Due, and, if the session is still
// there, Return for the new one (MQTT 5.0, section 3.1.4).
func (a *Away) Leave(s *Session, expiry uint32, now int64) {
	s.Detach()
	s.away()
	s.leave.ends, s.leave.will = math.MaxInt64, math.MaxInt64
	if expiry != Forever {
		s.leave.ends = after(now, expiry)
	}
	if s.will != nil {
		s.leave.will = min(after(now, s.willDelay), s.leave.ends)
	}
	a.set(s)
}

// End makes the session end now, as a clean start of its client orders; its will,
// if one is left, is published. Due yields it.
func (a *Away) End(s *Session, now int64) {
	if s.online {
		s.Detach()
	}
	s.away()
	s.leave.ends, s.leave.will = now, math.MaxInt64
	if s.will != nil {
		s.leave.will = now
	}
	a.set(s)
}

// Return ends the session's absence: its client is back, and what is left of its
// will is forgotten. Call SetWill and Attach for the new connection then.
func (a *Away) Return(s *Session) {
	a.out(s)
	s.DropWill()
}

// Due is one thing that is due.
type Due struct {
	Session *Session
	// Will is to be published; nil if it is not. It is valid until the next call of
	// a method of the Away or of the session.
	Will *Message
	// Ended: the session is over. The caller takes its subscriptions, calls Release
	// for its shared ones, then End.
	Ended bool
}

// Due returns the next thing that is due, earliest first; ok is false if there is
// none. It costs one comparison then. Call it until it has nothing more.
func (a *Away) Due(now int64) (d Due, ok bool) {
	if a.spent != nil {
		a.spent.DropWill()
		a.spent = nil
	}
	if len(a.order.values) == 0 || a.order.values[0].leave.due > now {
		return d, false
	}
	s := a.order.values[0]
	d.Session = s
	if s.will != nil && s.leave.will <= now {
		d.Will, a.spent = s.will, s
		s.leave.will = math.MaxInt64
	}
	if d.Ended = s.leave.ends <= now; d.Ended {
		a.order.remove(0)
		return d, true
	}
	a.set(s)
	return d, true
}

// Sweep takes expired messages out of the queues of at most so many of the
// sessions, the next ones with each call: who is away calls neither Next nor
// for room, and what has expired there would hold memory that others need. A
// session in which nothing is due costs one comparison.
func (a *Away) Sweep(now int64, most int) {
	for range min(most, len(a.order.values)) {
		if a.swept >= len(a.order.values) {
			a.swept = 0
		}
		a.order.values[a.swept].Sweep(now)
		a.swept++
	}
}

// Next is when something is due next; math.MaxInt64 if nothing is.
func (a *Away) Next() int64 {
	if len(a.order.values) == 0 {
		return math.MaxInt64
	}
	return a.order.values[0].leave.due
}

// Len is how many sessions are away.
func (a *Away) Len() int { return len(a.order.values) }

// away makes room for what the session waits for: who is there needs none.
func (s *Session) away() {
	if s.leave == nil {
		s.leave = &leave{place: -1}
	}
}

func (a *Away) set(s *Session) {
	s.leave.due = min(s.leave.ends, s.leave.will)
	if s.leave.place >= 0 {
		a.order.fix(s.leave.place)
		return
	}
	a.order.push(s)
}

func (a *Away) out(s *Session) {
	if a.spent == s {
		a.spent = nil
	}
	if s.leave != nil && s.leave.place >= 0 {
		a.order.remove(s.leave.place)
	}
	s.leave = nil
}
