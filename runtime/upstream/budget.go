package upstream

import "sync"

// budget is how many tries beyond the first there may be: a share of the calls of
// the last ten seconds, and a number each second. A pool whose members all fail gets
// that much more load, and not a multiple of it.
type budget struct {
	share, perSecond float64

	mu    sync.Mutex
	slots [budgetSeconds]struct{ calls, spent int }
	at    int64 // the second of the newest slot
}

const budgetSeconds = 10

const second = int64(1e9)

// call notes a call that starts now.
func (b *budget) call(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now / second)
	b.slots[b.at%budgetSeconds].calls++
}

// spend takes a try from the budget, and tells whether there was one.
func (b *budget) spend(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now / second)
	calls, spent := 0, 0
	for _, s := range b.slots {
		calls += s.calls
		spent += s.spent
	}
	if float64(spent+1) > b.share*float64(calls)+b.perSecond*budgetSeconds {
		return false
	}
	b.slots[b.at%budgetSeconds].spent++
	return true
}

// turn forgets what is older than the window.
func (b *budget) turn(at int64) {
	for n := 0; b.at < at && n < budgetSeconds; n++ {
		b.at++
		b.slots[b.at%budgetSeconds] = struct{ calls, spent int }{}
	}
	if b.at < at { // longer ago than all of it, which is empty now
		b.at = at
	}
}
