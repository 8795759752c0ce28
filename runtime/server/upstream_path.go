package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/tracing"
	"github.com/weftrun/weft/runtime/upstream"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

// flight is a message that a pool has: a copy of it, on its way there and back. It is
// the loop's, which uses it again, but for the time between Submit and Done.
type flight struct {
	job   transport.Job
	path  *path
	pool  *upstreamPool
	token uint32           // see receipts
	again bool             // it is a dead letter that is replayed
	kept  bool             // it is an entry of a log, which keeps it until it is taken
	asks  bool             // its answer goes to its session
	topic []byte           // that the answer has
	span  *tracing.Message // of its way; nil: it is not traced
	buf   []byte
	next  *flight
}

// flights are a path's. Goroutines of the pools push those that have ended; the loop
// takes them all at once.
type flights struct {
	under   int     // that pools have
	free    *flight // to be used again
	spare   int     // of them
	ended   atomic.Pointer[flight]
	landing *flight     // that are being ended: the rest, should one of them panic
	missed  atomic.Bool // the loop had no room for being told: the next tick looks
	land    func()
	prefix  string // of the ids of messages that have none
	last    uint64
}

const (
	keptFlights     = 1024
	keptFlightBytes = 64 << 10
	attrMessageID   = "message_id"
)

// toPool hands a copy of the message to the pool's queue. What becomes of it comes back
// to this loop: until then the message has not ended, if nobody else has it.
func (p *path) toPool(m *abi.Message, pool *upstreamPool, name []byte) int {
	if p.crowded(abi.ToUpstream, name) {
		return 0
	}
	p.begin()
	f := p.flights.take(p)
	f.pool, f.again = pool, p.again != nil && m.Flags&abi.FlagRedelivered != 0
	f.kept = p.recall.lane != nil
	f.topic, f.asks = nil, m.Session != 0 && (!isAPI(m.Session) || isAsk(m.Session))
	wanted, named := m.Attrs.Get(admin.AttrResponseTopic)
	named = named && router.ValidateTopic(wanted) == nil
	f.asks = f.asks && !f.kept && (m.Type == abi.TypeRequest || m.Type == abi.TypeEvent && named)
	if !f.fill(m) {
		p.flights.give(f)
		p.took(delivery.BadDestination)
		return 0
	}
	if named {
		f.topic, _ = f.job.Message.Attrs.Get(admin.AttrResponseTopic)
	}
	if f.asks {
		f.job.Message.Type = abi.TypeRequest
		f.job.Message.Deadline = time.Unix(0, p.answerBy(m))
	}
	f.span = p.tail.sending(m, pool)
	f.job.Record = f.span != nil
	if err := pool.sender.Submit(&f.job); err != nil {
		f.span = nil
		p.flights.give(f)
		if p.recall.offers != nil && errors.Is(err, transport.ErrFull) {
			p.noRoom(abi.ToUpstream, name)
			return 0
		}
		p.took(reasonOf(err))
		return 0
	}
	f.token = p.newToken(m)
	p.receipts.sent(f.token, 1)
	p.receipts.pooled++
	p.flights.under++
	if f.asks {
		p.asked, p.askedBy = m.Receipt, m.Session
	}
	return 1
}

// take is a flight that nobody uses.
func (fs *flights) take(p *path) *flight {
	if fs.land == nil {
		fs.land = p.landAll
		fs.prefix = strings.ToLower(rand.Text()[:12]) + "-" + strconv.Itoa(p.loop.Index()) + "-"
	}
	f := fs.free
	if f == nil {
		f = &flight{path: p}
		f.job.Done = f.done
		return f
	}
	fs.free, f.next = f.next, nil
	fs.spare--
	return f
}

// give takes a flight back.
func (fs *flights) give(f *flight) {
	if fs.spare >= keptFlights {
		return
	}
	if cap(f.buf) > keptFlightBytes {
		f.buf = nil
	}
	f.job.Message, f.job.Answer, f.job.Err, f.topic, f.pool = transport.Message{}, transport.Answer{}, nil, nil, nil
	f.job.Tries, f.span = nil, nil
	f.next, fs.free = fs.free, f
	fs.spare++
}

