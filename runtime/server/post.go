package server

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// A message for sessions that a speaker of another loop serves travels there as it is,
// once for all of them:
//
//	receivers u32, then for each: session u64, identifier u32, options u8, addressed u8;
//	  or receivers everyStay: all sessions there that are subscribed to the topic
//	the connection it came by u64, session u64, seq u64, time i64, listener u32, flags u32,
//	type u8, priority u8, qos u8, 0 u8, token u32, lengths u32 of topic, attributes, context, payload
//	the bytes of these four
//
// All of it little-endian; it never leaves the process.
const (
	// everyStay stands for a list of receivers that the other loop knows as well.
	everyStay = 1<<32 - 1
	// fewReceivers are listed.
	fewReceivers = 4
	postReceiver = 14
	postMessage  = 8 + 8 + 8 + 8 + 4 + 4 + 4 + 4 + 4*4
)

var le = binary.LittleEndian

// post takes the message to one session of another loop.
func (p *path) post(m *abi.Message, at int, id uint64, by []router.Subscriber) delivery.Reason {
	if len(by) == 0 {
		return p.postTo(m, at, []router.Subscriber{{Session: id}}, 1, true)
	}
	return p.postTo(m, at, by, 1, false)
}

// postTo takes the message to so many sessions of another loop.
func (p *path) postTo(m *abi.Message, at int, by []router.Subscriber, sessions int, addressed bool) delivery.Reason {
	start := len(p.scratch)
	receivers := uint32(len(by))
	if len(by) > fewReceivers && !addressed {
		by, receivers = nil, everyStay
	}
	b := le.AppendUint32(p.scratch, receivers)
	for i := range by {
		b = le.AppendUint64(b, by[i].Session)
		b = le.AppendUint32(b, by[i].Identifier)
		b = append(b, byte(by[i].Options), flag(addressed))
	}
	b = le.AppendUint64(b, uint64(p.sender(m)))
	session := m.Session
	if p.confirms && session == 0 {
		session = p.confirmTo()
	}
	b = le.AppendUint64(b, session)
	b = le.AppendUint64(b, m.Seq)
	b = le.AppendUint64(b, uint64(m.Time))
	b = le.AppendUint32(b, m.Listener)
	b = le.AppendUint32(b, uint32(m.Flags))
	b = append(b, byte(m.Type), m.Priority, m.QoS, 0)
	token := p.tokenFor(m)
	b = le.AppendUint32(b, token)
	for _, part := range [...][]byte{m.Topic, m.Attrs, m.Context, m.Payload} {
		b = le.AppendUint32(b, uint32(len(part)))
	}
	for _, part := range [...][]byte{m.Topic, m.Attrs, m.Context, m.Payload} {
		b = append(b, part...)
	}
	sent := p.loop.Post(at, 0, b[start:])
	p.scratch = b[:start] // Post has copied it
	switch sent {
	case engine.Pressed:
		p.hold(m, engine.WayTo(at))
	case engine.Dropped:
		return delivery.LoopBusy
	case engine.Closed:
		return delivery.Closed
	}
	p.receipts.sent(token, sessions)
	return taken
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// Posted implements engine.Receiver: it delivers a message that another loop has
// posted. What a session does not take is counted here; for the sender it was taken.
func (p *path) Posted(kind uint64, b []byte) {
	p.begin()
	if kind == postedOutcome {
		p.heard(b)
		return
	}
	n := le.Uint32(b)
	everybody := n == everyStay
	if everybody {
		n = 0
	}
	receivers, b := b[4:4+n*postReceiver], b[4+n*postReceiver:]
	m := abi.Message{
		Session: le.Uint64(b[8:]), Seq: le.Uint64(b[16:]), Time: int64(le.Uint64(b[24:])),
		Listener: le.Uint32(b[32:]), Flags: abi.Flags(le.Uint32(b[36:])),
		Type: abi.Type(b[40]), Priority: b[41], QoS: b[42],
	}
	asker := loopOf(m.Session)
	if isConfirm(m.Session) {
		asker, m.Session = int(m.Session&0xff), 0
	}
	p.foreign = engine.ConnID(le.Uint64(b))
	p.landed = landing{why: delivery.NoSubscriber}
	done := false
	defer func() { // even if a speaker panics: the other loop waits
		p.foreign = 0
		if !done {
			p.landed.why = delivery.Internal
		}
		if token := le.Uint32(b[44:]); token != 0 {
			p.answerPost(token, asker)
		}
	}()
	rest := b[postMessage:]
	for i, part := range [...]*[]byte{&m.Topic, (*[]byte)(&m.Attrs), (*[]byte)(&m.Context), &m.Payload} {
		size := le.Uint32(b[48+4*i:])
		*part, rest = rest[:size:size], rest[size:]
	}
	p.encoded.reset(abi.ChangesKnown)
	if everybody {
		p.deliverToStays(&m)
	}
	for len(receivers) > 0 {
		receivers = p.deliverPosted(&m, receivers)
	}
	done = true
}

// deliverToStays takes the message to every session of this loop that outlives its
// connections and is subscribed to the topic.
func (p *path) deliverToStays(m *abi.Message) {
	found := p.cache.Lookup(m.Topic)
	first := uint64(p.loop.Index())<<stayLoopShift | stayBit
	by := found.Subscribers
	at, _ := slices.BinarySearchFunc(by, first, func(s router.Subscriber, id uint64) int { return cmp.Compare(s.Session, id) })
	for by = by[at:]; len(by) > 0 && isStay(by[0].Session) && loopOf(by[0].Session) == p.loop.Index(); {
		n := 1
		for n < len(by) && by[n].Session == by[0].Session {
			n++
		}
		why := delivery.Closed
		if s := p.speakerOf(by[0].Session); s != nil {
			why = s.deliver(m, by[0].Session, by[:n])
		}
		p.arrived(why)
		by = by[n:]
	}
}

// deliverPosted takes the message to the first session, through all of its
// subscriptions, and answers the other receivers.
func (p *path) deliverPosted(m *abi.Message, receivers []byte) (others []byte) {
	id := le.Uint64(receivers)
	p.by = p.by[:0]
	addressed := false
	for len(receivers) > 0 && le.Uint64(receivers) == id {
		addressed = receivers[13] != 0
		p.by = append(p.by, router.Subscriber{Session: id, Identifier: le.Uint32(receivers[8:]), Options: router.Options(receivers[12])})
		receivers = receivers[postReceiver:]
	}
	by := p.by
	if addressed {
		by = nil
	}
	why := delivery.Closed
	if s := p.speakerOf(id); s != nil {
		why = s.deliver(m, id, by)
	}
	p.arrived(why)
	return receivers
}
