package router

import (
	"hash/maphash"
	"slices"
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
	log     atomic.Pointer[changes] // nil until a cache wants to know

	mu      sync.Mutex // serialises writers
	observe func(pattern string, item T, added bool)
}

// node is where a pattern ends or patterns part. What a node links to is changed
// in place. Its label never is: a writer puts another node in its stead, which
// takes the links over, and those who have already come to the former one go on
// with what was in force when it was replaced.
type node[T comparable] struct {
	label    label
	children atomic.Pointer[children[T]] // whose labels begin with a name
	any      atomic.Pointer[node[T]]     // the child whose label begins with '+'
	items    atomic.Pointer[set[T]]      // patterns that end here
	rest     atomic.Pointer[set[T]]      // patterns that end here with '#'
}

// NewTrie returns an empty trie.
func NewTrie[T comparable]() *Trie[T] {
	return &Trie[T]{seed: maphash.MakeSeed()}
}

// Observe has the function called with every change, one at a time and in order; the
// pattern is in canonical spelling. It must not use the trie. Call it before anything
// is added.
func (t *Trie[T]) Observe(f func(pattern string, item T, added bool)) { t.observe = f }

// Len is the number of subscriptions.
func (t *Trie[T]) Len() int { return int(t.count.Load()) }

// Version rises with every change, after the change can be seen: what was
// matched after reading a version is at least as new as that version.
func (t *Trie[T]) Version() uint64 { return t.version.Load() }

// Add subscribes the item to the pattern; added is false if it was already. The
// error is that of ValidatePattern. The trie keeps no part of the
// pattern's text.
func (t *Trie[T]) Add(pattern string, item T) (added bool, err error) {
	if err := ValidatePattern(pattern); err != nil {
		return false, err
	}
	pattern = Canonical(pattern)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.add(pattern, item) {
		return false, nil
	}
	t.count.Add(1)
	t.changed(pattern, item, true)
	return true, nil
}

// changed tells the caches and the observer, once everybody can see the change. The
// writer holds the mutex.
func (t *Trie[T]) changed(pattern string, item T, added bool) {
	version := t.version.Load() + 1
	if log := t.log.Load(); log != nil {
		log.write(t.seed, version, pattern)
	}
	t.version.Store(version)
	if t.observe != nil {
		t.observe(pattern, item, added)
	}
}

// add goes as far as the trie goes with the pattern, and puts there what is missing.
func (t *Trie[T]) add(pattern string, item T) bool {
	n, rest, more := &t.root, pattern, true
	for more && rest != "#" {
		link := t.link(n, rest)
		if link == nil {
			t.attach(n, leaf(rest, item))
			return true
		}
		child := link.Load()
		text := child.label.bytes()
		common := commonLevels(text, rest)
		rest, more = behind(rest, common)
		if common == len(text) {
			n = child
			continue
		}
		upper := t.split(child, common)
		if more && rest != "#" {
			t.attach(upper, leaf(rest, item))
		} else {
			upper.place(more).Store(single(item))
		}
		link.Store(upper) // and with it all that is new at once
		return true
	}
	place := n.place(more)
	changed, added := place.Load().add(t.seed, item)
	if added {
		place.Store(changed)
	}
	return added
}

// leaf returns a node for all levels of a pattern.
func leaf[T comparable](pattern string, item T) *node[T] {
	text, withRest := strings.CutSuffix(pattern, "/#")
	n := &end[T]{node: node[T]{label: newLabel(text)}, set: set[T]{first: cell[T]{item: item}}}
	n.place(withRest).Store(&n.set)
	return &n.node
}

// end is a node and the set that it began with, side by side in memory.
type end[T comparable] struct {
	node[T]
	set set[T]
}

// split returns two nodes in the child's stead, parted behind so many bytes of its
// label.
func (t *Trie[T]) split(child *node[T], at int) *node[T] {
	text := child.label.bytes()
	upper := &node[T]{label: newLabel(text[:at])}
	t.attach(upper, child.withLabel(text[at+1:]))
	return upper
}

// withLabel returns a node with the links of n and what its sets hold; nothing in
// it keeps n.
func (n *node[T]) withLabel(text []byte) *node[T] {
	items, rest := n.items.Load(), n.rest.Load()
	other := new(node[T])
	if items.small() || rest.small() {
		e := new(end[T])
		other = &e.node
		switch {
		case items.small():
			e.set = *items
			items, rest = &e.set, rest.apart()
		default:
			e.set = *rest
			rest = &e.set
		}
	}
	other.label = newLabel(text)
	other.children.Store(n.children.Load())
	other.any.Store(n.any.Load())
	other.items.Store(items)
	other.rest.Store(rest)
	return other
}

