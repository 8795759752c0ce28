package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/engine"
)

// A work has many entries under way at a time, and each ends by itself: one that a
// receiver has no room for, or that somebody has not answered for, holds up those alone
// that must come behind it.

// How much of one work is under way on this node, and how much of that may lie in one
// connection's outbox. A single entry may be larger.
const (
	mostOffers     = 4096
	mostOfferBytes = 32 << 20
	mostBoxed      = 256
	offersATurn    = 64 // of a loop
)

// writtenWithin is how long an entry may lie in an outbox before it counts as taken: by
// then a receiver that reads nothing is closed (deadlines.write), and one that reads has
// it.
const writtenWithin = 30 * time.Second

// workOffer is one entry on its way to a work's destination.
type workOffer struct {
	entry backbone.Entry
	key   uint64        // the destination that had no room; 0: it was not offered yet
	to    engine.ConnID // whose outbox has it
	until time.Time     // it counts as taken
	state offered
}

// offerOutcome is what became of an entry later.
type offerOutcome struct {
	offer *workOffer
	state offered
}

// workOffers are the entries of one work that are under way. They are of the work's
// goroutine, and of the home loop while that offers.
type workOffers struct {
	work    *durableWork
	server  *Server
	late    chan offerOutcome
	waiting []*workOffer // to be offered, in the log's order
	boxed   []*workOffer // in outboxes
	inBox   map[engine.ConnID]int
	full    []uint64 // destinations that have no room in this round
	count   int
	bytes   int
	timer   *time.Timer
	pause   time.Duration
}

func newWorkOffers(w *durableWork, s *Server) *workOffers {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &workOffers{work: w, server: s, inBox: map[engine.ConnID]int{}, timer: t, pause: offerPause,
		late: make(chan offerOutcome, 2*mostOffers)}
}

// How often entries that wait for room or lie in outboxes are looked at.
const (
	offerPause     = time.Millisecond
	mostOfferPause = 50 * time.Millisecond
)

// runWith offers what the worker hands out until that fails, or ctx ends. What is under
// way then is offered again, when the worker is closed.
func (w *durableWork) runWith(ctx context.Context, s *Server, worker *backbone.Worker) error {
	ctx, cancel := context.WithCancel(ctx)
	read, failed := make(chan []backbone.Entry), make(chan error, 1)
	go func() {
		for {
			entries, err := worker.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case read <- entries:
			case <-ctx.Done(): // the worker hands them back
			}
		}
	}()
	o := newWorkOffers(w, s)
	err := o.run(ctx, read, failed)
	cancel()
	if err == nil {
		err = <-failed
	}
	o.look()
	for len(o.late) > 0 {
		o.outcome(<-o.late)
	}
	return err
}

