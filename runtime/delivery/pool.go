package delivery

// keyed is what a pool holds: values found by two numbers.
type keyed interface{ key() (a, b uint64) }

// pool keeps values in one array, found through a hash table of their places.
// Places of removed values are used again. It grows and never shrinks.
type pool[T any, P interface {
	*T
	keyed
}] struct {
	values []T
	free   []int32
	slots  []int32 // open addressing, linear probing; place + 1, 0 is empty
	count  int
}

const none int32 = -1

const firstSlots = 16

func (p *pool[T, P]) at(place int32) P { return &p.values[place] }

func (p *pool[T, P]) find(a, b uint64) int32 {
	if p.count == 0 {
		return none
	}
	mask := uint64(len(p.slots) - 1)
	for i := scramble(a, b); ; i++ {
		place := p.slots[i&mask] - 1
		if place == none {
			return none
		}
		if x, y := p.at(place).key(); x == a && y == b {
			return place
		}
	}
}

// insert adds a value whose key is not there yet.
func (p *pool[T, P]) insert(value T) int32 {
	if 4*(p.count+1) > 3*len(p.slots) {
		p.grow()
	}
	var place int32
	if n := len(p.free); n > 0 {
		place, p.free = p.free[n-1], p.free[:n-1]
		p.values[place] = value
	} else {
		place = int32(len(p.values))
		p.values = append(p.values, value)
	}
	p.count++
	p.hang(place)
	return place
}

func (p *pool[T, P]) hang(place int32) {
	mask := uint64(len(p.slots) - 1)
	for i := scramble(p.at(place).key()); ; i++ {
		if slot := &p.slots[i&mask]; *slot == 0 {
			*slot = place + 1
			return
		}
	}
}

func (p *pool[T, P]) grow() {
	old := p.slots
	p.slots = make([]int32, max(firstSlots, 2*len(old)))
	for _, place := range old {
		if place != 0 {
			p.hang(place - 1)
		}
	}
}

// remove takes the value out and closes the gap in the table by moving back
// what was pushed behind it (Knuth, The Art of Computer Programming 3, section
// 6.4, algorithm R).
func (p *pool[T, P]) remove(place int32) {
	mask := uint64(len(p.slots) - 1)
	gap := scramble(p.at(place).key()) & mask
	for p.slots[gap] != place+1 {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; p.slots[i] != 0; i = (i + 1) & mask {
		home := scramble(p.at(p.slots[i]-1).key()) & mask
		if (i-home)&mask >= (i-gap)&mask {
			p.slots[gap] = p.slots[i]
			gap = i
		}
	}
	p.slots[gap] = 0
	var zero T
	p.values[place] = zero
	p.free = append(p.free, place)
	p.count--
}
