package router

import (
	"hash/maphash"
	"sync/atomic"
)

// set is the subscribers of one pattern. One writer at a time changes it, any
// number of readers walk it meanwhile without a lock: what a reader has loaded
// never changes under it. A small set is an immutable linked list whose first
// cell is the set itself; a large one is divided into lists by the hash of the
// item, so that a change copies a few cells however many subscribers there are.
type set[T comparable] struct {
	first cell[T]
	large *shards[T] // nil while small; the first cell is none otherwise
}

type cell[T comparable] struct {
	item T
	next *cell[T]
}

type shards[T comparable] struct {
	lists []atomic.Pointer[cell[T]] // a power of two of them
	count int                       // the writer's: items in all
}

// shardLoad is how many items a list holds before a set is divided further.
const shardLoad = 16

// small reports whether it is a set, and a small one.
func (s *set[T]) small() bool { return s != nil && s.large == nil }

// apart returns the set in memory of its own, if it is a small one.
func (s *set[T]) apart() *set[T] {
	if !s.small() {
		return s
	}
	other := *s
	return &other
}

// appendTo appends every item to dst.
func (s *set[T]) appendTo(dst []T) []T {
	if s.large == nil {
		return s.first.appendTo(dst)
	}
	for i := range s.large.lists {
		dst = s.large.lists[i].Load().appendTo(dst)
	}
	return dst
}

func (c *cell[T]) appendTo(dst []T) []T {
	for ; c != nil; c = c.next {
		dst = append(dst, c.item)
	}
	return dst
}

// add returns the set with the item in it, and whether it was not there before.
// The result takes the receiver's place.
func (s *set[T]) add(seed maphash.Seed, item T) (*set[T], bool) {
	switch {
	case s == nil:
		return single(item), true
	case s.large != nil:
		added := s.large.add(seed, item)
		if s.large.count > 2*shardLoad*len(s.large.lists) {
			s = divide(seed, s.appendTo(nil), 4*len(s.large.lists))
		}
		return s, added
	}
	n, found := s.first.find(item)
	switch {
	case found:
		return s, false
	case n == shardLoad:
		return divide(seed, append(s.appendTo(nil), item), 2), true
	}
	return &set[T]{first: cell[T]{item, &s.first}}, true
}

// remove returns the set without the item, nil once it is empty, and whether
// the item was there.
func (s *set[T]) remove(seed maphash.Seed, item T) (*set[T], bool) {
	switch {
	case s == nil:
		return nil, false
	case s.large != nil:
		removed := s.large.remove(seed, item)
		if s.large.count <= shardLoad/2 {
			s = collect(s.appendTo(nil))
		}
		return s, removed
	}
	list, removed := s.first.without(item)
	switch {
	case !removed:
		return s, false
	case list == nil:
		return nil, true
	}
	return &set[T]{first: *list}, true
}

// single returns a set of one item.
func single[T comparable](item T) *set[T] { return &set[T]{first: cell[T]{item: item}} }

func (s *shards[T]) add(seed maphash.Seed, item T) bool {
	list := s.list(seed, item)
	if _, found := list.Load().find(item); found {
		return false
	}
	list.Store(&cell[T]{item, list.Load()})
	s.count++
	return true
}

func (s *shards[T]) remove(seed maphash.Seed, item T) bool {
	list := s.list(seed, item)
	rest, removed := list.Load().without(item)
	if removed {
		list.Store(rest)
		s.count--
	}
	return removed
}

func (s *shards[T]) list(seed maphash.Seed, item T) *atomic.Pointer[cell[T]] {
	return &s.lists[maphash.Comparable(seed, item)&uint64(len(s.lists)-1)]
}

// divide returns a large set of the items in n lists.
func divide[T comparable](seed maphash.Seed, items []T, n int) *set[T] {
	large := &shards[T]{lists: make([]atomic.Pointer[cell[T]], n), count: len(items)}
	for _, item := range items {
		list := large.list(seed, item)
		list.Store(&cell[T]{item, list.Load()})
	}
	return &set[T]{large: large}
}

// collect returns a small set of the items.
func collect[T comparable](items []T) *set[T] {
	small := single(items[0])
	for _, item := range items[1:] {
		small.first.next = &cell[T]{item, small.first.next}
	}
	return small
}

// find counts the cells up to the item, or all if it is not there.
func (c *cell[T]) find(item T) (n int, found bool) {
	for ; c != nil; c = c.next {
		if c.item == item {
			return n, true
		}
		n++
	}
	return n, false
}

// without returns the list without the item, copying the cells before it.
func (c *cell[T]) without(item T) (*cell[T], bool) {
	if c == nil {
		return nil, false
	}
	if c.item == item {
		return c.next, true
	}
	next, ok := c.next.without(item)
	if !ok {
		return c, false
	}
	return &cell[T]{c.item, next}, true
}
