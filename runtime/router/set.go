package router

import (
	"hash/maphash"
	"sync/atomic"
)

// set is the subscribers of one pattern. One writer at a time changes it, any
// number of readers walk it meanwhile without a lock: what a reader has loaded
// never changes under it. A small set is an immutable linked list; a large one
// is divided into lists by the hash of the item, so that a change copies a few
// cells however many subscribers there are.
type set[T comparable] struct {
	list   *cell[T]
	shards []atomic.Pointer[cell[T]] // a power of two of them, nil while small
	count  int                       // the writer's
}

type cell[T comparable] struct {
	item T
	next *cell[T]
}

// shardLoad is how many items a list holds before a set is divided further.
const shardLoad = 16

// appendTo appends every item to dst.
func (s *set[T]) appendTo(dst []T) []T {
	for c := s.list; c != nil; c = c.next {
		dst = append(dst, c.item)
	}
	for i := range s.shards {
		for c := s.shards[i].Load(); c != nil; c = c.next {
			dst = append(dst, c.item)
		}
	}
	return dst
}

// add returns the set with the item in it, and whether it was not there before.
// The result takes the receiver's place.
func (s *set[T]) add(seed maphash.Seed, item T) (*set[T], bool) {
	switch {
	case s == nil:
		return &set[T]{list: &cell[T]{item: item}, count: 1}, true
	case s.shards == nil:
		if s.list.has(item) {
			return s, false
		}
		if s.count == shardLoad {
			s = s.divide(seed, 2*s.count/shardLoad)
			return s.add(seed, item)
		}
		return &set[T]{list: &cell[T]{item, s.list}, count: s.count + 1}, true
	}
	shard := s.shard(seed, item)
	list := shard.Load()
	if list.has(item) {
		return s, false
	}
	shard.Store(&cell[T]{item, list})
	s.count++
	if s.count > 2*shardLoad*len(s.shards) {
		s = s.divide(seed, 4*len(s.shards))
	}
	return s, true
}

// remove returns the set without the item, nil once it is empty, and whether
// the item was there.
func (s *set[T]) remove(seed maphash.Seed, item T) (*set[T], bool) {
	if s == nil {
		return nil, false
	}
	if s.shards == nil {
		list, ok := s.list.without(item)
		switch {
		case !ok:
			return s, false
		case list == nil:
			return nil, true
		}
		return &set[T]{list: list, count: s.count - 1}, true
	}
	shard := s.shard(seed, item)
	list, ok := shard.Load().without(item)
	if !ok {
		return s, false
	}
	shard.Store(list)
	s.count--
	if s.count <= shardLoad/2 {
		s = s.collect()
	}
	return s, true
}

func (s *set[T]) shard(seed maphash.Seed, item T) *atomic.Pointer[cell[T]] {
	return &s.shards[maphash.Comparable(seed, item)&uint64(len(s.shards)-1)]
}

// divide returns the same items in n lists.
func (s *set[T]) divide(seed maphash.Seed, n int) *set[T] {
	divided := &set[T]{shards: make([]atomic.Pointer[cell[T]], n), count: s.count}
	for _, item := range s.appendTo(make([]T, 0, s.count)) {
		shard := divided.shard(seed, item)
		shard.Store(&cell[T]{item, shard.Load()})
	}
	return divided
}

// collect returns the same items in one list.
func (s *set[T]) collect() *set[T] {
	small := &set[T]{count: s.count}
	for _, item := range s.appendTo(make([]T, 0, s.count)) {
		small.list = &cell[T]{item, small.list}
	}
	return small
}

func (c *cell[T]) has(item T) bool {
	for ; c != nil; c = c.next {
		if c.item == item {
			return true
		}
	}
	return false
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