// fill copies the message into the flight, and makes what its pool's templates say;
// false if they cannot be made of it.
func (f *flight) fill(m *abi.Message) bool {
	p, pool := f.path, f.pool
	need := len(m.Topic) + len(m.Attrs) + len(m.Payload)
	if cap(f.buf) < need {
		f.buf = make([]byte, 0, need+512)
	}
	f.buf = f.buf[:0]
	c := &f.job.Message
	*c = transport.Message{Message: *m}
	c.Context, c.Frame, c.Came, c.Receipt = nil, nil, nil, 0
	c.Topic, c.Attrs, c.Payload = f.copied(m.Topic), f.copied(m.Attrs), f.copied(m.Payload)
	if id, ok := c.Attrs.Get(attrMessageID); ok {
		c.ID = id
	} else {
		start := len(f.buf)
		f.buf = p.appendID(f.buf)
		c.ID = f.buf[start:len(f.buf):len(f.buf)]
	}
	if pool.key == nil && pool.path == nil {
		return true
	}
	p.values.set(p.setup.nameOf(m.Listener), m)
	if pool.key != nil {
		start := len(f.buf)
		grown, err := pool.key.Append(f.buf, &p.values)
		if f.buf = grown; err == nil { // else it has no key, and any member will do
			c.Key = grown[start:len(grown):len(grown)]
		}
	}
	return pool.path == nil || f.address(pool)
}

// appendID appends the id of a message that has none. An entry of a log has the same one
// each time that it is offered to a destination, by whichever node: the route and the
// destination, the entry's number, and when it was kept, as the numbers of a log that
// begins anew are those of another.
func (p *path) appendID(dst []byte) []byte {
	if e := p.recall.entry; e != nil {
		dst = strconv.AppendUint(dst, hashOf(p.recall.lane.route.name)*31+hashOf(p.recall.offers.work.to), 36)
		dst = strconv.AppendUint(append(dst, '-'), e.Seq, 36)
		return strconv.AppendInt(append(dst, '-'), e.Time.UnixNano(), 36)
	}
	p.flights.last++
	return strconv.AppendUint(append(dst, p.flights.prefix...), p.flights.last, 36)
}

func (f *flight) copied(b []byte) []byte {
	start := len(f.buf)
	f.buf = append(f.buf, b...) // has room: what lies there does not move
	return f.buf[start:len(f.buf):len(f.buf)]
}

// address makes the request's path and query.
func (f *flight) address(pool *upstreamPool) bool {
	p, c := f.path, &f.job.Message
	start := len(f.buf)
	grown, err := pool.path.Append(f.buf, &p.values)
	f.buf = grown
	if err != nil || hasDots(grown[start:]) {
		return false
	}
	c.Path = grown[start:len(grown):len(grown)]
	start = len(f.buf)
	for i, part := range pool.query {
		if i > 0 {
			f.buf = append(f.buf, '&')
		}
		f.buf = append(f.buf, part.name...)
		if part.value == nil {
			continue
		}
		f.buf = append(f.buf, '=')
		if p.name, err = part.value.Append(p.name[:0], &p.values); err != nil {
			return false
		}
		f.buf = appendEscaped(f.buf, p.name)
	}
	c.Query = f.buf[start:len(f.buf):len(f.buf)]
	return true
}

// hasDots tells whether a level of a path is "." or "..": who receives it may take it
// for another path.
func hasDots(path []byte) bool {
	for {
		level, rest, more := bytes.Cut(path, []byte{'/'})
		if n := len(level); n > 0 && n <= 2 && level[0] == '.' && level[n-1] == '.' {
			return true
		}
		if path = rest; !more {
			return false
		}
	}
}

