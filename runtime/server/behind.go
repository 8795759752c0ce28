package server

import (
	"context"
	"sync"
	"time"
)

// behind writes what has changed to where it is kept, a moment later. What changed is a
// key; what is to be written of it is found out when its turn comes, so that a key which
// changes a thousand times meanwhile is written once. Sessions, retained messages and
// plugins' keys are written so.
//
// One writer at a time has a key. Keys that change while they are written come again.
// There are so many keys at most, and whoever finds no room is told.
type behind[K comparable] struct {
	behindOptions[K]

	mu      sync.Mutex
	keys    map[K]standing
	queue   []K        // those that stand at toWrite, in order; but for
	later   []tried[K] // those that could not be written
	even    bool       // it is the turn of these
	resting time.Time  // no key of them is written before
	alarm   bool       // somebody is woken then
	busy    int        // writers that have a key
	woken   sync.Cond
	settled sync.Cond // some key is not to be written any more
	ended   bool      // nothing comes any more but what writes bring about
	over    bool      // nor that
	counts  behindCounts

	ctx     context.Context // of writes
	giveUp  context.CancelFunc
	working sync.WaitGroup
}

// behindOptions is what one is made of.
type behindOptions[K comparable] struct {
	// Writers is how many keys are written at the same time: they share the disk's syncs.
	Writers int
	// Most is how many keys may wait; 0 is no bound: whoever tells of them has one.
	Most int
	// Rest is after how long a key is tried again that could not be written. Within that,
	// as many such keys are as there are writers, and others do not wait for them.
	Rest time.Duration
	// Write writes what there is of a key. It may wait, and change keys itself.
	Write func(ctx context.Context, key K) outcome
	// Finish is asked, in the same moment in which the key is let go of, whether it is to
	// come again; nil never. Stale keys, which have changed meanwhile, do anyhow. It must not
	// wait nor call the behind.
	Finish func(key K, stale bool, o outcome) (again bool)
	// Changed is told, in the same moment, of a key that has changed; nil is nobody. It must
	// not wait nor call the behind.
	Changed func(key K)
}

// standing is where a key stands that differs from what is kept of it.
type standing uint8

const (
	atRest  standing = iota // it does not
	toWrite                 // it is in the queue
	writing
	writingStale // it has changed since
)

// tried is a key that could not be written, and is not written again before.
type tried[K comparable] struct {
	key    K
	before time.Time
}

// outcome is what became of a write.
type outcome uint8

const (
	nothing    outcome = iota // there was nothing to be written
	written                   //
	notWritten                // and will not be
	notYet                    // nor now: again, after a rest
)

// behindCounts is what has become of keys. Pending is how many wait or are being
// written, Written how many writes there were, Failed those of them that failed,
// Refused how many changes found no room.
type behindCounts struct {
	Pending                  int
	Written, Failed, Refused uint64
}

func newBehind[K comparable](o behindOptions[K]) *behind[K] {
	b := &behind[K]{behindOptions: o, keys: map[K]standing{}}
	b.woken.L, b.settled.L = &b.mu, &b.mu
	return b
}

// start begins to write. Keys may have changed before.
func (b *behind[K]) start(ctx context.Context) {
	b.ctx, b.giveUp = context.WithCancel(ctx)
	for range b.Writers {
		b.working.Go(b.work)
	}
}

// changed has a key written; false if there is no room for it, or this has ended. It does not wait, and its
// lock is held for moments only: any goroutine calls it.
func (b *behind[K]) changed(key K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Changed != nil {
		b.Changed(key)
	}
	switch standing := b.keys[key]; {
	case b.over, standing == atRest && b.Most > 0 && len(b.keys) >= b.Most:
		b.counts.Refused++
		return false
	case standing == atRest:
		b.enqueue(key)
	case standing == writing:
		b.keys[key] = writingStale
	}
	return true
}

func (b *behind[K]) enqueue(key K) {
	b.keys[key] = toWrite
	b.queue = append(b.queue, key)
	b.woken.Signal()
}

// with calls f with where the key stands, which stays so until f returns: it must not wait
// nor call the behind.
func (b *behind[K]) with(key K, f func(standing)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.keys[key])
}

// settle waits until nothing is to be written under the key any more.
func (b *behind[K]) settle(key K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.keys[key] != atRest && !b.over {
		b.settled.Wait()
	}
}

// work writes keys until there are none and none will come.
func (b *behind[K]) work() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		key, ok := b.next()
		switch {
		case ok:
			b.write(key)
		case b.ended && b.busy == 0:
			b.woken.Broadcast()
			return
		default:
			b.woken.Wait()
		}
	}
}

// next is the key whose turn it is. In the end those that could not be written do not wait.
func (b *behind[K]) next() (key K, ok bool) {
	rest := time.Duration(0)
	if len(b.later) > 0 && !b.ended {
		rest = max(time.Until(b.resting), time.Until(b.later[0].before))
	}
	b.even = !b.even
	switch {
	case len(b.later) > 0 && rest <= 0 && (b.even || len(b.queue) == 0):
		return first(&b.later).key, true
	case len(b.queue) > 0:
		return first(&b.queue), true
	case len(b.later) > 0 && !b.alarm:
		b.alarm = true
		time.AfterFunc(rest, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.alarm = false
			b.woken.Broadcast()
		})
	}
	return key, false
}

// first takes the first of a list away.
func first[T any](list *[]T) (one T) {
	var none T
	one, (*list)[0] = (*list)[0], none
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
	return one
}

// write writes a key. It is called with mu held, and lets go of it meanwhile.
func (b *behind[K]) write(key K) {
	b.keys[key] = writing
	b.busy++
	b.mu.Unlock()
	o := b.Write(b.ctx, key)
	b.mu.Lock()
	b.busy--
	if o != nothing {
		b.counts.Written++
	}
	if o >= notWritten {
		b.counts.Failed++
	}
	changed, yet := b.keys[key] == writingStale, o == notYet && !b.ended
	again := b.Finish != nil && b.Finish(key, changed || yet, o)
	if o == written {
		b.resting = time.Time{} // there may be room, or somebody to write to, for others
	}
	switch {
	case yet:
		now := time.Now()
		b.resting = now.Add(min(max(b.resting.Sub(now), 0)+b.Rest/time.Duration(b.Writers), b.Rest))
		b.keys[key] = toWrite
		b.later = append(b.later, tried[K]{key, now.Add(b.Rest)})
		b.woken.Signal()
	case again || changed:
		b.enqueue(key)
	default:
		delete(b.keys, key)
		b.settled.Broadcast()
		if b.ended {
			b.woken.Broadcast()
		}
	}
}

// close writes what is left, gives up after so long, and ends. It answers how many keys
// were not written. A second call does nothing.
func (b *behind[K]) close(within time.Duration) (left int) {
	b.mu.Lock()
	if b.ctx == nil || b.ended {
		b.mu.Unlock()
		return 0
	}
	b.ended = true
	before := b.counts.Failed
	b.woken.Broadcast()
	b.mu.Unlock()
	defer time.AfterFunc(within, b.giveUp).Stop()
	b.working.Wait()
	b.giveUp()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.settled.Broadcast()
	return int(b.counts.Failed - before)
}

func (b *behind[K]) stats() behindCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts
	c.Pending = len(b.keys)
	return c
}
