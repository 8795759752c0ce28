package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// followMax is how many entries go to the loops at once. Each loop takes all of them to
// its own receivers, in order, and the next ones come when all loops are done: a loop
// whose receivers take nothing more holds up the route on this node, and costs no
// memory.
const followMax = 128

// follow takes the log's entries to this node's receivers until ctx ends.
func (r *durableRoute) follow(ctx context.Context, s *Server) {
	r.sharedSince(ctx, s)
	wait := newPause(time.Second)
	for ctx.Err() == nil {
		f, err := r.log.Follow(ctx, r.dealt()+1, followMax)
		if err != nil {
			r.unread(ctx, s, "follow", err)
			wait.sleep(ctx)
			continue
		}
		wait.reset()
		err = r.followWith(ctx, s, f)
		f.Close()
		r.unread(ctx, s, "follow", err)
		wait.sleep(ctx)
	}
}

func (r *durableRoute) followWith(ctx context.Context, s *Server, f *backbone.Follower) error {
	for {
		entries, err := f.Next(ctx)
		if err != nil {
			return err
		}
		for i := range entries {
			r.counts.skipped.Add(entries[i].Skipped)
		}
		if !r.hand(ctx, s, entries) {
			return ctx.Err()
		}
	}
}

// unread says that a log cannot be read, unless it is no wonder.
func (r *durableRoute) unread(ctx context.Context, s *Server, what string, err error) {
	if ctx.Err() == nil && err != nil && !errors.Is(err, backbone.ErrClosed) {
		s.crowd.Warn("a durable route's log cannot be read: its messages wait", "route", r.name, "what", what, "error", err)
	}
}

// dealt is up to which entry every loop has dealt with the log. Only while none works
// on a group.
func (r *durableRoute) dealt() uint64 {
	least := r.lanes[0].fed
	for _, l := range r.lanes[1:] {
		least = min(least, l.fed)
	}
	return least
}

// hand hands a group of entries to all loops and waits for them; false if ctx ended.
func (r *durableRoute) hand(ctx context.Context, s *Server, entries []backbone.Entry) bool {
	if len(entries) == 0 {
		return true
	}
	last := entries[len(entries)-1].Seq
	wait := newPause(50 * time.Millisecond)
	back := make(chan bool, len(r.lanes))
	for {
		sent, done := 0, true
		for i, l := range r.lanes {
			p := s.paths[i]
			err := s.engine.Do(i, func() {
				finished := false
				defer func() { back <- finished }()
				finished = p.recallGroup(l, entries)
			})
			switch {
			case err == nil:
				sent++
			case errors.Is(err, engine.ErrBusy):
				done = false
			default:
				return r.awaitAll(back, sent) && false
			}
		}
		for range sent {
			done = <-back && done
		}
		if done {
			r.counts.followed.Store(last)
			return true
		}
		if !wait.sleep(ctx) {
			return false
		}
	}
}

func (r *durableRoute) awaitAll(back <-chan bool, n int) bool {
	for range n {
		<-back
	}
	return true
}

// recall is what a path knows while it takes entries out of a log.
type recall struct {
	lane  *logLane // nil: it does not
	seq   uint64
	part  uint16        // the place of the destination
	until engine.ConnID // a receiver that takes no more for now; 0: none
	taken engine.ConnID // the connection whose outbox has taken it last; 0: none
	// offers are those of the work whose entry is offered; nil: it is another reader's.
	offers *workOffers
	entry  *backbone.Entry // which it is; nil where there are no offers
	full   uint64          // the destination that has no room for it; 0: none
	input  router.Input
	// listener is what the entry's listener is called; this node may have none of that name.
	listener []byte
	// catching: what is offered was read for one session alone.
	catching bool
}

// feeding is how far a loop is with one entry, so that one receiver at which it panics
// costs nobody else the entry: the loop goes on behind that one.
type feeding struct {
	seq    uint64   // the entry; 0: none yet
	at     int      // how many of its destinations were begun
	begun  []uint64 // the last one's receivers that were
	known  int      // so many of these, in order, were when it panicked
	steps  int      // of both, in all
	before int      // steps when it was begun, again
	copies int
	some   bool // somebody here wants it
}

