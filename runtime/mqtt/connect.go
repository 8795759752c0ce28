package mqtt

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"
)

// Key is whose a session is: the authenticated principal's and, of theirs, the
// client id's. Two principals with one client id have two sessions, and neither
// ends or inherits the other's.
type Key struct{ Principal, ClientID string }

// Start is how a connection begins, one rule for both versions of the protocol.
type Start struct {
	// Clean: a session that is there ends first.
	Clean bool
	// Expiry is how many seconds the session outlives the connection: 0 not at
	// all, Forever without end.
	Expiry uint32
	// Told: the interval is not the one that the client asked for, and CONNACK must
	// say it (version 5).
	Told bool
}

// Begin5 is the start that a CONNECT of version 5 asks for: its clean start
// flag and its session expiry interval (0 if it has none), which bound limits;
// bound 0 is no limit.
func Begin5(clean bool, expiry, bound uint32) Start {
	s := Start{Clean: clean, Expiry: bounded(expiry, bound)}
	s.Told = s.Expiry != expiry
	return s
}

// Begin3 is the start that a CONNECT of version 3.1.1 asks for: a clean session
// ends with its connection, any other never, or after bound seconds.
func Begin3(cleanSession bool, bound uint32) Start {
	if cleanSession {
		return Start{Clean: true}
	}
	return Start{Expiry: bounded(Forever, bound)}
}

func bounded(expiry, bound uint32) uint32 {
	if bound != 0 {
		return min(expiry, bound)
	}
	return expiry
}

// ErrExpiry is the error of a DISCONNECT that gives a session a life after the
// connection which CONNECT had not: disconnect with 0x82, protocol error.
var ErrExpiry = errors.New("a session that was to end with its connection cannot be kept by DISCONNECT")

// Leaving is the session expiry interval after a DISCONNECT that asks for
// another one (MQTT 5.0, section 3.14.2.2.2).
func (s Start) Leaving(asked, bound uint32) (uint32, error) {
	if s.Expiry == 0 && asked != 0 {
		return 0, ErrExpiry
	}
	return bounded(asked, bound), nil
}

// Present is the session present flag of CONNACK: found says that the key has a
// session (MQTT-3.2.2-2 and -3).
func (s Start) Present(found bool) bool { return found && !s.Clean }

// Silence is how long a connection with this keep-alive may be silent: one and a
// half times as long (MQTT-3.1.2-22); 0 is for ever.
func Silence(keepAlive uint16) time.Duration {
	return time.Duration(keepAlive) * 1500 * time.Millisecond
}

// KeepAlive is the keep-alive that holds for a client that asks for one, in
// seconds; told says that CONNACK of version 5 must say it, as it is not the one
// that was asked for. most is the longest that we allow; 0 allows any, none
// included. Version 3.1.1 cannot say it: use its own.
func KeepAlive(asked, most uint16) (seconds uint16, told bool) {
	if most != 0 && (asked == 0 || asked > most) {
		return most, true
	}
	return asked, false
}

// ErrNoClientID is the error when no client id could be found that fits.
var ErrNoClientID = errors.New("no client id fits")

// AssignClientID returns a client id that nobody can guess, for a client without
// one: 26 characters, 130 bits of chance. fits is asked whether it may be this
// one, such as whether it belongs to the loop that asks and nobody has it.
func AssignClientID(fits func(id string) bool) (string, error) {
	const most = 1 << 14
	for range most {
		if id := rand.Text(); fits(id) {
			return id, nil
		}
	}
	return "", fmt.Errorf("%w: %d were tried; whatever decides refuses all or nearly all", ErrNoClientID, most)
}

// Clients finds the sessions of one loop by whose they are. It belongs to the
// loop.
type Clients struct {
	byKey map[Key]*Session
	max   int
}

// ErrClients is the error when there are as many sessions as there may be:
// CONNACK 0x97, quota exceeded (version 3.1.1: 0x03).
var ErrClients = errors.New("as many sessions as there may be")

// NewClients returns an empty table for so many sessions; 0 or less is no limit.
func NewClients(most int) *Clients {
	if most <= 0 {
		most = math.MaxInt
	}
	return &Clients{byKey: make(map[Key]*Session), max: most}
}

// Find returns the session of the key, or nil.
func (c *Clients) Find(k Key) *Session { return c.byKey[k] }

// Put makes s the session of the key. A key that has one changes it for s.
func (c *Clients) Put(k Key, s *Session) error {
	if _, ok := c.byKey[k]; !ok && len(c.byKey) >= c.max {
		return fmt.Errorf("%w: %d; raise the limit, or let sessions expire sooner", ErrClients, c.max)
	}
	c.byKey[k] = s
	return nil
}

// Remove takes the key's session out if it is s.
func (c *Clients) Remove(k Key, s *Session) {
	if c.byKey[k] == s {
		delete(c.byKey, k)
	}
}

// Len is how many sessions there are.
func (c *Clients) Len() int { return len(c.byKey) }