// run goes on until the worker fails, or ctx ends: then it returns nil.
func (o *workOffers) run(ctx context.Context, read <-chan []backbone.Entry, failed <-chan error) error {
	defer o.timer.Stop()
	for {
		more := read
		if o.count >= mostOffers || o.bytes >= mostOfferBytes {
			more = nil
		}
		moved := true
		select {
		case entries := <-more:
			for i := range entries {
				o.waiting = append(o.waiting, &workOffer{entry: entries[i]})
				o.bytes += len(entries[i].Record)
			}
			o.count += len(entries)
		case l := <-o.late:
			o.outcome(l)
			for range len(o.late) {
				o.outcome(<-o.late)
			}
		case <-o.timer.C:
			moved = false
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		before := o.count
		offeredSome := o.offer(ctx)
		o.look()
		o.rest(moved || offeredSome || o.count < before)
	}
}

// rest sets when what waits is looked at again.
func (o *workOffers) rest(moved bool) {
	if o.pause = min(2*o.pause, mostOfferPause); moved {
		o.pause = offerPause
	}
	o.timer.Stop()
	if len(o.waiting) > 0 || len(o.boxed) > 0 {
		o.timer.Reset(o.pause)
	}
}

// offer has the route's home loop offer what waits, once each, and tells whether it was
// rid of any.
func (o *workOffers) offer(ctx context.Context) (some bool) {
	at := o.work.route.place % len(o.server.paths)
	o.full = o.full[:0]
	kept, next := 0, 0
	for next < len(o.waiting) {
		if l := o.waiting[next]; o.isFull(l.key) {
			o.waiting[kept] = l
			kept++
			next++
			continue
		}
		group := o.waiting[next:min(next+offersATurn, len(o.waiting))]
		done := make(chan int, 1)
		err := o.server.engine.Do(at, func() {
			n, whole := 0, false
			defer func() {
				if !whole {
					n++ // it has panicked, and is a dead letter
				}
				done <- n
			}()
			o.server.paths[at].offerEntries(o, group, &n)
			whole = true
		})
		n := 0
		if err == nil {
			n = <-done
		}
		for _, l := range group[:n] {
			if l.state == offerWaits {
				o.waiting[kept] = l
				kept++
				continue
			}
			some = true
			o.offeredOne(l)
		}
		if next += n; n == 0 || ctx.Err() != nil {
			break // the loop has no time, or the way to another loop no room
		}
	}
	kept += copy(o.waiting[kept:], o.waiting[next:])
	clear(o.waiting[kept:])
	o.waiting = o.waiting[:kept]
	return some
}

func (o *workOffers) isFull(key uint64) bool {
	for _, full := range o.full {
		if key == full && key != 0 {
			return true
		}
	}
	return false
}

// offeredOne goes on with an entry that was offered.
func (o *workOffers) offeredOne(l *workOffer) {
	switch {
	case l.state == offerLate:
	case l.state == offerTaken && l.to != 0:
		l.until = time.Now().Add(writtenWithin)
		o.boxed = append(o.boxed, l)
	default:
		o.settle(l)
	}
}

// outcome takes what somebody says about an entry later. Of one that has ended by a
// panic nothing is heard.
func (o *workOffers) outcome(l offerOutcome) {
	if l.offer.state == offerLate {
		l.offer.state = l.state
		o.settle(l.offer)
	}
}

// look settles the entries whose outbox has handed them to the operating system. Those
// of a connection that ended before are offered again.
func (o *workOffers) look() {
	if len(o.boxed) == 0 {
		return
	}
	known := map[engine.ConnID]boxState{}
	now := time.Now()
	left := o.boxed[:0]
	for _, l := range o.boxed {
		state, asked := known[l.to]
		if !asked {
			state = o.server.boxOf(l.to)
			known[l.to] = state
		}
		switch {
		case state == boxGone:
			l.state = offerAgain
		case state == boxFull && now.Before(l.until):
			left = append(left, l)
			continue
		}
		if o.inBox[l.to]--; o.inBox[l.to] <= 0 {
			delete(o.inBox, l.to)
		}
		o.settle(l)
	}
	clear(o.boxed[len(left):])
	o.boxed = left
}

// settle tells the log what became of an entry.
func (o *workOffers) settle(l *workOffer) {
	o.count--
	o.bytes -= len(l.entry.Record)
	r, e := o.work.route, &l.entry
	var err error
	switch l.state {
	case offerTaken:
		err = e.Ack()
	case offerEnded:
		r.counts.dead.Add(1)
		err = e.Drop()
	default:
		r.counts.again.Add(1)
		err = e.Retry(r.wait(e.Tries))
	}
	if err != nil && !errors.Is(err, backbone.ErrClosed) {
		o.server.crowd.Warn("what became of an entry of a log was not written: it is offered again", "route", r.name, "entry", e.Seq, "error", err)
	}
}

// tellLate says later what became of an entry. Loops call it.
func (o *workOffers) tellLate(l *workOffer, state offered) {
	select {
	case o.late <- offerOutcome{l, state}:
	default: // as many panics as may be under way: the log offers it again some day
	}
}

// offerEntries offers entries, and counts in n how far it came: no further while the way
// to another loop takes no more.
func (p *path) offerEntries(o *workOffers, group []*workOffer, n *int) {
	lane := o.work.lane
	if lane.until != 0 && !p.loop.Drained(lane.until) {
		return
	}
	lane.until = 0
	p.begin()
	done := false
	defer p.mend(&done, p.underWay())
	defer func() { p.recall.lane, p.recall.offers, p.recall.entry = nil, nil, nil }()
	for ; *n < len(group) && lane.until == 0; *n++ {
		l, r := group[*n], &p.recall
		r.lane, r.offers, r.entry, r.full, r.seq, r.until, r.taken = lane, o, &l.entry, 0, 0, 0, 0
		l.state, l.to = offerEnded, 0 // should it panic
		if l.state = p.offerEntry(o, l); l.state == offerWaits {
			l.key = r.full
			continue
		}
		if l.state == offerTaken && r.taken != 0 {
			l.to = r.taken
			o.inBox[l.to]++
		}
		if r.until != r.taken { // a receiver's own bound is looked at before it gets more
			lane.until = r.until
		}
	}
	done = true
}

// crowded tells whether an entry of a work waits because its destination had no room in
// this round: it is not to overtake others.
func (p *path) crowded(kind abi.DestinationKind, name []byte) bool {
	o := p.recall.offers
	if o == nil || len(o.full) == 0 {
		return false
	}
	key := placeKey(kind, name)
	if !o.isFull(key) {
		return false
	}
	p.recall.full = key
	return true
}

// noRoom has an entry of a work wait until its destination has room.
func (p *path) noRoom(kind abi.DestinationKind, name []byte) {
	p.recall.full = placeKey(kind, name)
	p.recall.offers.full = append(p.recall.offers.full, p.recall.full)
}

func placeKey(kind abi.DestinationKind, name []byte) uint64 {
	return mixed(hashOf(name)+uint64(kind)) | 1
}

// roomAt tells whether a session may be given another entry of a work.
func (p *path) roomAt(id uint64) bool {
	o := p.recall.offers
	if o == nil || p.receiver(id) == nil { // it has a queue of its own, or is gone
		return true
	}
	return o.inBox[engine.ConnID(id)] < mostBoxed && p.loop.Drained(engine.ConnID(id))
}
