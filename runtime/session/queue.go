package session

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Group is a queue group: sessions of which each message goes to one, in turn.
type Group struct {
	name    string
	members atomic.Pointer[[]uint64]
	turn    atomic.Uint64
}

// Name is the group's name.
func (g *Group) Name() string { return g.name }

// Len is the number of members.
func (g *Group) Len() int {
	if g == nil {
		return 0
	}
	return len(*g.members.Load())
}

// Next is the member whose turn it is; false if there is none. A caller whom a
// member cannot serve asks again, at most Len times. The group may be nil.
func (g *Group) Next() (id uint64, ok bool) {
	if g == nil {
		return 0, false
	}
	members := *g.members.Load()
	if len(members) == 0 {
		return 0, false
	}
	return members[(g.turn.Add(1)-1)%uint64(len(members))], true
}

// queues is the groups by name. Groups are few and change seldom: each change
// copies the map.
type queues struct {
	groups atomic.Pointer[map[string]*Group]
}

func (q *queues) init() { q.groups.Store(&map[string]*Group{}) }

func (q *queues) len() int { return len(*q.groups.Load()) }

// Queue finds the group of that name; nil, which has no members, if there is none.
func (r *Registry) Queue(name []byte) *Group { return (*r.queues.groups.Load())[string(name)] }

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
		g.members.Store(&[]uint64{})
		r.setQueue(queue, g)
	}
	members := *g.members.Load()
	if len(members) >= r.limits.Members {
		return fmt.Errorf("%w: queue group %.64q has %d members", ErrLimit, queue, len(members))
	}
	// A reader never looks behind the length that it loaded, so the array may
	// be shared and grow in place.
	members = append(members, s.id)
	g.members.Store(&members)
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
	members := slices.Clone(*g.members.Load())
	if i := slices.Index(members, id); i >= 0 {
		members = slices.Delete(members, i, i+1)
	}
	g.members.Store(&members)
	if len(members) == 0 {
		r.setQueue(g.name, nil)
	}
}

// setQueue puts the group into the map, or takes it out if it is nil.
func (r *Registry) setQueue(name string, g *Group) {
	next := map[string]*Group{}
	for n, other := range *r.queues.groups.Load() {
		if n != name {
			next[n] = other
		}
	}
	if g != nil {
		next[name] = g
	}
	r.queues.groups.Store(&next)
}
