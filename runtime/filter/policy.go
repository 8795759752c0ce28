// Package filter decides whether a source may speak to a listener, before a byte of
// it becomes a frame. The policy is one; who enforces it is another matter: the
// kernel, where eBPF may run (package kernel), and user space everywhere (Table).
// Both count under the same names and give the same verdicts on the same packets.
//
// The order is that of what costs least: the listener's address, the rules, the
// first bytes of a datagram, the rate of the source. What is for no listener of
// weft's passes at once.
//
// The package is pure: no goroutine, no clock but the one it is given, no sibling.
package filter

import (
	"net/netip"
	"time"
)

// MaxListeners is the largest number of listeners of a policy.
const MaxListeners = 256

// MaxPatterns is the largest number of patterns of one listener.
const MaxPatterns = 4

// Reason is why something was dropped; Pass is why it was not.
type Reason uint8

// The reasons, in the order in which they are looked for. Counters, the API and the
// command line name them by String.
const (
	// Pass is no reason: it goes on.
	Pass Reason = iota
	// Denied is by a rule of the configuration, or because the listener's default
	// is to deny.
	Denied
	// Blocked is by a rule that somebody set at run time: an operator, a plugin, the
	// policy of offenders.
	Blocked
	// Malformed is a datagram whose first bytes are none of its listener's.
	Malformed
	// Rate is a datagram beyond its source's rate.
	Rate
	// ConnectionRate is a new connection (its SYN) beyond its source's rate.
	ConnectionRate
	// Reasons is how many there are.
	Reasons
)

// String is the reason's name in metrics, in the API and on the command line.
func (r Reason) String() string {
	switch r {
	case Pass:
		return "pass"
	case Denied:
		return "denied"
	case Blocked:
		return "blocked"
	case Malformed:
		return "malformed"
	case Rate:
		return "rate"
	case ConnectionRate:
		return "connection_rate"
	}
	return "unknown"
}

// Action is what a rule does.
type Action uint8

// The actions.
const (
	// Allow lets the source go on to the first bytes and the rate.
	Allow Action = iota
	// Deny drops.
	Deny
)

// Network is a listener's transport.
type Network uint8

// The networks.
const (
	TCP Network = iota
	UDP
)

// Listener is what the policy says of one listener.
type Listener struct {
	// ID is below MaxListeners, unique among the listeners of a policy, and the same
	// for as long as a listener has its name: counters and rules are kept under it.
	ID uint16
	// Name is the listener's name in the configuration.
	Name string
	// Network is its transport.
	Network Network
	// Address is where it listens. An unspecified address is every address of its
	// family; an unspecified IPv6 address is IPv4's, too.
	Address netip.AddrPort
	// Default is what happens to a source that no rule names.
	Default Action
	// Patterns are the beginnings that a datagram may have; one of them must match.
	// None: every datagram matches. TCP has none.
	Patterns []Pattern
	// Rate bounds the datagrams of one source; the zero Limit is none.
	Rate Limit
	// Connections bounds the new TCP connections of one source; the zero Limit is
	// none.
	Connections Limit
}

// Pattern is how a datagram begins: at least MinLength bytes, and from Offset on the
// bits that Mask names are those of Value. Bytes behind Length are zero in both.
type Pattern struct {
	Offset    uint8 // at most 24
	Length    uint8 // at most 8; 0: only MinLength counts
	MinLength uint16
	Mask      [8]byte
	Value     [8]byte
}

// Limit is a rate by the generic cell rate algorithm: one token each Every, Burst of
// them at once. Every 0 is no limit. The state of a source is one number, the time at
// which it has all its tokens again (ITU-T I.371, virtual scheduling).
type Limit struct {
	Every time.Duration
	Burst uint32
}

// Entry is a rule as an enforcer has it: of one listener. Among the entries that
// contain a source the one with the longest prefix decides.
type Entry struct {
	Listener uint16
	// Prefix is masked; IPv4 in its own form, never mapped into IPv6.
	Prefix netip.Prefix
	Action Action
	// Reason is Denied or Blocked, for an entry that denies.
	Reason Reason
	// Until is when the entry ends; zero is never. The enforcer itself ignores it
	// from then on, whether or not somebody deletes it.
	Until time.Time
	// Author is whose rule it is. It means nothing to an enforcer; a Keeper gives it
	// back.
	Author Author
}

// Author is what kind of owner has made a rule.
type Author uint8

// The authors.
const (
	// ByConfig is the configuration, which is read again when weft is started.
	ByConfig Author = iota
	// ByOperator is a person, or a program that uses the API.
	ByOperator
	// ByRuntime is a plugin or a policy.
	ByRuntime
)

// Keeper is an Enforcer whose listeners and entries outlive the process.
type Keeper interface {
	Enforcer
	// Kept tells what is in force, of an earlier process too: the listeners by ID and
	// Name, and their entries that have not ended. After Listeners the IDs are those of
	// there; a listener has the entries that one of its name had before.
	Kept() ([]Listener, []Entry, error)
}

// RateKey is the source as rates count it: an IPv4 address by itself, an IPv6 address by
// its /64, since that is what one customer, one link, one machine with changing
// addresses has (RFC 6177, RFC 8981). Rules are not about this.
func RateKey(source netip.Addr) netip.Addr {
	if source = source.Unmap(); source.Is4() {
		return source
	}
	b := source.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}

// Count is what an enforcer has let pass or dropped for one listener, since its
// counters were made: packets in the kernel; in user space datagrams, and connections
// at their accept.
type Count struct {
	Listener uint16
	Packets  [Reasons]uint64
	Bytes    [Reasons]uint64
}

// Enforcer is who enforces a policy. The methods are called one at a time.
type Enforcer interface {
	// Listeners replaces all listeners. Entries and counts of those that stay, by ID,
	// are kept. Nothing that a rule forbids passes meanwhile.
	Listeners([]Listener) error
	// Put adds entries, or replaces those with the same listener and prefix.
	Put([]Entry) error
	// Delete removes entries by listener and prefix; one that is not there is no
	// error.
	Delete([]Entry) error
	// Counts appends the counts of every listener to list.
	Counts(list []Count) ([]Count, error)
}
