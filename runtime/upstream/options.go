package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Balance is how a pool chooses among the members that may be picked.
type Balance uint8

const (
	// RoundRobin takes the members in turn. Weights do not count.
	RoundRobin Balance = iota
	// Random takes any. Weights do not count.
	Random
	// LeastConn takes, of two members by chance, the one with fewer calls in flight
	// for its weight.
	LeastConn
	// Weighted takes each as often as its weight says, evenly spread.
	Weighted
	// ConsistentHash takes the same member for the same key, unless it has more than
	// its share in flight: then the next on the ring. A call without a key is spread
	// as Weighted does.
	ConsistentHash
)

var balances = [...]string{"round-robin", "random", "least-conn", "weighted", "consistent-hash"}

// String is the balance's name in the configuration.
func (b Balance) String() string {
	if int(b) < len(balances) {
		return balances[b]
	}
	return fmt.Sprintf("Balance(%d)", uint8(b))
}

// ParseBalance is the balance of that name.
func ParseBalance(name string) (Balance, error) {
	for i, n := range balances {
		if n == name {
			return Balance(i), nil
		}
	}
	return 0, fmt.Errorf("%w: balance %q; expected one of %v", ErrOptions, name, balances)
}

// ErrOptions is wrapped by every error about [Options].
var ErrOptions = errors.New("bad options of an upstream pool")

// Options describe a pool. The zero value of every field but Name and Logger is a
// default, which its comment says.
type Options struct {
	// Name is the pool's in the configuration: for errors and logs.
	Name string
	// Balance is how members are chosen.
	Balance Balance
	// Members are there from the start; with a Discoverer they stand until its
	// first answer.
	Members []Endpoint
	// Discoverer finds the members; nil: they are Members.
	Discoverer Discoverer
	// MaxMembers bounds the members: what discovery finds beyond it is left out,
	// counted and logged. 0 is 1024.
	MaxMembers int

	// Timeout bounds a whole call with its retries and pauses; 0: only the caller's
	// context does.
	Timeout time.Duration
	// Retry says when a call is tried again.
	Retry Retry
	// Hedge says when a second try starts beside the first; off by default.
	Hedge Hedge
	// Rate bounds the calls that start.
	Rate Rate

	// Breaker says when a member is left alone because its calls fail.
	Breaker Breaker
	// Outlier says when a member is ejected because its calls fail one after the other.
	Outlier Outlier
	// Check says how members are checked without a message; off if Checker is nil.
	Check Check
	// SlowStart is how long a member that is new or came back gets less than its
	// share, from a tenth up; 0: no slow start. Members that are there when the pool
	// starts are not new.
	SlowStart time.Duration
	// HashLoad is how many times its share of the calls in flight a member may have
	// before ConsistentHash goes on to the next; at least 1, 0 is 1.25.
	HashLoad float64

	// Logger is required.
	Logger *slog.Logger
}

// Retry says when a call is tried again.
type Retry struct {
	// Tries is how many there may be, the first included; 0 is 3, 1 is no retries.
	// At most MaxTries.
	Tries int
	// Timeout bounds each try; 0: only Options.Timeout and the caller's context do.
	Timeout time.Duration
	// Pause is the longest pause before the second try, doubled before each further
	// one; what is really waited is by chance between nothing and that, so that
	// callers do not come back together. 0 is 25 ms.
	Pause time.Duration
	// MaxPause bounds the doubling; 0 is 1 s.
	MaxPause time.Duration
	// Share is how many retries and hedges there may be for each call, over the
	// last ten seconds; 0 is 0.2, negative is none but PerSecond.
	Share float64
	// PerSecond is how many there may be each second in any case; 0 is 3, negative is
	// none but Share.
	PerSecond float64
}

// MaxTries is the most tries that a call may have, hedges included.
const MaxTries = 8

// Hedge says when a second try starts beside one that does not answer.
type Hedge struct {
	// After is how long a try may take before another member is asked as well; the
	// first answer counts and the other try's context ends. 0: never. The function
	// that Do is given then runs on two goroutines at once, and a message may arrive
	// twice. A member whose calls are
	// ended by faster hedges is not blamed for being slow: nothing is known of it.
	After time.Duration
}

// Rate bounds the calls that start, by a token bucket.
type Rate struct {
	// PerSecond is how many may start each second; 0: any number.
	PerSecond float64
	// Burst is how many may start at once; 0 is PerSecond, at least 1.
	Burst int
	// Wait is how long a call may wait for its turn; 0: not at all.
	Wait time.Duration
}

// Breaker says when a member is left alone because too many of its calls fail: its
// breaker opens, after Open lets Probes calls through, and closes when they succeed.
type Breaker struct {
	// Off switches it off.
	Off bool
	// Window is how far back calls count; 0 is 10 s. It slides in tenths.
	Window time.Duration
	// Calls is how many there must be in the window; 0 is 20.
	Calls int
	// Share of them that must fail; 0 is 0.5.
	Share float64
	// Open is how long nothing goes to the member; 0 is 5 s.
	Open time.Duration
	// Probes is how many calls may then go, and must succeed; 0 is 3.
	Probes int
}

// Outlier says when a member is ejected because its calls fail one after the other.
type Outlier struct {
	// Off switches it off.
	Off bool
	// Failures in a row that eject it; 0 is 5.
	Failures int
	// Ejection is how long the first ejection lasts; each further one is longer by
	// as much, and each such time without an ejection makes the next one shorter
	// again. 0 is 10 s.
	Ejection time.Duration
	// MaxEjection bounds it; 0 is 5 min.
	MaxEjection time.Duration
	// Share of the members that may be ejected at once, rounded down but at least one
	// where there are two or more; 0 is 0.5. A pool of one member never ejects it.
	Share float64
}

// Checker asks a member whether it is well; nil is yes. It is called by several
// goroutines, with a context that ends after Check.Timeout.
type Checker func(ctx context.Context, m *Member) error

// Check says how members are checked without a message.
type Check struct {
	// Checker asks; nil: no checks.
	Checker Checker
	// Interval between checks of one member, a fifth more or less by chance; 0 is 5 s.
	Interval time.Duration
	// Timeout of one check; 0 is 2 s.
	Timeout time.Duration
	// Fall is how many checks in a row must fail before a member is down; 0 is 3.
	// The first check of a new member decides alone.
	Fall int
	// Rise is how many must pass before it is up again; 0 is 2.
	Rise int
	// Parallel is how many members are checked at once; 0 is 16.
	Parallel int
}