// begin begins an entry. again: it has panicked, and goes on; not on: it did so without
// a step, and is over.
func (f *feeding) begin(seq uint64) (again, on bool) {
	if f.seq != seq {
		*f = feeding{seq: seq, begun: f.begun[:0]}
		return false, true
	}
	on = f.steps > f.before
	f.before, f.known = f.steps, len(f.begun)
	slices.Sort(f.begun)
	return true, on
}

// destination tells whether the destination of this place is to be served.
func (f *feeding) destination(place int) bool {
	if place+1 > f.at {
		f.at, f.begun, f.known = place+1, f.begun[:0], 0
		f.steps++
	}
	return place+1 == f.at
}

// receiver tells whether the destination's receiver is to be served.
func (f *feeding) receiver(id uint64) bool {
	if _, was := slices.BinarySearch(f.begun[:f.known], id); was {
		return false
	}
	f.begun = append(f.begun, id)
	f.steps++
	return true
}

// reached is the last entry that the loop has taken to a receiver: fed, or while it has
// panicked the one after that.
func (l *logLane) reached() uint64 { return max(l.fed, l.feeding.seq) }

// recallGroup takes a group of entries to the loop's own receivers; false if one of
// these takes no more for now: it is called again later, and goes on where it was.
func (p *path) recallGroup(l *logLane, entries []backbone.Entry) (finished bool) {
	if l.until != 0 && !p.loop.Drained(l.until) {
		return false
	}
	l.until = 0
	p.begin()
	done := false
	defer p.mend(&done, p.underWay())
	defer func() { p.recall.lane = nil }()
	for i := range entries {
		e := &entries[i]
		if e.Seq <= l.fed {
			continue
		}
		p.recall.lane, p.recall.seq, p.recall.until = l, e.Seq, 0
		p.recalled(l, e)
		l.fed = e.Seq
		if p.recall.until != 0 {
			l.until = p.recall.until
			break
		}
	}
	done = true
	return len(entries) == 0 || l.fed >= entries[len(entries)-1].Seq
}

// reviveEntry makes of an entry a message of this process; false, and counted, if it
// is none.
func (p *path) reviveEntry(l *logLane, e *backbone.Entry, record *delivery.Record) (*abi.Message, bool) {
	if err := delivery.ParseRecord(e.Record, record); err != nil {
		l.route.counts.malformed.Add(1)
		p.server.crowd.Warn("an entry of a log is no message of this version of weft: it is left out", "route", l.route.name, "entry", e.Seq, "error", err)
		return nil, false
	}
	m := &record.Message
	m.Listener, p.recall.listener = p.setup.indexOf(record.Listener), record.Listener
	m.Flags &^= abi.FlagEmitted
	m.Changed = true // what came before the plugins is not in a log
	p.encoded.reset(abi.ChangesKnown)
	p.letter = routeLetter(p.setup.nameOf(m.Listener))
	return m, true
}

// placesOf is where an entry's route sends it: the same on every loop and node.
func (p *path) placesOf(l *logLane, m *abi.Message, seq uint64) []router.Destination {
	p.values.set(p.setup.nameOf(m.Listener), m)
	p.values.label = p.recall.listener
	in := &p.recall.input
	in.Message, in.Values, in.Nonce = m, &p.values, seq
	choice := p.setup.table.Choice(p.logList[l.route.place].rule, in)
	return choice.To
}

// recalled takes one entry to the loop's own receivers.
func (p *path) recalled(l *logLane, e *backbone.Entry) {
	f := &l.feeding
	p.why = delivery.NoRoute
	again, on := f.begin(e.Seq)
	if again {
		p.took(delivery.Internal)
		f.some = true
	}
	if on {
		p.recalledTo(l, e)
	}
	if !f.some {
		return // nobody here wants it
	}
	p.ledger.Recalled++
	if f.copies > 0 {
		p.ledger.Delivered++
	} else {
		p.ledger.Drop(p.why)
	}
}

// recalledTo is recalled for those who were not served yet.
func (p *path) recalledTo(l *logLane, e *backbone.Entry) {
	var record delivery.Record
	m, ok := p.reviveEntry(l, e, &record)
	if !ok {
		return
	}
	outer := p.tail.recalling(m, l, e)
	home := l.route.place%p.loop.Loops() == p.loop.Index()
	fed := &l.feeding
	places := p.placesOf(l, m, e.Seq)
	for i := range places {
		to := &places[i]
		if isOnce(to.Kind) || !fed.destination(i) {
			continue
		}
		p.recall.part = uint16(i)
		before := fed.copies
		some := p.recallTo(m, to, &record, home)
		fed.some = fed.some || some
		if f := p.tail.of(m); f != nil && some {
			f.went(to.Kind, to.Name, fed.copies-before)
		}
	}
	result := resultDropped
	if fed.copies > 0 {
		result = resultDelivered
	}
	p.tail.recalled(outer, fed.some, result, p.why)
}

