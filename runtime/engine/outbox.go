package engine

import "math/bits"

// Priorities is the number of priorities: 0 to 7, higher first.
const Priorities = 8

// unitCost is what a unit counts against the outbox's limit beyond its length.
const unitCost = 8

// outbox holds what is owed to one connection. A connection has one only while
// something is owed; the loop keeps spare ones. Lanes are taken when a unit of
// their priority comes.
type outbox struct {
	lanes [Priorities]*lane
	busy  uint8 // bit p: lane p holds units
	// cut is a unit that the socket took in part; its rest, cut[done:], goes
	// before everything else.
	cut   []byte
	done  int
	bytes int   // unwritten bytes, all lanes and the cut unit
	units int   // units, the cut one included
	moved int64 // when the peer last took something or the outbox became blocked (ms)
}

func (o *outbox) cost() int { return o.bytes + unitCost*o.units }

func (o *outbox) empty() bool { return o.units == 0 }

// borrow queues a unit that stays where it is until the turn ends.
func (o *outbox) borrow(l *Loop, unit []byte, priority uint8) {
	o.lane(l, len(unit), priority).borrow(unit)
}

// own queues a copy of a unit.
func (o *outbox) own(l *Loop, unit []byte, priority uint8) {
	o.lane(l, len(unit), priority).copyIn(&l.pool, unit)
}

// lane counts a unit of size bytes and returns the lane that is to hold it.
func (o *outbox) lane(l *Loop, size int, priority uint8) *lane {
	p := priority & (Priorities - 1)
	ln := o.lanes[p]
	if ln == nil {
		ln = l.takeLane()
		o.lanes[p] = ln
	}
	o.busy |= 1 << p
	o.bytes += size
	o.units++
	ln.lens = append(ln.lens, uint32(size))
	return ln
}

// keep copies every borrowed unit: the turn ends.
func (o *outbox) keep(l *Loop) {
	for busy := o.busy; busy != 0; busy &= busy - 1 {
		o.lanes[bits.TrailingZeros8(busy)].keep(&l.pool)
	}
}

// gather appends to dst what is to be written, in order, at most limit runs: the
// rest of a cut unit, then lane by lane from the highest.
func (o *outbox) gather(dst [][]byte, limit int) [][]byte {
	if len(o.cut) > 0 {
		dst = append(dst, o.cut[o.done:])
	}
	for busy := o.busy; busy != 0; {
		p := bits.Len8(busy) - 1
		busy &^= 1 << p
		dst = o.lanes[p].gather(dst, limit)
	}
	return dst
}

// advance takes n written bytes off, in the order of gather.
func (o *outbox) advance(l *Loop, n int) {
	if n == o.bytes {
		o.reset(l)
		return
	}
	o.bytes -= n
	if len(o.cut) > 0 {
		k := min(n, len(o.cut)-o.done)
		o.done += k
		n -= k
		if o.done == len(o.cut) {
			o.units--
			o.dropCut(l)
		}
	}
	for n > 0 {
		p := bits.Len8(o.busy) - 1
		ln := o.lanes[p]
		size := int(ln.lens[ln.first])
		if n < size {
			ln.drop(&l.pool, n)
			o.cut = ln.moveOut(&l.pool, l.pool.get(size-n), size-n)
			o.done = 0
			o.pop(p, ln)
			return
		}
		ln.drop(&l.pool, size)
		o.units--
		n -= size
		o.pop(p, ln)
	}
}

// dropOldest drops one unit to make place and tells its length: the oldest of the
// lowest priority, if that is at most ceiling; never the cut one.
func (o *outbox) dropOldest(l *Loop, ceiling uint8) (size int, ok bool) {
	if o.busy == 0 || bits.TrailingZeros8(o.busy) > int(ceiling) {
		return 0, false
	}
	p := bits.TrailingZeros8(o.busy)
	ln := o.lanes[p]
	size = int(ln.lens[ln.first])
	ln.drop(&l.pool, size)
	o.bytes -= size
	o.units--
	o.pop(p, ln)
	return size, true
}

// pop forgets the length of a lane's first unit.
func (o *outbox) pop(p int, ln *lane) {
	ln.first++
	switch {
	case ln.first == len(ln.lens):
		ln.lens, ln.first = ln.lens[:0], 0
		o.busy &^= 1 << p
	case ln.first >= 1024 && ln.first >= len(ln.lens)/2:
		ln.lens, ln.first = ln.lens[:copy(ln.lens, ln.lens[ln.first:])], 0
	}
}

// reset empties the outbox and keeps its lanes.
func (o *outbox) reset(l *Loop) {
	for busy := o.busy; busy != 0; busy &= busy - 1 {
		o.lanes[bits.TrailingZeros8(busy)].reset(&l.pool)
	}
	if len(o.cut) > 0 {
		o.dropCut(l)
	}
	o.busy, o.bytes, o.units = 0, 0, 0
}

func (o *outbox) dropCut(l *Loop) {
	l.pool.put(o.cut)
	o.cut, o.done = nil, 0
}

func (l *Loop) takeLane() *lane {
	if ln, ok := l.lanes.take(); ok {
		return ln
	}
	return &lane{}
}

func (l *Loop) takeBox() *outbox {
	if o, ok := l.boxes.take(); ok {
		return o
	}
	return &outbox{}
}

// giveBox takes back an outbox with whatever it holds.
func (l *Loop) giveBox(o *outbox) {
	o.reset(l)
	for p, ln := range o.lanes {
		if ln != nil {
			l.lanes.give(ln)
			o.lanes[p] = nil
		}
	}
	o.moved = 0
	l.boxes.give(o)
}