// place is where items of patterns that end at the node are kept: with a '#'
// behind it, or without.
func (n *node[T]) place(withRest bool) *atomic.Pointer[set[T]] {
	if withRest {
		return &n.rest
	}
	return &n.items
}

// link is what leads from the node to the child whose label begins with the first
// level of the text; nil if there is none.
func (t *Trie[T]) link(n *node[T], text string) *atomic.Pointer[node[T]] {
	level := firstLevel(text)
	if level == "+" {
		if n.any.Load() == nil {
			return nil
		}
		return &n.any
	}
	if e := find(n.children.Load(), levelHash(maphash.String(t.seed, level)), level); e != nil {
		return &e.node
	}
	return nil
}

// attach hangs a child on the node, which has none yet whose label begins so.
func (t *Trie[T]) attach(n, child *node[T]) {
	text := child.label.bytes()
	level := text[:levelEnd(text)]
	if string(level) == "+" {
		n.any.Store(child)
		return
	}
	n.children.Store(n.children.Load().insert(levelHash(maphash.Bytes(t.seed, level)), child))
}

// Remove ends the item's subscription to the pattern; false if there was none.
func (t *Trie[T]) Remove(pattern string, item T) (removed bool) {
	if pattern == "" {
		return false
	}
	pattern = Canonical(pattern)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.remove(&t.root, pattern, true, item) {
		return false
	}
	t.count.Add(-1)
	t.changed(pattern, item, false)
	return true
}

// remove walks to the pattern's end, takes the item out and, on the way back,
// the nodes that nothing needs any more.
func (t *Trie[T]) remove(n *node[T], pattern string, more bool, item T) bool {
	if !more || pattern == "#" {
		place := n.place(more)
		changed, removed := place.Load().remove(t.seed, item)
		if removed {
			place.Store(changed)
		}
		return removed
	}
	link := t.link(n, pattern)
	if link == nil {
		return false
	}
	child := link.Load()
	text := child.label.bytes()
	if commonLevels(text, pattern) < len(text) {
		return false
	}
	rest, more := behind(pattern, len(text))
	if !t.remove(child, rest, more, item) {
		return false
	}
	switch one, count := child.heir(); {
	case count == 0:
		t.detach(n, pattern)
	case count == 1 && one != nil:
		link.Store(one.withLabel(slices.Concat(text, []byte{'/'}, one.label.bytes())))
	}
	return true
}

// detach takes away the child whose label begins with the text's first level.
func (t *Trie[T]) detach(n *node[T], text string) {
	level := firstLevel(text)
	if level == "+" {
		n.any.Store(nil)
		return
	}
	table := n.children.Load()
	n.children.Store(table.remove(find(table, levelHash(maphash.String(t.seed, level)), level)))
}

// heir counts what hangs on the node, and answers a child if that is all.
func (n *node[T]) heir() (one *node[T], count int) {
	if n.items.Load() != nil {
		count++
	}
	if n.rest.Load() != nil {
		count++
	}
	if child := n.any.Load(); child != nil {
		one = child
		count++
	}
	if table := n.children.Load(); table != nil {
		if count += int(table.live); count == 1 {
			one = table.only()
		}
	}
	return one, count
}

// behind is what follows in the pattern behind n bytes of whole levels.
func behind(pattern string, n int) (rest string, more bool) {
	if n == len(pattern) {
		return "", false
	}
	return pattern[n+1:], true
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
	if child := n.any.Load(); child != nil && !child.visitBelow(prefix, visit) {
		return false
	}
	table := n.children.Load()
	if table == nil {
		return true
	}
	for i := range table.edges {
		if child := table.edges[i].node.Load(); child != nil && !child.visitBelow(prefix, visit) {
			return false
		}
	}
	return true
}

func (n *node[T]) visitBelow(prefix string, visit func(string, T) bool) bool {
	path := prefix + string(n.label.bytes())
	return n.visit(path, path+"/", visit)
}

func (s *set[T]) visit(pattern string, visit func(string, T) bool) bool {
	for _, item := range s.appendTo(nil) {
		if !visit(pattern, item) {
			return false
		}
	}
	return true
}