// recallTo takes an entry to one destination that fans out. tried says that somebody
// here wants it.
func (p *path) recallTo(m *abi.Message, d *router.Destination, record *delivery.Record, home bool) (tried bool) {
	name := d.Name
	if d.Template != nil {
		p.values.set(p.setup.nameOf(m.Listener), m)
		start := len(p.scratch)
		grown, err := d.Template.Append(p.scratch, &p.values)
		if p.scratch = grown; err != nil {
			p.why = delivery.BadDestination
			return home
		}
		name = grown[start:]
	}
	fed := &p.recall.lane.feeding
	switch d.Kind {
	case abi.ToSubscribers:
		if len(name) == 0 {
			return p.recallSubscribers(m, home)
		}
		own := m.Topic
		m.Topic = name
		p.encoded.changed(abi.ChangedTopic)
		tried = p.recallSubscribers(m, home)
		m.Topic = own
		p.encoded.changed(abi.ChangedTopic)
	case abi.ToAll:
		p.server.sessions.Names(func(_ string, id uint64) bool {
			if loopOf(id) == p.loop.Index() && fed.receiver(id) {
				tried = true
				p.recallOne(m, id)
			}
			return true
		})
	case abi.ToReply:
		return p.recallReply(m, record, home)
	}
	return tried
}

// recallSubscribers takes an entry to those subscribers of its topic that live on this
// loop; the API's, and shared subscriptions of which no other node has members, to the
// route's home.
func (p *path) recallSubscribers(m *abi.Message, home bool) (tried bool) {
	fed := &p.recall.lane.feeding
	if home && m.Flags&abi.FlagRetain != 0 && p.server.mqtt != nil && fed.receiver(0) { // no session has this id
		p.retain(m)
	}
	found := p.cache.Lookup(m.Topic)
	if found.Err != nil {
		p.why = delivery.BadTopic
		return home
	}
	for by := found.Subscribers; len(by) > 0; {
		n := 1
		for n < len(by) && by[n].Session == by[0].Session {
			n++
		}
		id := by[0].Session
		if p.recallHere(id, found.Subscribers, home) && fed.receiver(id) {
			why := notNow
			if isStay(id) {
				why = p.spoken(m, id, by[:n])
			} else if tried = true; p.sendBy(m, id, by[:n]) {
				fed.copies++
			}
			if why != notNow {
				if tried = true; p.took(why) {
					fed.copies++
				}
			}
		}
		by = by[n:]
	}
	return tried
}

// recallHere tells whether a subscriber is this loop's to serve.
func (p *path) recallHere(id uint64, by []router.Subscriber, home bool) bool {
	switch {
	case isAPI(id):
		return home
	case isGroup(id):
		return home && p.sharesAlone(id, by)
	case loopOf(id) != p.loop.Index():
		return false
	}
	return isStay(id) || !p.ownToo(id, by)
}

// ownToo tells whether a connection is that of a kept session which is subscribed to the
// topic itself: it gets the entry once, by its cursor.
func (p *path) ownToo(id uint64, by []router.Subscriber) bool {
	c := p.loop.Conn(engine.ConnID(id))
	if c == nil {
		return false
	}
	from, ok := c.Value.(*peer)
	if !ok {
		return false
	}
	said, ok := from.said.(*mqttConn)
	return ok && said.session != nil && said.session.kept != nil && len(subscriptionsOf(by, said.session.id)) > 0
}

// pause is how long who cannot go on waits: longer each time.
type pause struct{ next, most time.Duration }

func newPause(most time.Duration) *pause { return &pause{time.Millisecond, most} }

func (w *pause) reset() { w.next = time.Millisecond }

// sleep waits; false if ctx has ended.
func (w *pause) sleep(ctx context.Context) bool {
	t := time.NewTimer(w.next)
	defer t.Stop()
	w.next = min(2*w.next, w.most)
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
