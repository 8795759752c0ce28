package router

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// Trie holds subscriptions: items of type T under topic patterns. Any number of
// goroutines may read (Match, MatchUnique, Len, Version, Walk) while others
// write (Add, Remove); readers never wait and never allocate, writers take turns
// on a mutex. A Match that runs beside a change sees the subscription or does
// not; it never sees half of one, and never misses one that was there before and
// after.
type Trie[T comparable] struct {
	root    node[T]
	version atomic.Uint64
	count   atomic.Int64
	seed    maphash.Seed

	mu        sync.Mutex // serialises writers
	tombstone node[T]    // stands in tables for children that were removed
}

// node is one level of the trie. The name is part of the pattern's text that
// made the node.
type node[T comparable] struct {
	name     string
	hash     uint32
	dead     bool // the tombstone; never changes
	children atomic.Pointer[children[T]]
	any      atomic.Pointer[node[T]] // the child for '+'
	items    atomic.Pointer[set[T]]  // patterns that end here
	rest     atomic.Pointer[set[T]]  // patterns that end here with '#'
}

// empty reports whether nothing hangs on the node any more.
func (n *node[T]) empty() bool {
	return n.children.Load() == nil && n.any.Load() == nil && n.items.Load() == nil && n.rest.Load() == nil
}

// NewTrie returns an empty trie.
func NewTrie[T comparable]() *Trie[T] {
	t := &Trie[T]{seed: maphash.MakeSeed()}
	t.tombstone.dead = true
	return t
}

// Len is the number of subscriptions.
func (t *Trie[T]) Len() int { return int(t.count.Load()) }

// Version rises with every change, after the change can be seen: what was
// matched after reading a version is at least as new as that version.
func (t *Trie[T]) Version() uint64 { return t.version.Load() }

// Add subscribes the item to the pattern; added is false if it was already. The
// error is that of ValidatePattern. The trie keeps parts of the pattern's text.
func (t *Trie[T]) Add(pattern string, item T) (added bool, err error) {
	if err := ValidatePattern(pattern); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, rest, more := &t.root, pattern, true
	for more && rest != "#" {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		n = t.child(n, level)
	}
	place := n.place(more)
	changed, added := place.Load().add(t.seed, item)
	if added {
		place.Store(changed)
		t.count.Add(1)
		t.version.Add(1)
	}
	return added, nil
}

// place is where items of patterns that end at the node are kept: with a '#'
// behind it, or without.
func (n *node[T]) place(withRest bool) *atomic.Pointer[set[T]] {
	if withRest {
		return &n.rest
	}
	return &n.items
}

// child returns the node's child for one level, making it if need be.
func (t *Trie[T]) child(n *node[T], level string) *node[T] {
	if isWildcard(level) {
		if n.any.Load() == nil {
			n.any.Store(&node[T]{name: "+"})
		}
		return n.any.Load()
	}
	hash := uint32(maphash.String(t.seed, level))
	table := n.children.Load()
	if table != nil {
		if child := table.find(hash, []byte(level)); child != nil {
			return child
		}
	}
	child := &node[T]{name: level, hash: hash}
	n.children.Store(table.insert(child))
	return child
}

// Remove ends the item's subscription to the pattern; false if there was none.
func (t *Trie[T]) Remove(pattern string, item T) (removed bool) {
	if pattern == "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.remove(&t.root, pattern, true, item) {
		return false
	}
	t.count.Add(-1)
	t.version.Add(1)
	return true
}

// remove walks to the pattern's end, takes the item out and, on the way back,
// the nodes that nothing hangs on any more.
func (t *Trie[T]) remove(n *node[T], pattern string, more bool, item T) bool {
	if !more || pattern == "#" {
		place := n.place(more)
		changed, removed := place.Load().remove(t.seed, item)
		if removed {
			place.Store(changed)
		}
		return removed
	}
	level, rest, more := strings.Cut(pattern, "/")
	if isWildcard(level) {
		child := n.any.Load()
		if child == nil || !t.remove(child, rest, more, item) {
			return false
		}
		if child.empty() {
			n.any.Store(nil)
		}
		return true
	}
	table := n.children.Load()
	if table == nil {
		return false
	}
	child := table.find(uint32(maphash.String(t.seed, level)), []byte(level))
	if child == nil || !t.remove(child, rest, more, item) {
		return false
	}
	if child.empty() {
		n.children.Store(table.remove(child, &t.tombstone))
	}
	return true
}

