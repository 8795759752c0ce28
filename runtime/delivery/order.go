package delivery

import (
	"iter"

	"github.com/weftrun/weft/abi"
)

// ByPriority puts a turn's deliveries in order: higher priorities first, and in
// the order in which they came within a priority. It belongs to one loop.
type ByPriority[T any] struct {
	levels [abi.MaxPriority + 1][]T
	used   uint8 // bit n: level n is not empty
}

// Push adds an item. A priority over abi.MaxPriority counts as that.
func (o *ByPriority[T]) Push(priority uint8, item T) {
	priority = min(priority, abi.MaxPriority)
	o.levels[priority] = append(o.levels[priority], item)
	o.used |= 1 << priority
}

// All yields the items in order. Items must not be pushed meanwhile. The
// pointers are valid until Reset.
func (o *ByPriority[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for p := abi.MaxPriority; p >= 0; p-- {
			if o.used>>p&1 == 0 {
				continue
			}
			level := o.levels[p]
			for i := range level {
				if !yield(&level[i]) {
					return
				}
			}
		}
	}
}

// Len is the number of items.
func (o *ByPriority[T]) Len() int {
	n := 0
	for i := range o.levels {
		n += len(o.levels[i])
	}
	return n
}

// keepItems is how many items' room a level keeps from turn to turn.
const keepItems = 8192

// Reset forgets the items and keeps their room, up to a bound.
func (o *ByPriority[T]) Reset() {
	for p := range o.levels {
		if cap(o.levels[p]) > keepItems {
			o.levels[p] = nil
			continue
		}
		clear(o.levels[p])
		o.levels[p] = o.levels[p][:0]
	}
	o.used = 0
}
