package hostfuncs

import (
	"container/heap"
	"math"
)

// node is one key of a keySpace, with its place among those that expire.
type node struct {
	entry
	key  string
	at   int  // in the expiries; -1 for a key that lives for ever
	gone bool // of a shadow: it has deleted the key; of a replica: it was deleted here

	// Of a replica:
	rev   uint64   // what the cluster calls the entry; 0 if it has none that is known
	round uint32   // the last list of the cluster's that had the key
	sync  *unsaved // nil while the cluster has the same
}

// expiries is the keys that expire, the first one to do so in front: making room
// costs by what is removed, not by what is there.
type expiries []*node

// next is when the first of them expires.
func (x expiries) next() int64 {
	if len(x) == 0 {
		return math.MaxInt64
	}
	return x[0].expires
}

// put lists the node by its time, which may have changed, or lists it no more.
func (x *expiries) put(n *node) {
	switch {
	case n.expires == 0:
		x.drop(n)
	case n.at < 0:
		heap.Push(x, n)
	default:
		heap.Fix(x, n.at)
	}
}

// drop lists the node no more.
func (x *expiries) drop(n *node) {
	if n.at >= 0 {
		heap.Remove(x, n.at)
	}
}

// Len is of heap.Interface, as all that follows.
func (x expiries) Len() int { return len(x) }

// Less puts what expires earlier in front.
func (x expiries) Less(i, j int) bool { return x[i].expires < x[j].expires }

// Swap lets the nodes know their places.
func (x expiries) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].at, x[j].at = i, j
}

// Push appends a *node.
func (x *expiries) Push(v any) {
	if n, ok := v.(*node); ok {
		n.at = len(*x)
		*x = append(*x, n)
	}
}

// Pop takes the last node off.
func (x *expiries) Pop() any {
	last := len(*x) - 1
	n := (*x)[last]
	(*x)[last] = nil
	*x = (*x)[:last]
	n.at = -1
	return n
}
