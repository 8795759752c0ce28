package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/router"
)

// An MQTT session that outlives its connections gets everything that durable routes
// have for it: what its memory has no room for is read back from the log when it has.
// For each route it has a cursor. While it keeps up it is fed what the loop takes out
// of the log; when it does not, it is behind and reads by itself.

// cursor is how far a session is in one log.
type cursor struct {
	next   uint64 // the first entry that it was not offered by all of its destinations
	part   uint16 // the place of the first of these by which it was not
	behind bool   // it reads by itself: what the loop takes out of the log is not for it
}

// had tells whether the session was offered an entry by the destination of this place.
func (c *cursor) had(seq uint64, part uint16) bool {
	return seq < c.next || seq == c.next && part < c.part
}

// keptState is what a session has that outlives the process.
type keptState struct {
	cursors []cursor // by the route's place
	// elsewhere is how far it is in logs that have no route here: should one get its
	// name back, it goes on from there.
	elsewhere []keptCursor
	dirty     bool     // it has changed since it was written
	reading   bool     // entries are being read for it
	stuck     bool     // in mqttSpeaker.stuck
	failed    bool     // nothing could be read for it
	waiting   uint8    // SUBACKs that wait for it to be written
	held      bool     // it is not read from, as too many of these wait
	left      int64    // when its client went away
	will      int64    // when its will is due, if it has one
	key       string   // in the bucket
	own       *keptOwn // of the key
	full      bool     // the record has what the session holds as well: see carry
	last      bool     // it is written for the last time here
	leaving   bool     // as it moves
}

// pass notes that the session was offered everything up to an entry.
func (c *cursor) pass(seq uint64) {
	if seq >= c.next {
		c.next, c.part = seq+1, 0
	}
}

// logLoop stands in the session id of a message that came out of a log where others
// have a loop; the rest is the destination's place, and in the lowest 32 bits that of the
// route. Its Seq is the entry's number then.
const (
	logLoop      = 0xfc
	logPartShift = 32
)

func logSession(place int, part uint16) uint64 {
	return logLoop<<stayLoopShift | uint64(part)<<logPartShift | uint64(place)
}

// placeOf is the route that a session's message came from, and which of its destinations;
// false if from none.
func placeOf(m *mqtt.Message) (place int, part uint16, ok bool) {
	return int(uint32(m.Session)), uint16(m.Session >> logPartShift), loopOf(m.Session) == logLoop
}

// notNow is what deliver answers when the session gets the message later, or has it.
const notNow = asDeadLetter + 1

// deliverLogged takes a message that came out of a log to a session with a cursor: by
// what the session itself is subscribed to, and not by what its connection is.
func (s *mqttSpeaker) deliverLogged(m *abi.Message, session *mqttSession, copied *mqtt.Copy) delivery.Reason {
	p := s.path
	r := &p.recall
	c := &session.kept.cursors[r.lane.route.place]
	if c.behind && !r.catching || c.had(r.seq, r.part) {
		return notNow
	}
	if copied.QoS == 0 && session.state.Passes(0) && !session.replaying() {
		c.next, c.part = r.seq, r.part+1
		return s.direct(m, session, copied)
	}
	if !session.state.Fits(m, len(copied.Identifiers)) && session.state.Len() > 0 {
		return s.postpone(session, c)
	}
	if len(m.Attrs) > 0 {
		copied.Expires = mqtt.ExpiresAt(m.Attrs, m.Time)
	}
	copied.Firm = true
	own, seq := m.Session, m.Seq
	m.Session, m.Seq = logSession(r.lane.route.place, r.part), r.seq
	o := session.state.Offer(m, *copied, p.now)
	m.Session, m.Seq = own, seq
	if o == mqtt.DropBudget {
		return s.postpone(session, c)
	}
	c.next, c.part = r.seq, r.part+1
	s.dirty(session)
	switch o {
	case mqtt.Direct:
		return s.direct(m, session, copied)
	case mqtt.Taken:
		s.pump(session)
		return taken
	default:
		return lossOf(o)
	}
}

// postpone leaves an entry to when the session has room: it reads by itself from there on.
func (s *mqttSpeaker) postpone(session *mqttSession, c *cursor) delivery.Reason {
	c.next, c.part, c.behind = s.path.recall.seq, s.path.recall.part, true
	s.dirty(session)
	s.stick(session)
	return notNow
}

// dirty has the session written with the next round.
func (s *mqttSpeaker) dirty(session *mqttSession) {
	if k := session.kept; k != nil && !k.dirty {
		k.dirty = true
		s.path.dirtied = append(s.path.dirtied, dirtied{s, session})
	}
}

// dirtied is a session that is to be written.
type dirtied struct {
	speaker *mqttSpeaker
	session *mqttSession
}

