package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/router"
)

// sendOne hands the message to one receiver, which may answer it: a request gets
// a sequence id that is free with the receiver, by which its response is found.
// In a format without sequence ids responses name the node that they are for.
func (p *path) sendOne(m *abi.Message, id uint64) bool { return p.askBy(m, id, nil) }

// askBy is sendOne to a receiver through subscriptions of its own.
func (p *path) askBy(m *abi.Message, id uint64, by []router.Subscriber) bool {
	to := p.receiver(id)
	if m.Type != abi.TypeRequest || m.Session == 0 || to == nil || to.width() == 0 && !(p.asksAPI(m) && tellsAnswers(to)) {
		return p.sendBy(m, id, by)
	}
	p.begin()
	seq, err := p.server.requests.Begin(delivery.Request{
		Destination: id, SeqBits: to.width(), Origin: m.Session, OriginSeq: m.Seq,
		Deadline: p.answerBy(m),
	})
	if err != nil {
		return p.took(delivery.RequestBusy)
	}
	own := m.Seq
	if seq != own {
		m.Seq = seq
		p.encoded.changed(abi.ChangedSeq)
	}
	ok := p.sendBy(m, id, by)
	if seq != own {
		m.Seq = own
		p.encoded.changed(abi.ChangedSeq)
	}
	if ok {
		p.asked, p.askedBy = m.Receipt, m.Session
		if isFar(m.Session) {
			p.far.tracked++
		}
	} else {
		p.server.requests.Cancel(id, seq)
	}
	return ok
}

// width is how wide the sequence ids are by which the listener's sessions answer; 0 if
// they have none.
func (l *listener) width() int {
	if l.format == nil {
		return l.seqBits
	}
	return l.format.SeqBits()
}

// answers takes a response to the session that asked; false for any message that
// is no answer to a request that waits.
func (p *path) answers(m *abi.Message) bool {
	if m.Type != abi.TypeResponse && !p.respondsBySeq(m) || p.server.requests.Len() == 0 {
		return false
	}
	origin, match := p.server.requests.Finish(m.Session, m.Seq)
	switch match {
	case delivery.Unknown:
		return false
	case delivery.Late:
		p.drop(m, delivery.LateResponse)
		return true
	}
	p.goPast()
	m.Type = abi.TypeResponse
	if m.Seq != origin.Seq {
		m.Seq = origin.Seq
		p.encoded.changed(abi.ChangedSeq)
	}
	copies := 0
	if p.send(m, origin.Session) {
		copies = 1
	}
	p.settled(m, copies)
	return true
}

// respondsBySeq tells whether only its sequence id says that the message is a
// response.
func (p *path) respondsBySeq(m *abi.Message) bool {
	return int(m.Listener) < len(p.setup.listeners) && p.setup.listeners[m.Listener].format != nil && p.setup.listeners[m.Listener].format.RespondsBySeq()
}

// reply sends what a plugin answered to the message's session.
func (p *path) reply(m *abi.Message, payload []byte) {
	if m.Session == 0 {
		p.drop(m, delivery.NoReply)
		return
	}
	m.Type, m.Payload, m.Frame = abi.TypeResponse, payload, nil
	p.encoded.reset(abi.ChangesKnown)
	if !p.send(m, m.Session) {
		p.drop(m, p.why)
		return
	}
	if f := p.tail.of(m); f != nil {
		f.end("replied", 0)
	}
	p.tell(m, taken)
	p.ledger.Replied++
}

// send takes the message to one receiver, which it is addressed to.
func (p *path) send(m *abi.Message, id uint64) bool { return p.sendBy(m, id, nil) }

