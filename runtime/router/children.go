package router

import "sync/atomic"

// children finds a node's children by the name of their level: open addressing
// with linear probing. One writer at a time changes it; readers probe it
// meanwhile without a lock. That is safe because a child never moves within a
// table and no slot between a child and its first choice is ever empty: a child
// that is removed leaves a tombstone, unless the slot behind it is empty.
type children[T comparable] struct {
	slots []atomic.Pointer[node[T]] // a power of two
	live  int32                     // the writer's: nodes
	used  int32                     // the writer's: nodes and tombstones
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
		if 4*c.live >= 3*c.capacity() {
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
	at := child.hash & mask
	for c.slots[at].Load() != child {
		at = (at + 1) & mask
	}
	c.slots[at].Store(tombstone)
	c.live--
	c.sweep(at, mask)
	switch {
	case c.live == 0:
		return nil
	case len(c.slots) > smallTable && int(c.live) < len(c.slots)/8:
		return c.rebuild(len(c.slots) / 4)
	}
	return c
}

func (c *children[T]) capacity() int32 {
	if len(c.slots) <= smallTable {
		return int32(len(c.slots))
	}
	return int32(len(c.slots) / 4 * 3)
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

// sweep empties tombstones backwards from a slot, if nothing lies behind it.
func (c *children[T]) sweep(at, mask uint32) {
	if mask == 0 || c.slots[(at+1)&mask].Load() != nil {
		return
	}
	for n := c.slots[at].Load(); n != nil && n.dead; n = c.slots[at].Load() {
		c.slots[at].Store(nil)
		c.used--
		at = (at - 1) & mask
	}
}

// place puts a child that is not there yet into the first slot that is free.
func (c *children[T]) place(child *node[T]) {
	mask := uint32(len(c.slots) - 1)
	for i := child.hash; ; i++ {
		slot := &c.slots[i&mask]
		n := slot.Load()
		if n != nil && !n.dead {
			continue
		}
		slot.Store(child)
		c.live++
		if n == nil {
			c.used++
		}
		return
	}
}
