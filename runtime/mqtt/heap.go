package mqtt

// heap is a binary heap whose values know their places, so that any of them can
// be moved or taken out. The least one is values[0].
type heap[T any] struct {
	values []T
	less   func(a, b T) bool
	moved  func(v T, place int) // -1: it is out
}

func (h *heap[T]) push(v T) {
	h.values = append(h.values, v)
	h.moved(v, len(h.values)-1)
	h.up(len(h.values) - 1)
}

// remove takes the value at the place out.
func (h *heap[T]) remove(place int) {
	var zero T
	v, last := h.values[place], len(h.values)-1
	h.swap(place, last)
	h.values[last] = zero
	h.values = h.values[:last]
	h.moved(v, -1)
	if place < last {
		h.fix(place)
	}
	if cap(h.values) > 1024 && len(h.values) < cap(h.values)/4 {
		h.values = append(make([]T, 0, cap(h.values)/2), h.values...)
	}
}

// fix restores the order after the value at the place has changed.
func (h *heap[T]) fix(place int) {
	h.down(place)
	h.up(place)
}

func (h *heap[T]) swap(i, j int) {
	if i == j {
		return
	}
	h.values[i], h.values[j] = h.values[j], h.values[i]
	h.moved(h.values[i], i)
	h.moved(h.values[j], j)
}

func (h *heap[T]) up(i int) {
	for i > 0 && h.less(h.values[i], h.values[(i-1)/2]) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h *heap[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.values); child++ {
			if h.less(h.values[child], h.values[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
