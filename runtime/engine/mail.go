package engine

import (
	"slices"
	"sync/atomic"
)

const (
	// parcelSize is how many bytes of units travel to another loop in one parcel; a
	// longer unit has a parcel of its own.
	parcelSize = 64 << 10
	// mostItems is how many places for units a parcel may have that is kept.
	mostItems = 8192
	// routeParcels is how many parcels are under way between two loops at most.
	routeParcels = 128
	// routeUntaken is how many parcels wait for a loop before what comes behind them
	// shares one: a turn of few units would take the place of a turn of many.
	routeUntaken = 32
)

// parcel carries units from one loop to another and goes back empty.
type parcel struct {
	buf   []byte
	items []item
	holds []hold
}

// item is one unit of a parcel: buf[from:to].
type item struct {
	id       ConnID
	from, to uint32
	priority uint8
	posted   bool // it is for the handler, not for a connection
}

// route is the way from one loop to another: parcels go forth and come back by
// two rings. Each end of each ring belongs to one loop, so neither takes a lock.
type route struct {
	forth, back ring
	// hungry says that the sender waits for parcels to come back.
	hungry atomic.Bool

	// Of the sender alone:
	open    *parcel   // being filled this turn
	ready   []*parcel // full, pushed when the turn ends
	spare   freeList[*parcel]
	away    int // parcels open, ready, or under way
	bytes   int // their bytes
	waiting []hold
}

// ring is a bounded queue with one producer and one consumer.
type ring struct {
	slots      [routeParcels]*parcel
	head, tail atomic.Uint32 // head: next to take, of the consumer; tail: next to put, of the producer
}

func (r *ring) put(p *parcel) {
	t := r.tail.Load()
	r.slots[t%routeParcels] = p
	r.tail.Store(t + 1)
}

func (r *ring) take() *parcel {
	h := r.head.Load()
	if h == r.tail.Load() {
		return nil
	}
	p := r.slots[h%routeParcels]
	r.slots[h%routeParcels] = nil
	r.head.Store(h + 1)
	return p
}

// untaken is how many wait. The producer may be told too many, the consumer too few.
func (r *ring) untaken() int { return int(r.tail.Load() - r.head.Load()) }

// SendTo sends one unit to a connection of any loop. For a connection of this loop
// it is Conn.Send. Otherwise the unit is copied, travels when the turn ends, and is
// sent in the other loop's next turn. Pressed means that the connection's outbox,
// with what is under way to it, is over its limit or that the way to its loop is
// half full: consider Hold. Dropped means that a bound was reached. Under the
// policies other than Pause it is the other loop that decides, and counts.
func (l *Loop) SendTo(id ConnID, unit []byte, priority uint8) Sent {
	if id.Loop() == l.index {
		c := l.table.get(id)
		if c == nil {
			l.count[countDrops+int(DropClosed)]++
			return Closed
		}
		return c.Send(unit, priority)
	}
	if id.Loop() >= len(l.engine.loops) {
		l.count[countDrops+int(DropClosed)]++
		return Closed
	}
	owner := l.engine.loops[id.Loop()]
	s := owner.slots.at(id.slot())
	if s == nil || ConnID(s.id.Load()) != id {
		l.count[countDrops+int(DropClosed)]++
		return Closed
	}
	if len(unit) == 0 {
		return Accepted
	}
	cost := int64(len(unit) + unitCost)
	limit := s.limit.Load()
	load := s.flight.Add(cost) + s.queued.Load()
	pause := Policy(s.policy.Load()) == Pause
	if pause && load > HardFactor*limit && load > cost {
		s.flight.Add(-cost)
		l.count[countDrops+int(DropHardLimit)]++
		return Dropped
	}
	r := &l.routes[id.Loop()]
	if !l.pack(r, item{id: id, priority: priority}, unit) {
		s.flight.Add(-cost)
		l.count[countDrops+int(DropQueueFull)]++
		return Dropped
	}
	if pause && load > limit && load > cost || !l.routeCalm(owner) {
		return Pressed
	}
	return Accepted
}

// Post hands a unit to another loop's handler, which must be a Receiver: it travels
// as what SendTo sends to that loop's connections does, in order with it, and is
// copied. The id is the handler's own. Pressed means that the way to the loop is half
// full, Dropped that a bound was reached, Closed that there is no such loop.
func (l *Loop) Post(loop int, id uint64, unit []byte) Sent {
	if loop < 0 || loop >= len(l.engine.loops) || loop == l.index {
		return Closed
	}
	if !l.pack(&l.routes[loop], item{id: ConnID(id), posted: true}, unit) {
		l.count[countDrops+int(DropQueueFull)]++
		return Dropped
	}
	if !l.routeCalm(l.engine.loops[loop]) {
		return Pressed
	}
	return Accepted
}

// pack copies a unit into the open parcel of a route.
func (l *Loop) pack(r *route, it item, unit []byte) bool {
	p := r.open
	if p == nil || len(p.buf)+len(unit) > max(parcelSize, cap(p.buf)) {
		if r.away >= routeParcels || r.away > 0 && r.bytes+len(unit) > l.engine.cfg.CrossBytes {
			return false
		}
		p = r.next(len(unit))
	}
	from := len(p.buf)
	p.buf = append(p.buf, unit...)
	it.from, it.to = uint32(from), uint32(len(p.buf))
	p.items = append(p.items, it)
	r.bytes += len(unit)
	l.count[countCrossed]++
	return true
}

