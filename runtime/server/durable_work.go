package server

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// durableWork is one destination of a durable route that takes a message once in the
// cluster. The nodes share the work: each entry goes to one of them, until somebody
// there has taken it.
type durableWork struct {
	route *durableRoute
	to    string // the destination's text
	lane  *logLane
	// shared: it is that of all shared subscriptions. missed is which of them have not
	// got an entry that is offered again; of the route's home loop.
	shared bool
	missed map[uint64][]uint64
}

// offered is what became of an entry that was offered to a work's destination.
type offered uint8

const (
	offerTaken offered = iota // or it is not for this destination
	offerAgain
	offerEnded // it is a dead letter, or lost
	offerLate  // somebody has it, and says later what became of it
	offerWaits // its destination has no room
)

// run offers the entries to the destination until ctx ends.
func (w *durableWork) run(ctx context.Context, s *Server) {
	w.lane = &logLane{route: w.route}
	wait := newPause(time.Second)
	for ctx.Err() == nil {
		worker, err := w.route.log.Work(ctx, backbone.WorkOptions{Name: w.to, Wait: workWait(s)})
		if err != nil {
			w.route.unread(ctx, s, w.to, err)
			wait.sleep(ctx)
			continue
		}
		wait.reset()
		err = w.runWith(ctx, s, worker)
		worker.Close()
		w.route.unread(ctx, s, w.to, err)
		wait.sleep(ctx)
	}
}

// aloneFor is after how long an entry counts as nobody's where there are no other nodes:
// who had it was this process before it was killed, and is not there any more.
const aloneFor = 2 * time.Second

// workWait is how long an entry is left to who has it without a sign of life.
func workWait(s *Server) time.Duration {
	if s.cfg.Backbone.External() {
		return 0 // as the backbone does
	}
	return aloneFor
}

// wait is how long an entry waits for its next try: with each try twice as long, less
// up to half by chance.
func (r *durableRoute) wait(tries int) time.Duration {
	d, most := r.Backoff.First.Std(), r.Backoff.Most.Std()
	for range tries - 1 {
		if d = min(2*d, most); d == most {
			break
		}
	}
	return d - rand.N(d/2+1)
}

// boxState is what is known of a connection's outbox.
type boxState uint8

const (
	boxFull boxState = iota // or its loop has no time to say
	boxWritten
	boxGone
)

// boxOf asks a connection's loop.
func (s *Server) boxOf(id engine.ConnID) (state boxState) {
	at := id.Loop()
	done := make(chan struct{})
	err := s.engine.Do(at, func() {
		defer close(done)
		switch written, gone := s.paths[at].loop.Written(id); {
		case gone:
			state = boxGone
		case written:
			state = boxWritten
		}
	})
	if err != nil {
		return boxFull
	}
	<-done
	return state
}

// offerEntry offers one entry.
func (p *path) offerEntry(o *workOffers, l *workOffer) offered {
	w, e := o.work, &l.entry
	var record delivery.Record
	m, ok := p.reviveEntry(w.lane, e, &record)
	if !ok {
		return offerEnded
	}
	outer := p.tail.recalling(m, w.lane, e)
	state := p.offerMessage(o, l, m, &record)
	f := p.tail.of(m)
	p.tail.recalled(outer, f != nil && f.some && state != offerWaits, resultOf(state, p.why), p.why)
	return state
}

// offerMessage is offerEntry for the message that was made of it.
func (p *path) offerMessage(o *workOffers, l *workOffer, m *abi.Message, record *delivery.Record) offered {
	w, e := o.work, &l.entry
	if w.shared {
		return p.offerShared(o, l, m)
	}
	var to *router.Destination
	places := p.placesOf(w.lane, m, e.Seq)
	for i := range places {
		if places[i].String() == w.to {
			to = &places[i]
		}
	}
	if to == nil {
		return offerTaken
	}
	if e.Tries > 1 {
		m.Flags |= abi.FlagRedelivered
	}
	p.why = delivery.NoRoute
	p.receipts.expect(func(at *pendingReceipt) { o.tellLate(l, p.pooledEntry(w, e, at)) })
	p.confirms = true
	copies := p.toDestination(m, to, &router.Entry[router.Subscriber]{})
	p.confirms = false
	if p.receipts.expected() { // a pool has it, or another node
		p.receipts.tookHere(copies, p.why)
		p.withPools()
		return offerLate
	}
	switch {
	case p.recall.full != 0:
		return offerWaits
	case copies > 0:
		p.ledger.Recalled++
		if p.why == asDeadLetter {
			p.ledger.Dead++
		} else {
			p.ledger.Delivered++
		}
		return offerTaken
	case !e.Last:
		return offerAgain
	}
	p.giveUp(w, e, m, record)
	return offerEnded
}

// giveUp makes a dead letter of an entry that nobody took.
func (p *path) giveUp(w *durableWork, e *backbone.Entry, m *abi.Message, record *delivery.Record) {
	why := p.why
	p.letter = delivery.Letter{Reason: why.String(), Cause: causeUntaken, Listener: p.setup.nameOf(m.Listener)}
	path := delivery.LogPath{Route: w.route.name, To: w.to, Tries: e.Tries, Node: string(record.Node), From: shownSender(record.From)}
	m.Attrs = path.Attributes(m.Attrs)
	p.ledger.Recalled++
	if p.toDeadLetter(m) > 0 {
		p.ledger.Dead++
	} else {
		p.ledger.Drop(p.why)
	}
	p.server.crowd.Warn("a durable message was taken by nobody and is a dead letter now",
		"route", w.route.name, "entry", e.Seq, "to", w.to, "tries", e.Tries, "reason", why.String(), "topic", string(m.Topic))
}

// causeUntaken is the cause of a dead letter that a durable route's destination did not
// take after as many tries as it may have.
const causeUntaken = "untaken"
