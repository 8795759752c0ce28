package session

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Group is a queue group: sessions of which each message goes to one, in turn.
type Group struct {
	name string
	turn atomic.Uint64
	// The members stand in the first places, one in each. Who joins stands behind the
	// others; the last one takes the place of who leaves. A reader that is told another
	// number meanwhile finds a member all the same, or one that has just left.
	places atomic.Pointer[[]atomic.Uint64]
	count  atomic.Int64
	held   *holder[*Group] // the writer's: its name among the groups
}

// fewPlaces is how many members a group has room for at first.
const fewPlaces = 2

// Name is the group's name.
func (g *Group) Name() string { return g.name }

// Len is the number of members.
func (g *Group) Len() int {
	if g == nil {
		return 0
	}
	return int(g.count.Load())
}

// Turn begins the turn of one message: Member of it is the member to ask first, and of
// the numbers behind it, Len in all, each of the others, whoever else asks meanwhile. The
// group may be nil.
func (g *Group) Turn() uint64 {
	if g == nil {
		return 0
	}
	return g.turn.Add(1) - 1
}

// Member is the member at a turn; false if there is none. The group may be nil.
func (g *Group) Member(turn uint64) (id uint64, ok bool) {
	if g == nil {
		return 0, false
	}
	for {
		places := *g.places.Load()
		n := min(uint64(g.count.Load()), uint64(len(places)))
		if n == 0 {
			return 0, false
		}
		if id := places[turn%n].Load(); id != 0 {
			return id, true
		}
		// The places are others since, and these were never all taken.
	}
}

// Next is the member whose turn it is; false if there is none. The group may be nil.
func (g *Group) Next() (id uint64, ok bool) { return g.Member(g.Turn()) }

// add and remove are for one writer at a time.
func (g *Group) add(id uint64) {
	places, n := *g.places.Load(), int(g.count.Load())
	if n == len(places) {
		places = g.resize(n, 2*n)
	}
	places[n].Store(id)
	g.count.Store(int64(n + 1))
}

func (g *Group) remove(id uint64) {
	places, n := *g.places.Load(), int(g.count.Load())
	for i := range n {
		if places[i].Load() != id {
			continue
		}
		places[i].Store(places[n-1].Load())
		g.count.Store(int64(n - 1))
		if len(places) > fewPlaces && n-1 <= len(places)/4 {
			g.resize(n-1, len(places)/2)
		}
		return
	}
}

// resize gives the n members so many places.
func (g *Group) resize(n, size int) []atomic.Uint64 {
	places := make([]atomic.Uint64, size)
	for i := range n {
		places[i].Store((*g.places.Load())[i].Load())
	}
	g.places.Store(&places)
	return places
}

// Queue finds the group of that name; nil, which has no members, if there is none.
func (r *Registry) Queue(name []byte) *Group {
	g, _ := r.queues.lookup(name)
	return g
}

// Join makes the session a member of the queue group, once.
func (r *Registry) Join(s *Session, queue string) error {
	if s.closed {
		return ErrClosed
	}
	if err := validateName(queue); err != nil {
		return err
	}
	if slices.ContainsFunc(s.queues, func(g *Group) bool { return g.name == queue }) {
		return nil
	}
	if len(s.queues) >= r.limits.Queues {
		return fmt.Errorf("%w: session %d is in %d queue groups", ErrLimit, s.id, len(s.queues))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.Queue([]byte(queue))
	if g == nil {
		g = &Group{name: queue}
		g.resize(0, fewPlaces)
		g.add(s.id)
		var err error
		if g.held, _, err = r.queues.claim(queue, g, false, math.MaxInt); err != nil {
			return err
		}
	} else {
		if g.Len() >= r.limits.Members {
			return fmt.Errorf("%w: queue group %.64q has %d members", ErrLimit, queue, g.Len())
		}
		g.add(s.id)
	}
	s.queues = append(s.queues, g)
	return nil
}

// Leave ends the membership; false if there was none.
func (r *Registry) Leave(s *Session, queue string) bool {
	i := slices.IndexFunc(s.queues, func(g *Group) bool { return g.name == queue })
	if i < 0 {
		return false
	}
	r.leave(s.queues[i], s.id)
	s.queues = slices.Delete(s.queues, i, i+1)
	return true
}

func (r *Registry) leave(g *Group, id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.remove(id); g.Len() == 0 {
		r.queues.release(g.held)
	}
}