// Match appends to dst the items of every pattern that matches the topic, in no
// particular order. An item that is subscribed by several matching patterns is
// appended as often: MatchUnique and Cache give it once. The topic is not
// validated; it allocates only to grow dst.
func (t *Trie[T]) Match(topic []byte, dst []T) []T {
	dst, _ = t.match(topic, dst)
	return dst
}

// MatchUnique is Match without duplicates. The map is the caller's, empty, and
// empty again on return; it is not touched where no duplicate is possible.
func (t *Trie[T]) MatchUnique(topic []byte, dst []T, seen map[T]struct{}) []T {
	start := len(dst)
	dst, sets := t.match(topic, dst)
	if sets < 2 {
		return dst
	}
	return unique(dst, start, seen)
}

// fewItems is up to how many items are compared one with each other.
const fewItems = 16

// unique removes what appears again in dst[start:], keeping the first.
func unique[T comparable](dst []T, start int, seen map[T]struct{}) []T {
	kept := dst[:start]
	few := len(dst)-start <= fewItems
next:
	for _, item := range dst[start:] {
		if few {
			for _, other := range kept[start:] {
				if other == item {
					continue next
				}
			}
		} else {
			if _, ok := seen[item]; ok {
				continue next
			}
			seen[item] = struct{}{}
		}
		kept = append(kept, item)
	}
	if !few {
		clear(seen)
	}
	return kept
}

// match appends the items and counts the patterns that they came from.
func (t *Trie[T]) match(topic []byte, dst []T) ([]T, int) {
	w := walk[T]{t.seed, dst, 0}
	if len(topic) > 0 && topic[0] == '$' {
		level, rest, more := cutLevel(topic)
		w.literal(&t.root, level, rest, more)
	} else {
		w.node(&t.root, topic, true)
	}
	return w.dst, w.sets
}

// walk is the state of one Match.
type walk[T comparable] struct {
	seed maphash.Seed
	dst  []T
	sets int
}

// node collects what matches from n on; more says that rest is still to come.
func (w *walk[T]) node(n *node[T], rest []byte, more bool) {
	if s := n.rest.Load(); s != nil {
		w.take(s)
	}
	if !more {
		if s := n.items.Load(); s != nil {
			w.take(s)
		}
		return
	}
	level, rest, more := cutLevel(rest)
	w.literal(n, level, rest, more)
	if child := n.any.Load(); child != nil {
		w.node(child, rest, more)
	}
}

// literal goes on with the child that bears the level's name.
func (w *walk[T]) literal(n *node[T], level, rest []byte, more bool) {
	table := n.children.Load()
	if table == nil {
		return
	}
	if child := table.find(uint32(maphash.Bytes(w.seed, level)), level); child != nil {
		w.node(child, rest, more)
	}
}

func (w *walk[T]) take(s *set[T]) {
	w.dst = s.appendTo(w.dst)
	w.sets++
}

// Walk visits every subscription, patterns in canonical spelling, in no
// particular order, until visit returns false. Subscriptions that come or go
// meanwhile may be visited or not.
func (t *Trie[T]) Walk(visit func(pattern string, item T) bool) {
	t.root.visit("", "", visit)
}

// visit walks the subscriptions of the node at path; prefix is what the paths
// of its children begin with.
func (n *node[T]) visit(path, prefix string, visit func(string, T) bool) bool {
	if s := n.items.Load(); s != nil && !s.visit(path, visit) {
		return false
	}
	if s := n.rest.Load(); s != nil && !s.visit(prefix+"#", visit) {
		return false
	}
	if child := n.any.Load(); child != nil && !child.visit(prefix+"+", prefix+"+/", visit) {
		return false
	}
	table := n.children.Load()
	if table == nil {
		return true
	}
	for i := range table.slots {
		child := table.slots[i].Load()
		if child == nil || child.dead {
			continue
		}
		if path := prefix + child.name; !child.visit(path, path+"/", visit) {
			return false
		}
	}
	return true
}

func (s *set[T]) visit(pattern string, visit func(string, T) bool) bool {
	for _, item := range s.appendTo(nil) {
		if !visit(pattern, item) {
			return false
		}
	}
	return true
}
