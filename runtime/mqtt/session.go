package mqtt

import (
	"github.com/weftrun/weft/abi"
)

// Policy says whose message is lost when a session is full.
type Policy uint8

const (
	// DropNewest keeps what was accepted and refuses what comes. It is the
	// default: what is kept was acknowledged to its publisher, the loss can still
	// be told to the one whose message comes now, and what the client gets has no
	// hole but at the end.
	DropNewest Policy = iota
	// DropOldestFirst gives up what has waited longest, and never what the client
	// has begun to receive: for clients to whom only the present matters.
	DropOldestFirst
)

// Limits bounds a session. Sessions of a listener share one value, which nobody
// changes any more; zero fields have the defaults.
type Limits struct {
	// Messages is how many messages a session holds, in flight and waiting
	// (1,000), and Bytes their size, a shared message counted with each session,
	// several subscription identifiers as well (4 MiB).
	Messages int
	Bytes    int
	// Overrun is how many times Messages and Bytes a session may hold while its
	// client is there, because its publishers are held back and what they have sent
	// already must go somewhere; 0 and 1 are no overrun.
	Overrun int
	// Window is how many messages are in flight at most, whatever the client
	// would take (256).
	Window uint16
	// Policy says whose message is lost when one of the bounds is reached.
	Policy Policy
	// KeepQoS0 keeps QoS 0 messages for a client that is away. MQTT leaves that
	// open; without it they are dropped and counted.
	KeepQoS0 bool
}

// The defaults of Limits.
const (
	DefaultMessages = 1000
	DefaultBytes    = 4 << 20
	DefaultWindow   = 256
)

// Link is what a connection agreed on when it attached to a session.
type Link struct {
	// Window is the client's receive maximum: how many QoS 1 and QoS 2 messages
	// it takes before it has acknowledged one. 0 stands for 65,535.
	Window uint16
	// Receive is our receive maximum, which the client keeps to. 0 stands for
	// 65,535, the only one that MQTT 3.1.1 knows.
	Receive uint16
}

// Session is the state of a client that outlives its connections: what is on its
// way to the client and what came from it and is not finished. It belongs to the
// loop of its store. A session is not copied.
type Session struct {
	id       uint64
	store    *Store
	limits   *Limits
	presence *Presence // shared with Shared's readers; nil until asked for

	online, ended, releasing bool
	firm                     bool // what is offered displaces nothing

	window    uint16 // of this connection: the smaller of the client's and ours
	receive   uint16 // our receive maximum on this connection
	out       flight
	queue     queue
	bytes     int    // of the messages held, each with entrySize
	held0     int32  // QoS 0 messages in the queue
	willDelay uint32 // in seconds
	expiry    int64  // no message of the queue expires before; 0 is none

	in      *incoming // nil until the client publishes
	counter uint64    // where the next incoming goes on

	will  *Message
	leave *leave   // nil while the client is there
	given *Message // QoS 0 handed out by Next, released by what comes after
}

// entrySize is what a message counts in a session's Bytes beside its own bytes.
const entrySize = 32

// NewSession returns an empty session. The id is the server's name for it;
// limits is shared and not copied.
func NewSession(store *Store, id uint64, limits *Limits) *Session {
	return &Session{id: id, store: store, limits: limits}
}

// ID is the id that the session was made with.
func (s *Session) ID() uint64 { return s.id }

// Online tells whether a connection is attached.
func (s *Session) Online() bool { return s.online }

// Attach begins a connection: everything in flight is due again, in its original
// order, publishes marked DUP and exchanges behind PUBREC as PUBREL. Call Next
// until it has nothing more, after CONNACK was written.
func (s *Session) Attach(l Link) {
	if s.online {
		s.Detach()
	}
	s.online = !s.ended
	s.window = min(orMax(l.Window), orDefault(s.limits.Window, DefaultWindow))
	s.out.rewind()
	s.receive = orMax(l.Receive)
	if s.in != nil {
		s.in.limit = s.receive
	}
	s.present()
}

// Detach ends the connection. What is in flight waits for the next one; QoS 1
// messages from the client that are not acknowledged are forgotten, as it sends
// them again.
func (s *Session) Detach() {
	s.letGo()
	s.online = false
	if s.in != nil {
		if s.in.detach(); s.in.n == 0 {
			s.dropIncoming()
		}
	}
	s.out.trim(s.store)
	s.present()
}

// End frees everything that the session holds; what was not acknowledged is
// counted as DropEnded. Call Release before, for what shared subscriptions must
// not lose. The session cannot be used afterwards.
func (s *Session) End() { s.end(DropEnded) }

func (s *Session) end(why Outcome) {
	if s.ended {
		return
	}
	s.ended, s.online = true, false
	s.letGo()
	s.queue.filter(s.store, func(e *entry) bool { s.forget(e, why); return false })
	for id := s.out.head; id != 0; id = s.out.slots[id-1].next {
		if sl := &s.out.slots[id-1]; sl.state != awaitComp {
			s.forget(&sl.entry, why)
		} else {
			s.store.counts.Entries--
		}
	}
	s.out.clear(s.store)
	s.dropIncoming()
	s.DropWill()
	s.present()
}

func (s *Session) dropIncoming() {
	if s.in != nil {
		s.counter = s.in.counter
		s.in.clear(s.store)
		s.in = nil
	}
}

// SetWill stores the will of the connection that attaches; false if the budget
// has no room for it (CONNACK: quota exceeded). delay is in seconds.
func (s *Session) SetWill(m *abi.Message, delay uint32) bool {
	s.DropWill()
	s.will, s.willDelay = s.store.keep(m, 0), delay
	return s.will != nil
}

// DropWill forgets the will: the client said goodbye.
func (s *Session) DropWill() {
	if s.will != nil {
		s.store.release(s.will)
		s.will = nil
	}
}

// Len is how many messages the session holds, in flight and waiting.
func (s *Session) Len() int { return int(s.queue.n) + int(s.out.n) }

// Waiting is how many messages wait behind the window, or for the client.
func (s *Session) Waiting() int { return int(s.queue.n) }

// InFlight is how many messages the client has not acknowledged in full.
func (s *Session) InFlight() int { return int(s.out.n) }

// Undelivered is how many messages the session holds that the client may not have.
func (s *Session) Undelivered() int {
	n := s.Len()
	for id := s.out.head; id != 0; id = s.out.slots[id-1].next {
		if s.out.slots[id-1].state == awaitComp {
			n--
		}
	}
	return n
}

// Bytes is the size of what the session holds.
func (s *Session) Bytes() int { return s.bytes }

// Room is how many more messages the session takes before it drops one, as far
// as their number goes.
func (s *Session) Room() int { return max(0, s.maxMessages()-s.Len()) }

func (s *Session) maxMessages() int {
	if s.limits.Messages > 0 {
		return s.limits.Messages
	}
	return DefaultMessages
}

func (s *Session) maxBytes() int {
	if s.limits.Bytes > 0 {
		return s.limits.Bytes
	}
	return DefaultBytes
}

// overrun is how far a bound may be overrun now.
func (s *Session) overrun(bound int) int {
	if s.limits.Overrun > 1 && s.Online() {
		return bound * s.limits.Overrun
	}
	return bound
}

func orMax(v uint16) uint16 { return orDefault(v, 65535) }

func orDefault(v, def uint16) uint16 {
	if v == 0 {
		return def
	}
	return v
}