// acked is up to which entry of a route the client has acknowledged everything, and of
// the next one what came by so many of its destinations; live says that it keeps up, and
// has.
func (s *mqttSession) acked(l *logLane) (seq uint64, part uint16, live bool) {
	c := s.kept.cursors[l.route.place]
	for m := range s.state.Held() {
		if place, part, ok := placeOf(m); ok && place == l.route.place {
			return m.Seq - 1, part, false
		}
	}
	if c.behind {
		return c.next - 1, c.part, false
	}
	return max(l.fed, c.next-1), 0, true
}

// catching is how many sessions of a loop are read for at the same time.
const catching = 4

// How many entries are read for a session at once: as many as make about a megabyte.
const (
	catchBatch = 512
	fewCaught  = 16
	catchBytes = 1 << 20
)

// catchRequest asks for entries that a session has missed.
type catchRequest struct {
	speaker *mqttSpeaker
	session uint64
	lane    *logLane
	from    uint64
	most    int
	fed     uint64 // by the loop, when it was asked
}

// catchers read for sessions that are behind.
type catchers struct {
	d      *durables
	asked  chan catchRequest
	rounds atomic.Uint64
}

func newCatchers(d *durables) *catchers {
	return &catchers{d: d, asked: make(chan catchRequest, catching*max(len(d.server.paths), 256))}
}