// sendBy takes the message to one receiver through subscriptions of its own: it is
// encoded and put into the receiver's outbox, or handed to who speaks for it. It counts
// the copy.
func (p *path) sendBy(m *abi.Message, id uint64, by []router.Subscriber) bool {
	if isAPI(id) {
		return p.took(p.server.bus.offer(m, id, p.setup.nameOf(m.Listener)))
	}
	if isStay(id) {
		return p.took(p.spoken(m, id, by))
	}
	if isGroup(id) {
		return p.took(p.toGroup(m, id))
	}
	if isFar(id) {
		return p.took(p.toFarAsker(m, id))
	}
	to := p.receiver(id)
	if to == nil {
		return p.took(delivery.Closed)
	}
	if p.speakers[to.index] != nil {
		return p.took(p.spoken(m, id, by))
	}
	unit, err := p.encode(m, to.format)
	if err != nil {
		if p.server.debugging() {
			p.server.log.DebugContext(p.logContext(m), "a message does not fit the receiver's frames", "listener", to.name, "topic", string(m.Topic), "error", err)
		}
		return p.took(delivery.Unencodable)
	}
	if to.web != nil {
		unit = p.wrap(to.web, unit)
	}
	switch p.loop.SendTo(engine.ConnID(id), unit, m.Priority) {
	case engine.Pressed:
		p.hold(m, engine.ConnID(id))
	case engine.Dropped:
		return p.took(delivery.OutboxFull)
	case engine.Closed:
		return p.took(delivery.Closed)
	}
	p.recall.taken = engine.ConnID(id)
	return p.took(taken)
}

// hold stops reading from who sent the message until the receiver has room again.
func (p *path) hold(m *abi.Message, until engine.ConnID) {
	if p.recall.lane != nil {
		p.recall.until = until // who reads the log waits
		return
	}
	if from := p.sender(m); from != 0 {
		p.loop.Hold(from, until)
	}
}

// sender is the connection that the message came by; 0 if it came by none, or that
// is gone.
func (p *path) sender(m *abi.Message) engine.ConnID {
	switch {
	case p.foreign != 0:
		return p.foreign
	case isFar(m.Session):
		return 0
	case !isStay(m.Session):
		return engine.ConnID(m.Session)
	}
	if from := p.peer(m.Session); from != nil {
		return from.conn.ID()
	}
	return 0
}

// receiver is the listener whose connection the session is; nil if it is gone.
func (p *path) receiver(id uint64) *listener {
	if isAPI(id) || isStay(id) || isGroup(id) {
		return nil
	}
	index, ok := p.loop.ListenerOf(engine.ConnID(id))
	if !ok {
		return nil
	}
	return p.setup.listeners[index]
}

// took counts a copy and remembers why it was not taken.
func (p *path) took(why delivery.Reason) bool {
	switch why {
	case taken:
		p.ledger.Copies++
		return true
	case notNow: // no copy yet: its end is counted when it has one
		return false
	}
	p.ledger.DropCopy(why)
	p.why = why
	return false
}

// encoded remembers the frame that the message in delivery was last encoded to:
// receivers of one format share it.
type encoded struct {
	changes abi.Changes // what is not as it was in the frame that was received
	format  *frame.Format
	unit    []byte
	mqtt    [2][]byte // PUBLISH of QoS 0, by the lowest bit of the version
}

// reset begins with a message of which plugins have changed something.
func (e *encoded) reset(changes abi.Changes) { *e = encoded{changes: changes} }

// changed notes a change that delivery itself makes.
func (e *encoded) changed(what abi.Changes) {
	e.changes, e.format, e.mqtt = e.changes|what, nil, [2][]byte{}
}

// encode returns the message as a frame of the format, valid until the turn ends:
// the one that was received, if it is of this format and still says the same.
func (p *path) encode(m *abi.Message, f *frame.Format) ([]byte, error) {
	e := &p.encoded
	if e.format == f {
		return e.unit, nil
	}
	if m.Frame != nil && !m.FrameStale && e.changes&f.Carries() == 0 && f.Same(p.setup.listeners[m.Listener].format) && len(m.Frame) <= f.Limit() {
		e.format, e.unit = f, m.Frame
		return e.unit, nil
	}
	start := len(p.scratch)
	own := m.Seq
	m.Seq = narrow(m, f.SeqBits())
	grown, err := f.Append(p.scratch, m)
	m.Seq = own
	if err != nil {
		return nil, err
	}
	p.scratch = grown
	e.format, e.unit = f, grown[start:]
	return e.unit, nil
}

// narrow is the sequence id of a message in so many bits. One of a request that is too
// long is that of a request to all who subscribe: whom it is addressed to gets a
// fitting one (askBy), by which the response is found. Here none is looked for, so the
// request goes out with what fits of it, and not as the event that 0 stands for.
func narrow(m *abi.Message, bits int) uint64 {
	if m.Type != abi.TypeRequest || bits == 0 || m.Seq>>bits == 0 {
		return m.Seq
	}
	return max(m.Seq&(1<<bits-1), 1)
}
