package router

import "sync/atomic"

// children finds a node's children by the name of their level. One writer at a
// time changes it; readers probe it meanwhile without a lock. A slot is written
// once with a node and later with the tombstone, never with another node that a
// reader could take for the first, so a reader sees a child or its absence, both
// of which were true during its walk.
type children[T comparable] struct {
	slots []atomic.Pointer[node[T]] // a power of two
	live  int                       // the writer's: nodes
	used  int                       // the writer's: nodes and tombstones
}

// smallTable is up to which size a table is filled to the last slot and walked
// from its beginning; larger ones are hashed and a quarter stays empty.
const smallTable = 8

// find returns the child of that name, or nil.
func (c *children[T]) find(hash uint32, name []byte) *node[T] {
	mask := uint32(len(c.slots) - 1)
	for i := range uint32(len(c.slots)) {
		n := c.slots[(hash+i)&mask].Load()
		if n == nil {
			return nil
		}
		if n.hash == hash && n.name == string(name) && !n.dead {
			return n
		}
	}
	return nil
}

// insert returns the table with the child in it, which is not there yet.
func (c *children[T]) insert(child *node[T]) *children[T] {
	if c == nil {
		c = &children[T]{slots: make([]atomic.Pointer[node[T]], 1)}
	}
	if c.used >= c.capacity() {
		size := len(c.slots)
		if 2*c.live >= c.capacity() {
			size *= 2
		}
		c = c.rebuild(size)
	}
	c.place(child)
	return c
}

// remove returns the table without the child, nil once it is empty.
func (c *children[T]) remove(child, tombstone *node[T]) *children[T] {
	mask := uint32(len(c.slots) - 1)
	for i := range uint32(len(c.slots)) {
		slot := &c.slots[(child.hash+i)&mask]
		if slot.Load() == child {
			slot.Store(tombstone)
			c.live--
			break
		}
	}
	switch {
	case c.live == 0:
		return nil
	case len(c.slots) > smallTable && c.live < len(c.slots)/8:
		return c.rebuild(len(c.slots) / 4)
	}
	return c
}

func (c *children[T]) capacity() int {
	if len(c.slots) <= smallTable {
		return len(c.slots)
	}
	return len(c.slots) / 4 * 3
}

func (c *children[T]) rebuild(size int) *children[T] {
	next := &children[T]{slots: make([]atomic.Pointer[node[T]], size)}
	for i := range c.slots {
		if n := c.slots[i].Load(); n != nil && !n.dead {
			next.place(n)
		}
	}
	return next
}

func (c *children[T]) place(child *node[T]) {
	mask := uint32(len(c.slots) - 1)
	for i := child.hash; ; i++ {
		if slot := &c.slots[i&mask]; slot.Load() == nil {
			slot.Store(child)
			c.live++
			c.used++
			return
		}
	}
}
