package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/weftrun/weft/runtime/router"
)

// Errors of the registry.
var (
	// ErrTaken: another session holds the name and keeps it.
	ErrTaken = errors.New("the name is taken")
	// ErrName: the name cannot be one.
	ErrName = errors.New("malformed name")
	// ErrLimit: a limit of the registry would be exceeded.
	ErrLimit = errors.New("limit reached")
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("the session is closed")
)

// MaxName is how many bytes a node's or a queue's name may have.
const MaxName = 255

// Policy says who keeps a name that two sessions want.
type Policy uint8

// The policies.
const (
	// Refuse: the session that holds the name keeps it.
	Refuse Policy = iota
	// TakeOver: the newcomer gets it; the caller closes the former holder.
	TakeOver
)

// Limits bound a registry. Zero values stand for the defaults.
type Limits struct {
	Names         int // names in all; 1,000,000 by default
	Subscriptions int // patterns of one session; 1,000 by default
	Queues        int // queue groups of one session; 64 by default
	Members       int // sessions of one queue group; 65,536 by default
}

func (l Limits) withDefaults() Limits {
	fallback := func(value *int, n int) {
		if *value <= 0 {
			*value = n
		}
	}
	fallback(&l.Names, 1_000_000)
	fallback(&l.Subscriptions, 1000)
	fallback(&l.Queues, 64)
	fallback(&l.Members, 65_536)
	return l
}

// Stats is how much a registry holds.
type Stats struct{ Names, Subscriptions, Queues int }

// Registry knows which session holds which name, and keeps sessions'
// subscriptions in the trie.
type Registry struct {
	limits Limits
	topics *router.Trie[router.Subscriber]
	names  names[uint64]

	mu     sync.Mutex // queues: writers
	queues names[*Group]
}

// NewRegistry returns an empty registry whose sessions subscribe in the trie.
func NewRegistry(topics *router.Trie[router.Subscriber], limits Limits) *Registry {
	r := &Registry{limits: limits.withDefaults(), topics: topics}
	r.names.init()
	r.queues.init()
	return r
}

// Observe has the functions told which names are held now or not any more, and which
// queue groups have members: of each in order, several at the same time. They must not
// use the registry. Call it before there are sessions.
func (r *Registry) Observe(name func(name string, held bool), queue func(queue string, members bool)) {
	r.names.observe, r.queues.observe = name, queue
}

// Topics is the trie of subscriptions: ids of sessions under patterns.
func (r *Registry) Topics() *router.Trie[router.Subscriber] { return r.topics }

// Stats returns how much the registry holds.
func (r *Registry) Stats() Stats {
	return Stats{Names: r.names.len(), Subscriptions: r.topics.Len(), Queues: r.queues.len()}
}

// Claim gives the session the name, which it copies, and takes back the name
// that the session held before, if another. When somebody else holds the name,
// Refuse leaves everything as it was and answers that holder with ErrTaken;
// TakeOver passes the name on and answers the former holder with no error: it is
// for the caller to close it. Otherwise the holder answered is 0.
func (r *Registry) Claim(s *Session, name []byte, policy Policy) (holder uint64, err error) {
	if s.closed {
		return 0, ErrClosed
	}
	if s.name != nil && s.name.name == string(name) {
		if id, ok := r.Lookup(name); ok && id == s.id {
			return 0, nil
		}
	}
	if err := validateName(string(name)); err != nil {
		return 0, err
	}
	h, holderID, err := r.names.claim(string(name), s.id, policy == TakeOver, r.limits.Names)
	if err != nil {
		return holderID, fmt.Errorf("%w: %.64q, held by session %d", err, name, holderID)
	}
	r.release(s)
	s.name = h
	return holderID, nil
}

func validateName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > MaxName:
		return fmt.Errorf("%w %.64q: %d bytes, at most %d are allowed", ErrName, name, len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w %.64q: it is not UTF-8", ErrName, name)
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return fmt.Errorf("%w %.64q: a control character at offset %d", ErrName, name, i)
		}
	}
	return nil
}

// release gives back the session's name, unless somebody took it over.
func (r *Registry) release(s *Session) {
	if s.name != nil {
		r.names.release(s.name)
		s.name = nil
	}
}

// Lookup finds the session that holds the name.
func (r *Registry) Lookup(name []byte) (id uint64, ok bool) { return r.names.lookup(name) }

// Names visits every name and its holder, in no particular order, until visit
// returns false. Names that come or go meanwhile may be visited or not.
func (r *Registry) Names(visit func(name string, id uint64) bool) { r.names.all(visit) }

// Subscribe subscribes the session to the pattern; added is false if it was
// already. The error is that of router.ValidatePattern, ErrLimit or ErrClosed.
func (r *Registry) Subscribe(s *Session, pattern string) (added bool, err error) {
	if slices.ContainsFunc(s.subscriptions, is(router.Canonical(pattern))) && !s.closed {
		return false, nil
	}
	return r.SubscribeAs(s, pattern, 0, 0)
}

// SubscribeAs is Subscribe with options and an identifier of the session's own. A
// subscription to the same pattern is replaced; nothing is missed meanwhile.
func (r *Registry) SubscribeAs(s *Session, pattern string, options router.Options, identifier uint32) (added bool, err error) {
	if s.closed {
		return false, ErrClosed
	}
	pattern = router.Canonical(pattern)
	by := router.Subscriber{Session: s.id, Identifier: identifier, Options: options}
	i := slices.IndexFunc(s.subscriptions, is(pattern))
	if i < 0 && len(s.subscriptions) >= r.limits.Subscriptions {
		return false, fmt.Errorf("%w: session %d has %d subscriptions", ErrLimit, s.id, len(s.subscriptions))
	}
	if i >= 0 && s.subscriptions[i].by == by {
		return false, nil
	}
	if _, err = r.topics.Add(pattern, by); err != nil {
		return false, err
	}
	if i < 0 {
		s.subscriptions = append(s.subscriptions, subscription{pattern, by})
		return true, nil
	}
	r.topics.Remove(pattern, s.subscriptions[i].by)
	s.subscriptions[i].by = by
	return false, nil
}

// is finds a pattern in canonical spelling among subscriptions.
func is(pattern string) func(subscription) bool {
	return func(s subscription) bool { return s.pattern == pattern }
}

// Unsubscribe ends the session's subscription to the pattern; false if there was none.
func (r *Registry) Unsubscribe(s *Session, pattern string) (removed bool) {
	i := slices.IndexFunc(s.subscriptions, is(router.Canonical(pattern)))
	if i < 0 {
		return false
	}
	gone := s.subscriptions[i]
	s.subscriptions = slices.Delete(s.subscriptions, i, i+1)
	return r.topics.Remove(gone.pattern, gone.by)
}

// Close takes everything back that the session holds: its name (unless it was
// taken over), its subscriptions and its places in queue groups. The context
// stays readable. A closed session gets nothing again; closing it twice does
// nothing.
func (r *Registry) Close(s *Session) {
	s.closed = true
	r.release(s)
	for _, gone := range s.subscriptions {
		r.topics.Remove(gone.pattern, gone.by)
	}
	s.subscriptions = nil
	for _, g := range s.queues {
		r.leave(g, s.id)
	}
	s.queues = nil
}
