package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Shared holds the groups of shared subscriptions of the process. Any goroutine
// may use it; those that pick take no lock.
type Shared struct {
	groups atomic.Pointer[[]atomic.Pointer[Group]] // by index of id; grows

	mu     sync.Mutex // writers
	byName map[groupName]*Group
	free   []uint32 // indices, used again in turn
	gens   []uint16 // how often an index was used
	max    int
}

type groupName struct{ group, filter string }

// Group is one shared subscription: all who subscribed to the same filter under
// the same group name get each message once between them.
type Group struct {
	// ID is the group's number, never 0. It is not used for another group before
	// 4,094 others had its place.
	ID     uint32
	Name   string
	Filter string

	members atomic.Pointer[[]Member]
	turn    atomic.Uint32
}

// Member is one session's part in a group.
type Member struct {
	Session uint64
	// Identifier and QoS are those of its subscription, Options what the server
	// wants to know again.
	Identifier uint32
	QoS        uint8
	Options    uint8
	Presence   *Presence
}

// A group id is its index in the low bits and how often that was used above.
const (
	indexBits = 20
	maxGroups = 1<<indexBits - 1
)

// SharePrefix begins the filter of a shared subscription.
const SharePrefix = "$share/"

// Errors of shared subscriptions.
var (
	// ErrShare is wrapped by errors about a malformed shared filter: SUBACK 0x8F,
	// topic filter invalid.
	ErrShare = errors.New("malformed shared subscription")
	// ErrGroups is the error when there are as many groups as there may be: SUBACK
	// 0x97, quota exceeded.
	ErrGroups = errors.New("as many shared subscriptions as there may be")
)

// CutShare takes $share/group/filter apart; shared is false for any other
// filter (MQTT 5.0, section 4.8.2). The filter itself is not checked further.
func CutShare(text string) (group, filter string, shared bool, err error) {
	rest, shared := strings.CutPrefix(text, SharePrefix)
	if !shared {
		return "", text, false, nil
	}
	group, filter, ok := strings.Cut(rest, "/")
	if !ok || group == "" || filter == "" || strings.ContainsAny(group, "+#") {
		return "", "", true, fmt.Errorf("%w %.64q: it must read $share/GROUP/FILTER, with a group of at least one character and without + and #", ErrShare, text)
	}
	return group, filter, true, nil
}

// NewShared returns an empty registry for so many groups; 0 or less is as many
// as it can hold, 1,048,575.
func NewShared(most int) *Shared {
	if most <= 0 || most > maxGroups {
		most = maxGroups
	}
	s := &Shared{byName: make(map[groupName]*Group), max: most}
	groups := make([]atomic.Pointer[Group], 16)
	s.groups.Store(&groups)
	return s
}

// Join makes the session a member of the group of this name and filter, or
// changes its part in it. first says that the group is new: the server subscribes
// it to the filter then. joined says that the session was no member before.
func (s *Shared) Join(group, filter string, m Member) (g *Group, first, joined bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := groupName{group, filter}
	g = s.byName[name]
	if g == nil {
		if g, err = s.add(name); err != nil {
			return nil, false, false, err
		}
		first = true
	}
	members := *g.members.Load()
	i, found := g.place(members, m.Session)
	if found {
		members = slices.Clone(members)
		members[i] = m
	} else {
		members = append(slices.Clip(members), m)
	}
	g.members.Store(&members)
	return g, first, !found, nil
}

// add makes a group; the caller has the lock.
func (s *Shared) add(name groupName) (*Group, error) {
	if len(s.byName) >= s.max {
		return nil, fmt.Errorf("%w: %d; raise the limit, or use fewer groups", ErrGroups, s.max)
	}
	var index uint32
	groups := *s.groups.Load()
	// Indices rest as long as possible, so that an old id names nobody new.
	if len(s.gens) < len(groups) || len(s.free) == 0 {
		index = uint32(len(s.gens))
		s.gens = append(s.gens, 0)
		if int(index) >= len(groups) {
			grown := make([]atomic.Pointer[Group], 2*len(groups))
			for i := range groups {
				grown[i].Store(groups[i].Load())
			}
			s.groups.Store(&grown)
			groups = grown
		}
	} else {
		index, s.free = s.free[0], s.free[1:]
	}
	s.gens[index] = s.gens[index]%4095 + 1
	g := &Group{ID: uint32(s.gens[index])<<indexBits | index, Name: name.group, Filter: name.filter}
	g.members.Store(new([]Member))
	s.byName[name] = g
	groups[index].Store(g)
	return g, nil
}

// Leave takes the session out of the group. last says that nobody is left and
// the group is gone: the server ends its subscription to the filter then. g is
// nil if the session was no member.
func (s *Shared) Leave(group, filter string, session uint64) (g *Group, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g = s.byName[groupName{group, filter}]
	if g == nil {
		return nil, false
	}
	members := *g.members.Load()
	i, found := g.place(members, session)
	if !found {
		return nil, false
	}
	members = slices.Delete(slices.Clone(members), i, i+1)
	g.members.Store(&members)
	if len(members) > 0 {
		return g, false
	}
	delete(s.byName, groupName{group, filter})
	index := g.ID & maxGroups
	(*s.groups.Load())[index].Store(nil)
	s.free = append(s.free, index)
	return g, true
}

// Group returns the group of the id; nil if it is gone. It takes no lock.
func (s *Shared) Group(id uint32) *Group {
	groups := *s.groups.Load()
	index := int(id & maxGroups)
	if index >= len(groups) {
		return nil
	}
	if g := groups[index].Load(); g != nil && g.ID == id {
		return g
	}
	return nil
}

// Len is how many groups there are.
func (s *Shared) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName)
}

func (g *Group) place(members []Member, session uint64) (int, bool) {
	i := slices.IndexFunc(members, func(m Member) bool { return m.Session == session })
	return i, i >= 0
}

// forQoS0 ranks the levels for a message that nobody stores: a client that is
// there gets it however full its session is.
var forQoS0 = [...]uint32{Gone: Gone, Full: 2, Absent: 1, Behind: Behind, Ready: Ready}

// Members is who is in the group now. The caller must not change it.
func (g *Group) Members() []Member { return *g.members.Load() }

// Pick returns the member that gets the next message: the next in turn of those
// that are best off. A member that is there and has room in its window comes before
// one that is behind, that before one whose client is away, and that before one
// that is full; for a QoS 0 message one that is away comes last, as it would lose
// it. tried are sessions that have it or did not take it. ok is false if nobody
// is left. It takes no lock and allocates nothing.
func (g *Group) Pick(qos uint8, tried ...uint64) (m Member, ok bool) {
	members := *g.members.Load()
	n := uint32(len(members))
	if n == 0 {
		return m, false
	}
	start := g.turn.Add(1) % n
	best := Gone
	for i := range n {
		c := &members[(start+i)%n]
		level := c.Presence.Level()
		if min(c.QoS, qos) == 0 {
			level = forQoS0[level]
		}
		if level <= best || slices.Contains(tried, c.Session) {
			continue
		}
		m, best, ok = *c, level, true
		if level == Ready {
			break
		}
	}
	return m, ok
}
