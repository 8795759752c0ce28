package router

import "hash/maphash"

// index finds the topics of a cache that a pattern can match, without a look at
// all of them: most clients that come and go listen to topics of their own, of
// which most loops know none. It counts the topics that begin with the same
// levels, and has a signature of each topic, side by side. Both may answer too
// much, never too little.
type index struct {
	signs  []signature  // by slot; 0 for an empty one
	starts []beginnings // by slot
	begun  []uint8      // by the hash of a beginning; full counts stay full
}

// countsEach is how many counts there are for each slot.
const countsEach = 16

const full = 0xff

func newIndex(slots int) index {
	return index{make([]signature, slots), make([]beginnings, slots), make([]uint8, countsEach*slots)}
}

func (x *index) count(hash uint64) *uint8 { return &x.begun[hash&uint64(len(x.begun)-1)] }

// put notes the slot's topic.
func (x *index) put(seed maphash.Seed, slot int, topic []byte) {
	start := &x.starts[slot]
	x.signs[slot] = summarise(seed, topic, start)
	for _, hash := range start.hashes[:start.levels] {
		if n := x.count(hash); *n < full {
			*n++
		}
	}
}

// take forgets the slot's topic.
func (x *index) take(slot int) {
	x.signs[slot] = 0
	start := &x.starts[slot]
	for _, hash := range start.hashes[:start.levels] {
		if n := x.count(hash); *n < full {
			*n--
		}
	}
}

func (x *index) clear() {
	clear(x.signs)
	clear(x.begun)
}

// may reports whether any topic can be matched by the pattern that changed.
func (x *index) may(c *change) bool {
	return c.names == 0 || *x.count(c.start) > 0
}

// next is the first slot from that one on whose topic the pattern can match; -1 if
// there is none.
func (x *index) next(slot int, c *change) int {
	want, mask := c.want, c.mask
	for i, s := range x.signs[slot:] {
		if (s^want)&mask == 0 && s != 0 {
			return slot + i
		}
	}
	return -1
}