func (c *catchers) start(ctx context.Context) {
	for range catching {
		c.d.reading.Go(func() {
			for {
				select {
				case q := <-c.asked:
					c.read(ctx, q)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// read reads for one session, and hands its loop what came of it.
func (c *catchers) read(ctx context.Context, q catchRequest) {
	s := c.d.server
	entries, err := q.lane.route.log.Read(ctx, q.from, q.most)
	q.lane.route.unread(ctx, s, "read back", err)
	c.rounds.Add(1)
	wait := newPause(50 * time.Millisecond)
	for {
		done := make(chan struct{})
		sent := s.engine.Do(q.speaker.path.loop.Index(), func() {
			defer close(done)
			q.speaker.caughtUp(q, entries, err)
		})
		if sent == nil {
			<-done
			return
		}
		if !errors.Is(sent, engine.ErrBusy) || !wait.sleep(ctx) {
			return
		}
	}
}

// readOn has entries read for a session that is behind, if its client is there and it
// has room; if it has none, a tick or an acknowledgement asks again.
func (s *mqttSpeaker) readOn(session *mqttSession) {
	k := session.kept
	if k == nil || k.reading || session.peer == nil {
		return
	}
	for _, l := range s.path.logList {
		if k.cursors[l.route.place].behind {
			if session.state.Crowded() {
				s.stick(session)
				return
			}
			k.reading, k.failed = true, false
			s.path.toCatch = append(s.path.toCatch, catchFor{s, session.id, l})
			s.path.catchNext()
			return
		}
	}
}

// catchFor is a session that waits for its turn to be read for.
type catchFor struct {
	speaker *mqttSpeaker
	session uint64
	lane    *logLane
}

// catchNext asks for entries for the sessions whose turn it is.
func (p *path) catchNext() {
	for len(p.toCatch) > 0 && p.catching < catching {
		next := p.toCatch[0]
		p.toCatch[0] = catchFor{}
		p.toCatch = p.toCatch[1:]
		session := next.speaker.find(next.session)
		if session == nil || session.kept == nil {
			continue
		}
		p.catching++
		p.server.durable.readers.asked <- catchRequest{next.speaker, next.session, next.lane, session.kept.cursors[next.lane.route.place].next, next.lane.catchMost(), next.lane.fed}
	}
	if len(p.toCatch) == 0 {
		p.toCatch = nil
	}
}

// catchMost is how many entries are read at once: so many that they are not large.
func (l *logLane) catchMost() int {
	return min(max(catchBytes/max(l.mean, 1), fewCaught), catchBatch)
}

// measure notes how large entries are.
func (l *logLane) measure(entries []backbone.Entry) {
	sum := 0
	for i := range entries {
		sum += len(entries[i].Record)
	}
	if len(entries) > 0 {
		l.mean = sum/len(entries) + 1
	}
}

// caughtUp offers a session what was read for it.
func (s *mqttSpeaker) caughtUp(q catchRequest, entries []backbone.Entry, err error) {
	p := s.path
	p.begin()
	p.catching--
	defer p.catchNext()
	q.lane.measure(entries)
	session := s.find(q.session)
	if session == nil || session.kept == nil {
		return
	}
	k := session.kept
	k.reading = false
	c := &k.cursors[q.lane.route.place]
	if k.failed = err != nil; k.failed {
		s.stick(session)
	}
	if err != nil || session.peer == nil {
		return // the next tick asks again, or the client when it is back
	}
	done := false
	defer p.mend(&done, p.underWay())
	defer func() {
		if !done { // the entry at which it panicked is over
			c.pass(p.recall.seq)
			p.ledger.Recalled++
			p.ledger.Drop(delivery.Internal)
			s.stick(session)
		}
	}()
	defer func() { p.recall.lane, p.recall.catching = nil, false }()
	for i := range entries {
		e := &entries[i]
		p.recall.lane, p.recall.seq, p.recall.catching = q.lane, e.Seq, true
		if e.Seq < c.next {
			continue
		}
		if !s.offerLogged(session, q.lane, e) {
			done = true
			return
		}
		c.pass(e.Seq)
	}
	if len(entries) == 0 {
		c.pass(q.fed)
	}
	done = true
	s.dirty(session)
	if c.next > q.lane.reached() {
		c.behind = false
	} else if c.next > q.lane.fed {
		s.stick(session) // the loop has panicked at what comes next, and perhaps passed it by
		return
	}
	s.readOn(session)
}

// stick has ticks look after a session that is behind: not each one gets an
// acknowledgement that would. The memory of all sessions may be spent, and what waits may
// be of QoS 0, or expire.
func (s *mqttSpeaker) stick(session *mqttSession) {
	if k := session.kept; !k.stuck && session.peer != nil {
		k.stuck = true
		s.stuck = append(s.stuck, session)
	}
}

// unstick reads on for sessions that are stuck. While one is to acknowledge something it
// has no room for more, unless it was the log that could not be read.
func (s *mqttSpeaker) unstick() {
	stuck := s.stuck
	s.stuck = s.unstuck[:0]
	for i, session := range stuck {
		stuck[i] = nil
		k := session.kept
		if k == nil {
			continue
		}
		if k.stuck = false; session.state.InFlight() > 0 && !k.failed {
			if k.behind() {
				s.stick(session)
			}
			continue
		}
		s.readOn(session)
	}
	s.unstuck = stuck[:0]
}

// behind tells whether the session is behind in any log.
func (k *keptState) behind() bool {
	for i := range k.cursors {
		if k.cursors[i].behind {
			return true
		}
	}
	return false
}

// offerLogged offers an entry to one session; false if it has no room.
func (s *mqttSpeaker) offerLogged(session *mqttSession, l *logLane, e *backbone.Entry) (on bool) {
	p := s.path
	var record delivery.Record
	m, ok := p.reviveEntry(l, e, &record)
	if !ok {
		return true
	}
	outer := p.tail.recalling(m, l, e)
	tried, copies := false, 0
	defer func() {
		result := resultDropped
		if copies > 0 {
			result = resultDelivered
		}
		p.tail.recalled(outer, on && tried, result, p.why)
	}()
	c, own := &session.kept.cursors[l.route.place], m.Topic
	places := p.placesOf(l, m, e.Seq)
	for i := range places {
		to := &places[i]
		if p.recall.part = uint16(i); to.Kind != abi.ToSubscribers || c.had(e.Seq, p.recall.part) {
			continue
		}
		name := to.Name
		if m.Topic = own; i > 0 {
			p.encoded.changed(abi.ChangedTopic)
		}
		if to.Template != nil {
			p.values.set(p.setup.nameOf(m.Listener), m)
			start := len(p.scratch)
			grown, err := to.Template.Append(p.scratch, &p.values)
			if p.scratch = grown; err != nil {
				continue
			}
			name = grown[start:]
		}
		if len(name) > 0 {
			m.Topic = name
			p.encoded.changed(abi.ChangedTopic)
		}
		by := subscriptionsOf(p.cache.Lookup(m.Topic).Subscribers, session.id)
		if len(by) == 0 {
			continue
		}
		m.Flags |= abi.FlagRedelivered
		switch why := s.deliver(m, session.id, by); why {
		case notNow:
			return false
		case delivery.NoSubscriber:
		default:
			p.ledger.Recalled++
			tried = true
			if p.took(why) {
				copies++
				p.ledger.Delivered++
			} else {
				p.ledger.Drop(why)
			}
			if f := p.tail.of(m); f != nil {
				f.went(to.Kind, name, copies)
			}
		}
	}
	return true
}

// subscriptionsOf are a session's among a topic's, which are in the order of sessions.
func subscriptionsOf(all []router.Subscriber, id uint64) []router.Subscriber {
	from, _ := slices.BinarySearchFunc(all, id, func(s router.Subscriber, id uint64) int { return cmp.Compare(s.Session, id) })
	to := from
	for to < len(all) && all[to].Session == id {
		to++
	}
	return all[from:to]
}
