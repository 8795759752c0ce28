package router

import "sync/atomic"

// children finds a node's children by the first level of their labels: open
// addressing with linear probing. One writer at a time changes it; readers probe
// it meanwhile without a lock. That is safe because a child never moves within a
// table and no edge between a child and its first choice is ever free: a child
// that is removed leaves its edge marked, unless the edge behind it is free.
type children[T comparable] struct {
	edges []edge[T]    // a power of two
	live  int32        // the writer's: children
	used  int32        // the writer's: edges that are not free
	few   [few]edge[T] // the edges as long as they are enough
}

// few is how many edges lie beside their table.
const few = 2

// edge leads to one child. The hash stands beside the pointer, so that probing
// touches no child but the right one. A reader loads the hash first; the writer
// stores it last when a child comes and first when one goes. What a reader finds
// behind a hash is a child in force or nil; which one, its label says.
type edge[T comparable] struct {
	hash atomic.Uint32
	node atomic.Pointer[node[T]]
}

// The hashes that are none: of an edge that was never used, and of one whose
// child was removed. levelHash answers neither.
const (
	freeEdge = 0
	goneEdge = 1
)

// smallTable is up to which size a table is filled to the last edge and walked
// whole; in larger ones a quarter stays free.
const smallTable = 8

// find returns the edge to the child whose label begins with the level, or nil.
func find[T comparable, L string | []byte](c *children[T], hash uint32, level L) *edge[T] {
	if c == nil {
		return nil
	}
	mask := uint32(len(c.edges) - 1)
	for i := range uint32(len(c.edges)) {
		e := &c.edges[(hash>>hashMarks+i)&mask]
		switch e.hash.Load() {
		case freeEdge:
			return nil
		case hash:
			if n := e.node.Load(); n != nil && begins(n.label.bytes(), level) {
				return e
			}
		}
	}
	return nil
}

func newChildren[T comparable](size int) *children[T] {
	if size > few {
		return &children[T]{edges: make([]edge[T], size)}
	}
	c := new(children[T])
	c.edges = c.few[:]
	return c
}

// insert returns the table with the child in it, which is not there yet.
func (c *children[T]) insert(hash uint32, child *node[T]) *children[T] {
	if c == nil {
		c = newChildren[T](few)
	}
	if c.used >= c.capacity() {
		size := len(c.edges)
		if 4*c.live >= 3*c.capacity() {
			size *= 2
		}
		c = c.rebuild(size)
	}
	c.place(hash, child)
	return c
}

// remove returns the table without the edge's child, nil once it is empty.
func (c *children[T]) remove(e *edge[T]) *children[T] {
	hash := e.hash.Load()
	e.hash.Store(goneEdge)
	e.node.Store(nil)
	c.live--
	c.sweep(hash)
	switch {
	case c.live == 0:
		return nil
	case len(c.edges) > smallTable && int(c.live) < len(c.edges)/8:
		return c.rebuild(len(c.edges) / 4)
	case len(c.edges) <= smallTable && len(c.edges) > few && 4*int(c.live) <= len(c.edges):
		return c.rebuild(len(c.edges) / 2)
	}
	return c
}

// only returns the one child of a table that has no other.
func (c *children[T]) only() *node[T] {
	for i := range c.edges {
		if n := c.edges[i].node.Load(); n != nil {
			return n
		}
	}
	return nil
}

func (c *children[T]) capacity() int32 {
	if len(c.edges) <= smallTable {
		return int32(len(c.edges))
	}
	return int32(len(c.edges) / 4 * 3)
}

func (c *children[T]) rebuild(size int) *children[T] {
	next := newChildren[T](size)
	for i := range c.edges {
		if n := c.edges[i].node.Load(); n != nil {
			next.place(c.edges[i].hash.Load(), n)
		}
	}
	return next
}

// sweep frees the edges of removed children at the end of the run that a hash
// lies in: behind the last one nothing is found.
func (c *children[T]) sweep(hash uint32) {
	mask := uint32(len(c.edges) - 1)
	end := hash >> hashMarks
	for i := 0; c.edges[end&mask].hash.Load() != freeEdge; i++ {
		if i == len(c.edges) {
			return // full: probing ends by itself
		}
		end++
	}
	for end--; c.edges[end&mask].hash.Load() == goneEdge; end-- {
		c.edges[end&mask].hash.Store(freeEdge)
		c.used--
	}
}

// place puts a child that is not there yet at the first edge without one.
func (c *children[T]) place(hash uint32, child *node[T]) {
	mask := uint32(len(c.edges) - 1)
	for i := hash >> hashMarks; ; i++ {
		e := &c.edges[i&mask]
		before := e.hash.Load()
		if before > goneEdge {
			continue
		}
		e.node.Store(child)
		e.hash.Store(hash)
		c.live++
		if before == freeEdge {
			c.used++
		}
		return
	}
}
