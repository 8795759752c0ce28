package server

import (
	"errors"
	"sync"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// farBatches is how many batches of other nodes may wait for a loop. Beyond that the
// next ones wait with NATS, within its bounds, behind which they are dropped and counted.
const farBatches = 16

// landed batches of other nodes are taken from here and go back.
var farArrivals = sync.Pool{New: func() any { return new(farArrival) }}

// farArrival is the records of a batch that are for one loop.
type farArrival struct {
	path  *path
	slot  int
	bytes []byte
	count int
	run   func()
}

// Received implements backbone.LinkHandler: it hands each record to the loop of its
// topic, so that those of one topic stay in order.
func (c *cluster) Received(slot int, batch []byte) {
	if slot < 0 {
		return
	}
	from := &c.nodes[slot]
	from.got.batches.Add(1)
	from.got.bytes.Add(uint64(len(batch)))
	loops := make([]*farArrival, len(c.server.paths))
	for len(batch) > 0 {
		record, rest, err := cutFar(batch)
		if err != nil {
			c.unread(slot, err)
			break
		}
		size := farSize + len(record)
		at := 0
		if len(loops) > 1 {
			at = c.loopOf(record)
		}
		if loops[at] == nil {
			a := farArrivals.Get().(*farArrival)
			a.path, a.slot, a.bytes, a.count = c.server.paths[at], slot, a.bytes[:0], 0
			if a.run == nil {
				a.run = a.arrive
			}
			loops[at] = a
		}
		loops[at].bytes = append(loops[at].bytes, batch[:size]...)
		loops[at].count++
		from.got.records.Add(1)
		batch = rest
	}
	for _, a := range loops {
		if a != nil && !c.land(a) {
			from.lost[lostEnding].Add(uint64(a.count))
		}
	}
}

// loopOf is the loop that delivers a record.
func (c *cluster) loopOf(record []byte) int {
	var h farRecord
	message, err := parseFar(record, &h)
	if err != nil {
		return 0
	}
	return c.server.publishTo(delivery.RecordTopic(message))
}

// land hands records to their loop, and waits while it has enough of them; false if it
// has ended.
func (c *cluster) land(a *farArrival) bool {
	f := a.path.far
	select {
	case f.slots <- struct{}{}:
	case <-c.end:
		return false
	}
	for {
		err := c.server.engine.Do(f.index, a.run)
		if err == nil {
			return true
		}
		if errors.Is(err, engine.ErrStopped) {
			<-f.slots
			return false
		}
		select { // others keep the loop busy
		case <-c.end:
			<-f.slots
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

func (c *cluster) unread(slot int, err error) {
	c.nodes[slot].lost[lostUnread].Add(1)
	if n := c.malformed.Add(1); n&(n-1) == 0 {
		c.server.log.Warn("what another node has sent cannot be read", "node", c.nameOf(slot), "times", n, "error", err)
	}
}

// arrive delivers the records. It runs on their loop.
func (a *farArrival) arrive() {
	p := a.path
	done, before := false, p.underWay()
	defer func() {
		p.here = false
		if !done { // a panic costs the message, and those behind it
			p.far.cluster.nodes[a.slot].lost[lostUnread].Add(uint64(a.count))
		}
		p.mend(&done, before)
		<-p.far.slots
		farArrivals.Put(a)
	}()
	p.begin()
	p.here = true
	for b := a.bytes; len(b) > 0; {
		record, rest, err := cutFar(b)
		if err != nil {
			break
		}
		a.count--
		p.arriveFar(a.slot, record)
		b = rest
	}
	done = true
}

// arriveFar delivers one record to receivers of this node alone.
func (p *path) arriveFar(slot int, b []byte) {
	f := p.far
	var record delivery.Record
	message, err := parseFar(b, &f.head)
	if err == nil {
		err = delivery.ParseRecord(message, &record)
	}
	if err != nil {
		f.cluster.unread(slot, err)
		return
	}
	f.slot, f.message = slot, record.Message
	m := &f.message
	m.Listener, m.Time = apiListener, min(m.Time, p.now)
	m.Changed = true // what came before the plugins the other node knows
	m.Flags &= abi.FlagsKnown &^ abi.FlagPayloadPrefix
	p.why, p.letter = delivery.NoSubscriber, routeLetter(apiName)
	p.encoded.reset(abi.ChangesKnown)
	p.goPast()
	if p.tail != nil {
		outer := p.tail.entering(m, false)
		p.dispatch(m)
		p.tail.settled(outer)
	} else {
		p.dispatch(m)
	}
}

// dispatch takes what another node has sent where it says.
func (p *path) dispatch(m *abi.Message) {
	f := p.far
	h := &f.head
	if h.kind == farUnasked {
		p.unasked(h)
		return
	}
	p.ledger.In++
	if h.flags&farTracked != 0 {
		m.Session, m.Seq = farSession(f.slot)|uint64(h.epoch)<<farEpochShift|uint64(h.key), h.token
	}
	f.tracked = 0
	copies := 0
	switch h.kind {
	case farTopic:
		copies = p.toOwn(m)
	case farName:
		copies = p.toNode(m, h.name)
	case farQueue:
		copies = p.toQueue(m, h.name)
	case farAll:
		copies = p.toAll(m)
	case farResponse:
		p.responded(m)
		return
	case farReply:
		if p.took(p.toAsker(m, m.Topic)) {
			copies = 1
		}
	default:
		p.why = delivery.BadDestination
	}
	if h.flags&farTracked != 0 && f.tracked == 0 {
		p.untracked(m, copies > 0)
	}
	if h.flags&farConfirm != 0 {
		p.confirm(h, f.slot, copies > 0)
	}
	p.settled(m, copies)
}

// toOwn takes the message to the subscribers of this node that the record is for.
func (p *path) toOwn(m *abi.Message) int {
	f := p.far
	found := p.cache.Lookup(m.Topic)
	if found.Err != nil {
		p.why = delivery.BadTopic
		return 0
	}
	f.filtered = f.filtered[:0]
	for _, by := range found.Subscribers {
		wanted := f.head.flags&farPlain != 0
		switch {
		case isFar(by.Session), isHere(by.Session):
			continue
		case isGroup(by.Session):
			wanted = len(f.head.packed) > 0 && f.head.wants(p.groupKey(by.Session))
		}
		if wanted {
			f.filtered = append(f.filtered, by)
		}
	}
	return p.toFound(m, &router.Entry[router.Subscriber]{Subscribers: f.filtered})
}

var _ backbone.LinkHandler = (*cluster)(nil)
