package server

import (
	"context"
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// Shared subscriptions of several nodes share a durable route's messages by a work of
// the route's log: each entry goes to one node, which takes it to one member of every
// group that its topic has in the cluster, its own or another node's, and acknowledges
// the entry when all of them have it. A node that dies with an entry leaves it to the
// others.

// sharedWork names the work; no destination has such a text.
const sharedWork = "$share"

// maxMissed is of how many entries it is remembered which groups have not got them.
const maxMissed = mostOffers

// sharedGroup is a shared subscription that an entry is for.
type sharedGroup struct {
	key   uint64 // by which nodes know it
	own   uint64 // what it is in this node's trie; 0 if it has no members here
	nodes uint64 // others with members, as bits
}

// sharedOffer is what became of one entry so far.
type sharedOffer struct {
	groups int
	left   int // groups that have not answered, and 1 while it is being offered
	missed []uint64
	why    delivery.Reason
}

func (o *sharedOffer) end(key uint64, took bool, why delivery.Reason) (last bool) {
	if !took {
		o.missed = append(o.missed, key)
		o.why = why
	}
	o.left--
	return o.left == 0
}

// offerShared offers an entry to one member of each of its groups; to those that have
// missed it alone, if it was offered before from here.
func (p *path) offerShared(all *workOffers, l *workOffer, m *abi.Message) offered {
	w, e := all.work, &l.entry
	if e.Tries > 1 {
		m.Flags |= abi.FlagRedelivered
	}
	only, again := w.missed[e.Seq]
	delete(w.missed, e.Seq)
	o := &sharedOffer{left: 1, why: delivery.NoMember}
	done := func(key uint64, took bool, why delivery.Reason) {
		if o.end(key, took, why) {
			all.tellLate(l, p.endShared(w, e, o))
		}
	}
	own := m.Topic
	places := p.placesOf(w.lane, m, e.Seq)
	for i := range places {
		to := &places[i]
		if to.Kind != abi.ToSubscribers || !p.sharedTopic(m, to) {
			continue
		}
		for _, g := range p.groupsFor(m.Topic) {
			key := mixed(g.key + uint64(i))
			if again && !slices.Contains(only, key) {
				continue
			}
			o.groups++
			o.left++
			p.offerGroup(*m, &g, func(took bool, why delivery.Reason) { done(key, took, why) })
		}
		if m.Topic = own; to.Template != nil || len(to.Name) > 0 {
			p.encoded.changed(abi.ChangedTopic)
		}
	}
	if f := p.tail.of(m); f != nil && o.groups > 0 {
		f.went(abi.ToSubscribers, nil, o.groups)
	}
	if o.left--; o.left == 0 {
		return p.endShared(w, e, o)
	}
	return offerLate
}

// sharedTopic gives the message the topic that the destination names; false if that
// cannot be made of it, which the route's follower counts.
func (p *path) sharedTopic(m *abi.Message, to *router.Destination) bool {
	name := to.Name
	if to.Template != nil {
		p.values.set(p.setup.nameOf(m.Listener), m)
		grown, err := to.Template.Append(nil, &p.values)
		if err != nil {
			return false
		}
		name = grown
	}
	if len(name) > 0 {
		m.Topic = name
		p.encoded.changed(abi.ChangedTopic)
	}
	return true
}

// offerGroup offers a message, which is a copy of its own, to one member of a group.
// What became of it is told once, now or later.
func (p *path) offerGroup(m abi.Message, g *sharedGroup, tell func(took bool, why delivery.Reason)) {
	r := &p.receipts
	p.why = delivery.NoMember
	r.expect(func(at *pendingReceipt) { tell(at.taken, at.why) })
	p.confirms = true
	copies := 0
	if g.own != 0 && p.took(p.toGroup(&m, g.own)) {
		copies = 1
	} else if g.nodes != 0 {
		copies = p.offerFar(&m, g.nodes, &farRecord{kind: farTopic, groups: []uint64{g.key}})
	}
	p.confirms = false
	if !r.expected() {
		tell(copies > 0, p.why)
		return
	}
	r.tookHere(copies, p.why)
	p.withPools()
}

// groupsFor is the shared subscriptions that match the topic, of the whole cluster.
func (p *path) groupsFor(topic []byte) []sharedGroup {
	found := p.cache.Lookup(topic)
	if found.Err != nil {
		return nil
	}
	var list []sharedGroup
	of := func(key uint64) *sharedGroup {
		for i := range list {
			if list[i].key == key {
				return &list[i]
			}
		}
		list = append(list, sharedGroup{key: key})
		return &list[len(list)-1]
	}
	for i := range found.Subscribers {
		by := &found.Subscribers[i]
		switch {
		case isGroup(by.Session):
			if key := p.groupKey(by.Session); key != 0 {
				of(key).own = by.Session
			}
		case isFar(by.Session) && by.Options&optionGroup != 0:
			if key := p.far.cluster.shared.key(by.Identifier); key != 0 {
				of(key).nodes |= 1 << farSlot(by.Session)
			}
		}
	}
	return list
}

// endShared ends an entry of which all groups have answered.
func (p *path) endShared(w *durableWork, e *backbone.Entry, o *sharedOffer) offered {
	switch {
	case len(o.missed) == 0:
		if o.groups > 0 {
			p.ledger.Recalled++
			p.ledger.Delivered++
		}
		return offerTaken
	case !e.Last:
		if w.missed == nil || len(w.missed) >= maxMissed {
			w.missed = map[uint64][]uint64{} // they may be offered to some twice
		}
		w.missed[e.Seq] = o.missed
		return offerAgain
	}
	var record delivery.Record
	if m, ok := p.reviveEntry(w.lane, e, &record); ok {
		p.why = o.why
		p.giveUp(w, e, m, &record)
	}
	return offerEnded
}

// sharesAlone tells whether the follower takes the entry that is being recalled to a
// group of this node: always where the group's members are all here, for a node of
// several only if the entry went by while this node, and with it the group, was not
// there.
func (p *path) sharesAlone(session uint64, by []router.Subscriber) bool {
	r := p.recall.lane.route
	if !r.shared {
		return true
	}
	if p.recall.seq >= r.worked {
		return false
	}
	key := p.groupKey(session)
	for i := range by {
		if isFar(by[i].Session) && by[i].Options&optionGroup != 0 && p.far.cluster.shared.key(by[i].Identifier) == key {
			return false
		}
	}
	return true
}

// sharedSince notes which entries the others have dealt with while this node was not
// there. It is called before the first of them is read.
func (r *durableRoute) sharedSince(ctx context.Context, s *Server) {
	wait := newPause(time.Second)
	for r.shared && r.back && ctx.Err() == nil {
		below, err := r.log.Worked(ctx, sharedWork)
		if err == nil {
			r.worked = below
			return
		}
		r.unread(ctx, s, sharedWork, err)
		wait.sleep(ctx)
	}
}

// passFar gives a message of a shared subscription that nobody here takes any more to
// another node that has members of it; false if there is none.
func (p *path) passFar(m *abi.Message, key uint64) (some bool) {
	if p.far == nil || key == 0 {
		return false
	}
	for _, g := range p.groupsFor(m.Topic) {
		if g.key == key && g.nodes != 0 {
			slot := p.far.next(g.nodes, key)
			p.took(p.handOver(m, 1<<slot, &farRecord{kind: farTopic, groups: []uint64{key}}))
			return true
		}
	}
	return false
}
