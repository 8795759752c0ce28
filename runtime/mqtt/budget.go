package mqtt

import (
	"math"
	"sync/atomic"
)

// Budget is the memory that the sessions of a process may take together: for
// messages that wait or are not acknowledged yet, for subscriptions and for being
// remembered. It is safe for all loops; they share one.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes; 0 or less is no limit.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	return &Budget{limit: bytes}
}

// Used is how many bytes are taken: each stored message once, however many
// sessions share it, what its places in the sessions' queues cost, and what was
// taken with Take.
func (b *Budget) Used() int64 { return b.used.Load() }

// Limit is how many bytes there are.
func (b *Budget) Limit() int64 { return b.limit }

// Take takes n bytes; false, and nothing taken, if they are not there.
func (b *Budget) Take(n int) bool {
	if b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(int64(-n))
	return false
}

// force takes what cannot be refused; who forces has a bound of its own.
func (b *Budget) force(n int) { b.used.Add(int64(n)) }

// Give gives back n bytes that were taken.
func (b *Budget) Give(n int) { b.used.Add(int64(-n)) }