// next closes the open parcel and opens another with room for size bytes.
func (r *route) next(size int) *parcel {
	if r.open != nil {
		r.ready = append(r.ready, r.open)
	}
	p, ok := r.spare.take()
	if !ok {
		p = &parcel{}
	}
	if cap(p.buf) < size || cap(p.buf) == 0 {
		p.buf = make([]byte, 0, max(size, parcelSize))
	}
	r.away++
	r.open = p
	return p
}

// postHold asks another loop to hold a publisher of its own.
func (l *Loop) postHold(other *Loop, h hold) {
	r := &l.routes[other.index]
	for _, w := range r.waiting {
		if w == h {
			return
		}
	}
	r.waiting = append(r.waiting, h)
}

// post pushes what the turn packed, and wakes who gets it.
func (l *Loop) post() {
	for i := range l.routes {
		r := &l.routes[i]
		if len(r.waiting) > 0 && (r.open != nil || r.away < routeParcels) {
			if r.open == nil {
				r.next(0)
			}
			for _, h := range r.waiting {
				if !slices.Contains(r.open.holds, h) { // it may be open for many turns
					r.open.holds = append(r.open.holds, h)
				}
			}
			r.waiting = r.waiting[:0]
		}
		if r.open == nil || len(r.ready) == 0 && r.waits() && !l.engine.stopping.Load() {
			continue
		}
		for k, p := range r.ready {
			r.forth.put(p)
			r.ready[k] = nil
		}
		r.forth.put(r.open)
		r.ready, r.open = r.ready[:0], nil
		l.engine.loops[i].wake()
	}
}

// waits tells whether the open parcel waits for what comes next, as the other loop has
// not come to those before it. Then it wakes this one when it has.
func (r *route) waits() bool {
	if r.forth.untaken() < routeUntaken {
		return false
	}
	r.hungry.Store(true)
	return r.forth.untaken() >= routeUntaken
}

// collect takes back the parcels that the other loops have emptied.
func (l *Loop) collect() {
	for i := range l.routes {
		r := &l.routes[i]
		for p := r.back.take(); p != nil; p = r.back.take() {
			r.away--
			r.bytes -= len(p.buf)
			if cap(p.buf) == parcelSize && cap(p.items) <= mostItems {
				p.buf, p.items, p.holds = p.buf[:0], p.items[:0], p.holds[:0]
				r.spare.give(p)
			}
			if r.hungry.Load() && l.routeCalm(l.engine.loops[i]) {
				r.hungry.Store(false)
				l.recheck.Store(true)
			}
		}
	}
}

// unpack sends what other loops have sent here. The parcels go back when the turn
// ends, since their bytes are borrowed until then.
func (l *Loop) unpack() {
	for i, other := range l.engine.loops {
		if other == l {
			continue
		}
		r := &other.routes[l.index]
		for p := r.forth.take(); p != nil; p = r.forth.take() {
			l.arrived = append(l.arrived, arrival{i, p})
			l.sendItems(p)
			for _, h := range p.holds {
				l.Hold(h.publisher, h.until)
			}
		}
	}
}

// sendItems sends the units of a parcel, in order. Those that follow each other to
// one connection are looked up once.
func (l *Loop) sendItems(p *parcel) {
	for at := 0; at < len(p.items); {
		if it := &p.items[at]; it.posted {
			l.callPosted(it.id, p.buf[it.from:it.to:it.to])
			at++
			continue
		}
		id, cost, end := p.items[at].id, int64(0), at
		for ; end < len(p.items) && p.items[end].id == id && !p.items[end].posted; end++ {
			cost += int64(p.items[end].to-p.items[end].from) + unitCost
		}
		s := l.slots.at(id.slot())
		s.flight.Add(-cost)
		if c := l.table.get(id); c != nil {
			for _, it := range p.items[at:end] {
				c.Send(p.buf[it.from:it.to], it.priority)
			}
			l.soil(c)
		} else {
			l.count[countDrops+int(DropClosed)] += uint64(end - at)
			l.tellWaiting(s, id)
		}
		at = end
	}
}

// arrival is a parcel on its way back to the loop with the index from.
type arrival struct {
	from int
	p    *parcel
}

// giveBack returns the parcels of this turn.
func (l *Loop) giveBack() {
	for i, a := range l.arrived {
		r := &l.engine.loops[a.from].routes[l.index]
		r.back.put(a.p)
		if r.hungry.Load() || l.engine.draining.Load() {
			l.engine.loops[a.from].wake()
		}
		l.arrived[i].p = nil
	}
	l.arrived = l.arrived[:0]
}

// routeCalm tells whether the way to another loop is at most half full. If it
// answers false, this loop will be woken when parcels come back.
func (l *Loop) routeCalm(other *Loop) bool {
	if other == l {
		return true
	}
	r := &l.routes[other.index]
	if r.away <= routeParcels/2 && r.bytes <= l.engine.cfg.CrossBytes/2 {
		return true
	}
	r.hungry.Store(true)
	return false
}