// appendEscaped appends bytes as they stand in a query (RFC 3986, section 2.3).
func appendEscaped(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range b {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// done is called by the pool, on any goroutine.
func (f *flight) done(*transport.Job) {
	fs := &f.path.flights
	for {
		first := fs.ended.Load()
		f.next = first
		if fs.ended.CompareAndSwap(first, f) {
			if first == nil {
				f.path.tellOfFlights()
			}
			return
		}
	}
}

// tellOfFlights has the loop take what has ended. Where it has no room, the next tick
// does it.
func (p *path) tellOfFlights() {
	if err := p.server.engine.Do(p.loop.Index(), p.flights.land); err != nil {
		p.flights.missed.Store(true)
	}
}

// tick takes what the loop could not be told of.
func (fs *flights) tick(p *path) {
	if fs.missed.Swap(false) {
		p.landAll()
	}
}

// landAll ends the messages that pools have answered, in the order in which they did.
func (p *path) landAll() {
	fs := &p.flights
	var first *flight
	for f := fs.ended.Swap(nil); f != nil; {
		f.next, first, f = first, f, f.next
	}
	last := &fs.landing
	for *last != nil {
		last = &(*last).next
	}
	*last = first
	for fs.landing != nil {
		f := fs.landing
		fs.landing, f.next = f.next, nil
		p.landOne(f)
	}
}

// landOne ends one message, and gives its flight back even if that panics.
func (p *path) landOne(f *flight) {
	p.begin()
	p.flights.under--
	done := false
	defer func() {
		if !done {
			p.copyEnded(f.token, delivery.Internal, false, "")
			p.flights.missed.Store(true) // for the rest
		}
		p.flights.give(f)
	}()
	if f.span != nil {
		p.trace.sent(f)
	}
	if f.job.Err == nil && f.asks {
		p.poolAnswered(f)
	}
	why, dead := taken, false
	if f.job.Err == nil {
		p.ledger.Copies++
	} else {
		why = reasonOf(f.job.Err)
		p.ledger.DropCopy(why)
		dead = p.buryFlight(f)
	}
	done = true
	text := ""
	if f.job.Err != nil && f.again {
		text = f.job.Err.Error()
	}
	p.copyEnded(f.token, why, dead, text)
}

// copyEnded notes what became of one copy that a pool had.
func (p *path) copyEnded(token uint32, why delivery.Reason, dead bool, text string) {
	at := p.receipts.at(token)
	if why == taken {
		at.taken = true
		at.copies++
	} else {
		at.why, at.dead, at.text = why, at.dead || dead, text
	}
	if p.receipts.answered(token) {
		p.known(at)
	}
}

// poolAnswered takes a member's answer to who asked.
func (p *path) poolAnswered(f *flight) {
	c := &f.job.Message
	p.ledger.In++
	start := len(p.scratch)
	p.scratch = c.Attrs.Merge(p.scratch, withoutOwn(f.job.Answer.Attrs))
	m := abi.Message{
		Seq: c.Seq, Time: p.now, Listener: apiListener, Type: abi.TypeResponse, Priority: c.Priority, QoS: c.QoS,
		Topic: c.Topic, Attrs: abi.Attributes(p.scratch[start:len(p.scratch):len(p.scratch)]), Payload: f.job.Answer.Payload,
	}
	if f.topic != nil {
		m.Topic = f.topic
	}
	p.encoded.reset(abi.ChangesKnown)
	copies := 0
	if p.send(&m, c.Session) {
		copies = 1
	}
	p.settled(&m, copies)
}

// causeUpstream is the cause of letters that a pool did not take.
const causeUpstream = "upstream"

// buryFlight makes a dead letter of a message that a pool did not take. A request is
// none: who asked knows.
func (p *path) buryFlight(f *flight) bool {
	if f.pool.c.OnFailure == config.OnFailureDrop || f.asks || f.kept || errors.Is(f.job.Err, transport.ErrClosed) {
		return false
	}
	if f.again {
		return true // it is in the store already
	}
	m := f.job.Message.Message
	name := apiName
	if int(m.Listener) < len(p.setup.names) {
		name = p.setup.nameOf(m.Listener)
	}
	p.letter = delivery.Letter{Reason: cut(f.job.Err.Error(), 400), Cause: causeUpstream, Listener: name}
	p.encoded.reset(abi.ChangesKnown)
	return p.bury(&m)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}

// reasonOf is why a pool has not taken a message.
func reasonOf(err error) delivery.Reason {
	switch {
	case errors.Is(err, transport.ErrFull), errors.Is(err, upstream.ErrRate):
		return delivery.UpstreamFull
	case errors.Is(err, transport.ErrClosed), errors.Is(err, upstream.ErrClosed):
		return delivery.Draining
	case errors.Is(err, upstream.ErrNoMember):
		return delivery.NoUpstream
	case errors.Is(err, transport.ErrUnencodable):
		return delivery.Unencodable
	case errors.Is(err, transport.ErrRefused):
		return delivery.UpstreamRefused
	}
	switch upstream.Classify(err) {
	case upstream.TimedOut, upstream.Cancelled:
		return delivery.UpstreamTimeout
	case upstream.Busy:
		return delivery.UpstreamFull
	}
	return delivery.UpstreamFailed
}

// strand ends what pools still had when they were closed, and counts what sessions have
// that end with the process. The loop has ended.
func (p *path) strand() {
	p.flights.landing = nil
	for f := p.flights.ended.Swap(nil); f != nil; {
		next := f.next
		p.flights.under--
		if f.span != nil {
			p.trace.sent(f)
		}
		why := taken
		if f.job.Err == nil {
			p.ledger.Copies++
		} else {
			why = reasonOf(f.job.Err)
			p.ledger.DropCopy(why)
		}
		p.receipts.at(f.token).tells = false // nobody is there any more
		p.copyEnded(f.token, why, false, "")
		f = next
	}
	if p.trace != nil {
		p.trace.post()
	}
	for _, st := range p.stays.slots {
		if st != nil {
			p.speakers[st.listener].(*mqttSpeaker).strand(st.said)
		}
	}
	p.publish()
}
