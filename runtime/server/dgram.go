package server

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// attrChannel is the channel that a message came by, or is to go by.
const attrChannel = "channel"

// dgram speaks mcp-dgram on one loop: it keeps a conversation with each address that
// the door has let in.
type dgram struct {
	path     *path
	listener *listener
	door     *datagram.Door // shared by the loops
	pool     *datagram.Pool
	start    time.Time
	channels *[datagram.MaxChannels]abi.Attributes // shared by all listeners

	guest    datagram.Guest // who is being let in
	message  abi.Message    // that is being entered
	soiled   []*talk
	last     *talk // whose message ended last: often whose ends next
	counters datagram.Counters
	shown    dgramCounts
}

// talk is the conversation with one peer. It is the connection's Sink and Out.
type talk struct {
	dgram  *dgram
	peer   *peer
	conn   *datagram.Conn
	id     uint64 // of its session
	soiled bool   // has something to send when the turn ends
	fresh  bool   // the datagram that let it in is still to come
}

// newDgram compiles a listener's configuration.
func newDgram(cfg *config.Config, i int) (func(*path, *listener) speaker, error) {
	c := &cfg.Listeners[i]
	var secret [40]byte
	_, _ = rand.Read(secret[:]) // never fails
	settings := datagram.Config{
		MTU: int(c.Datagram.MTU), Window: c.Datagram.Window, WindowBytes: int(c.Datagram.WindowSize), Channels: c.Datagram.Channels,
		QueueBytes: engine.HardFactor*int(c.Outbox.Size) + int(c.Datagram.WindowSize), MaxMessage: int(c.Limits.Frame),
		MinRTO: c.Datagram.Retransmit.Min.Std(), MaxRTO: c.Datagram.Retransmit.Max.Std(),
		FirstRTO: min(max(datagram.DefaultFirstRTO, c.Datagram.Retransmit.Min.Std()), c.Datagram.Retransmit.Max.Std()),
		GiveUp:   c.Deadlines.Write.Std(), Settle: true,
	}
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	door, start := datagram.NewDoor(secret, settings), time.Now()
	channels := channelAttributes()
	return func(p *path, l *listener) speaker {
		return &dgram{path: p, listener: l, door: door, pool: datagram.NewPool(settings.MTU), start: start, channels: channels}
	}, nil
}

// altered is told of a change of the listener's configuration. How datagrams are sent
// stays: that would be another protocol.
func (d *dgram) altered(l *listener) { d.listener = l }

// channelAttributes are the attributes of each channel's messages, made once.
var channelAttributes = sync.OnceValue(func() *[datagram.MaxChannels]abi.Attributes {
	all := new([datagram.MaxChannels]abi.Attributes)
	for n := range all {
		all[n] = abi.Attributes(nil).AppendString(attrChannel, strconv.Itoa(n))
	}
	return all
})

// now is the time of the turn, as the protocol counts it.
func (d *dgram) now() int64 { return int64(d.path.loop.Now().Sub(d.start)) }

// Stranger implements engine.Doorkeeper.
func (p *path) Stranger(listener int, from netip.AddrPort, b, reply []byte) (answer []byte, admit bool) {
	d, ok := p.speakers[listener].(*dgram)
	if !ok {
		return nil, false
	}
	answer, guest, admit := d.door.Ask(d.now(), from, b, reply)
	if admit {
		d.guest = guest
	} else if answer == nil {
		d.counters.Malformed++
	}
	return answer, admit
}

// opened implements speaker: the door has just let the connection in.
func (d *dgram) opened(from *peer) {
	p := d.path
	t := &talk{dgram: d, peer: from, id: uint64(from.conn.ID()), fresh: true}
	t.conn = d.door.Accept(d.now(), d.guest, d.pool, t, &d.counters)
	from.said = t
	t.soil()
	admitted, reason := p.join(from, session.New(t.id, d.listener.index, time.Now().UnixNano(), from.conn.Remote()), nil)
	if !admitted {
		p.server.crowd.Info("session refused", "listener", d.listener.name, "remote", from.conn.Remote(), "reason", string(reason))
		if len(reason) > 0 {
			_ = t.conn.Send(datagram.Message{Kind: datagram.Response, Payload: reason}) // it is closed anyway
		}
		t.flush()
		from.conn.CloseAfterFlush(engine.ReasonDenied)
	}
}

// data implements speaker: b is one datagram.
func (d *dgram) data(from *peer, b []byte) (consumed, need int) {
	t := from.said.(*talk)
	if t.fresh {
		t.fresh = false
		return len(b), 0 // the door has read it
	}
	if d.path.loop.Deaf() {
		t.conn.Pause() // the peer keeps what it sends from now on
	}
	err := t.conn.Receive(d.now(), b)
	t.soil()
	switch {
	case err == nil:
	case errors.Is(err, datagram.ErrStranger):
		t.another(b)
	case errors.Is(err, datagram.ErrMalformed):
	default:
		t.over(err)
	}
	return len(b), 0
}

// another is for a peer that was restarted and shakes hands from the same address.
func (t *talk) another(b []byte) {
	d, p := t.dgram, t.dgram.path
	remote := t.peer.conn.Remote()
	answer, _, admit := d.door.Ask(d.now(), remote, b, nil)
	if admit {
		t.peer.conn.Close(engine.ReasonReplaced) // its next try finds the door
	} else if answer != nil {
		p.loop.SendDatagram(int(d.listener.index), remote, answer)
	}
}

// over ends a conversation that the protocol says is over.
func (t *talk) over(err error) {
	reason := engine.ReasonProtocol
	if errors.Is(err, datagram.ErrProtocol) || errors.Is(err, datagram.ErrTooLong) {
		t.dgram.path.offends(t.peer, offenceFrame) // once a handshake, which proves the address
		t.dgram.path.server.crowd.Info("not as mcp-dgram orders", "listener", t.dgram.listener.name, "remote", t.peer.conn.Remote(), "error", err)
	}
	switch {
	case errors.Is(err, datagram.ErrGoodbye):
		reason = engine.ReasonPeerClosed
	case errors.Is(err, datagram.ErrSilent):
		reason = engine.ReasonWriteDeadline
	}
	t.peer.conn.Close(reason)
}

// Message implements datagram.Sink.
func (t *talk) Message(in datagram.Message) {
	d, p := t.dgram, t.dgram.path
	if t.peer.refused {
		t.conn.Settle(in.Receipt)
		return
	}
	m := &d.message
	*m = abi.Message{Receipt: in.Receipt, Attrs: d.channels[in.Channel], Payload: in.Payload}
	switch in.Kind {
	case datagram.Request:
		m.Type, m.Seq = abi.TypeRequest, uint64(in.Seq)
	case datagram.Response:
		m.Type = abi.TypeResponse
	}
	if in.HasID {
		m.Seq = uint64(in.ID)
	}
	if in.Kind == datagram.Request {
		m.Seq |= uint64(in.Channel) << 32 // where the answer goes
	}
	p.enter(t.peer, m)
	if t.peer.conn.Held() {
		t.conn.Pause()
	}
}

// deliver implements speaker.
func (d *dgram) deliver(m *abi.Message, to uint64, _ []router.Subscriber) delivery.Reason {
	c := d.path.loop.Conn(engine.ConnID(to))
	if c == nil {
		return delivery.Closed
	}
	t, ok := c.Value.(*peer).said.(*talk)
	if !ok {
		return delivery.Closed
	}
	out := datagram.Message{Kind: datagram.Event, Payload: m.Payload}
	if len(m.Attrs) > 0 && &m.Attrs[0] != &d.channels[0][0] { // as most have it
		if number, ok := m.Attrs.Get(attrChannel); ok {
			if n, err := strconv.ParseUint(string(number), 10, 8); err == nil {
				out.Channel = uint8(n)
			}
		}
	}
	switch m.Type {
	case abi.TypeRequest:
		out.Kind, out.ID, out.HasID = datagram.Request, uint32(m.Seq), m.Seq != 0
	case abi.TypeResponse, abi.TypeAck:
		out.Kind, out.ID, out.HasID = datagram.Response, uint32(m.Seq), m.Seq != 0
		if out.HasID {
			out.Channel = uint8(m.Seq >> 32) // of the request
		}
	}
	return t.send(m, out)
}

// send queues a message for the peer, within the outbox's limit.
func (t *talk) send(m *abi.Message, out datagram.Message) delivery.Reason {
	d, c := t.dgram, t.peer.conn
	limit, policy := c.Outbox()
	size := len(out.Payload) + datagram.HeaderSize
	over := t.conn.Waiting() > 0 && t.conn.Waiting()+size > limit
	if over {
		switch policy {
		case engine.Disconnect:
			c.Close(engine.ReasonOutboxFull)
			return delivery.OutboxFull
		case engine.DropOldest:
			for t.conn.Waiting()+size > limit {
				records, _ := t.conn.DropOldest(out.Channel)
				if records == 0 {
					return delivery.OutboxFull
				}
				d.counters.Lost += uint64(records)
			}
			over = false
		}
	}
	if over && t.conn.Waiting()+size > engine.HardFactor*limit {
		return delivery.OutboxFull
	}
	switch err := t.conn.Send(out); {
	case err == nil:
	case errors.Is(err, datagram.ErrFull):
		return delivery.OutboxFull
	case errors.Is(err, datagram.ErrTooLong), errors.Is(err, datagram.ErrProtocol):
		return delivery.Unencodable
	default:
		return delivery.Closed
	}
	t.soil()
	if over {
		c.Owe(t.conn.Waiting())
		d.path.hold(m, c.ID())
	}
	return taken
}

// ended implements speaker: what became of it does not matter, it is accounted for;
// now it may be acknowledged.
func (d *dgram) ended(m *abi.Message, why delivery.Reason) {
	t := d.last
	if t == nil || t.id != m.Session {
		from := d.path.peer(m.Session)
		if from == nil {
			return
		}
		t = from.said.(*talk)
		d.last = t
	}
	if d.path.refusedByLog { // an acknowledgement would say that it is accounted for
		d.path.server.crowd.Info("a durable message was not kept: its peer is disconnected", "listener", d.listener.name, "remote", t.peer.conn.Remote(), "reason", why)
		t.peer.conn.Close(engine.ReasonDenied)
		return
	}
	t.conn.Settle(m.Receipt)
	t.soil()
}

// patient implements patient.
func (d *dgram) patient() {}

// idle implements speaker.
func (d *dgram) idle(from *peer) {
	t := from.said.(*talk)
	t.conn.Beat()
	t.soil()
}

// Wake implements engine.Waker: a timer is due, or the peer may be read from again.
func (p *path) Wake(c *engine.Conn) {
	t, ok := c.Value.(*peer).said.(*talk)
	if !ok {
		return
	}
	p.begin()
	err := t.conn.Expire(t.dgram.now())
	if err == nil && t.conn.Paused() && !c.Held() && !p.loop.Deaf() {
		err = t.conn.Resume()
	}
	if err != nil {
		t.over(err)
		return
	}
	t.soil()
}

// closed implements speaker.
func (d *dgram) closed(from *peer, reason engine.Reason) {
	t, ok := from.said.(*talk)
	if !ok {
		return
	}
	if d.last == t {
		d.last = nil
	}
	if from.session != nil {
		defer d.path.server.sessions.Close(from.session) // whatever plugins still do
		d.path.leave(from, reason, true)
	}
	t.conn.Close()
	if reason != engine.ReasonReplaced {
		d.path.scratch = t.conn.Flush(d.now(), d.path.scratch, farewell{t})
	}
}

// farewell sends past a connection that is closed.
type farewell struct{ *talk }

func (f farewell) Datagram(b []byte) {
	f.dgram.path.loop.SendDatagram(int(f.dgram.listener.index), f.peer.conn.Remote(), b)
}

// tick implements speaker.
func (d *dgram) tick(time.Time) { d.shown.publish(&d.counters) }

// pending implements speaker: a drain waits until everything is acknowledged.
func (d *dgram) pending() (waits bool) {
	d.path.loop.Conns(func(c *engine.Conn) bool {
		if from, ok := c.Value.(*peer); ok {
			if t, ok := from.said.(*talk); ok && t.dgram == d {
				waits = waits || t.conn.Queued() > 0
			}
		}
		return !waits
	})
	return waits
}

// soil puts the conversation on the list of those that may have something to send.
func (t *talk) soil() {
	if !t.soiled {
		t.soiled = true
		t.dgram.soiled = append(t.dgram.soiled, t)
	}
}

// turn sends what the turn has left to be sent.
func (d *dgram) turn() {
	for i, t := range d.soiled {
		t.soiled = false
		t.flush()
		d.soiled[i] = nil
	}
	d.soiled = d.soiled[:0]
}

// failed settles what a panic has cost.
func (d *dgram) failed() {
	d.path.loop.Conns(func(c *engine.Conn) bool {
		if from, ok := c.Value.(*peer); ok {
			if t, ok := from.said.(*talk); ok && t.dgram == d {
				t.conn.SettleAll()
				t.soil()
			}
		}
		return true
	})
}

func (t *talk) flush() {
	d := t.dgram
	now := d.now()
	d.path.scratch = t.conn.Flush(now, d.path.scratch, t)
	t.peer.conn.Owe(t.conn.Waiting())
	if at, ok := t.conn.Deadline(); ok {
		t.peer.conn.WakeAt(d.start.Add(time.Duration(at)))
	} else {
		t.peer.conn.WakeAt(time.Time{})
	}
}

// Datagram implements datagram.Out.
func (t *talk) Datagram(b []byte) { t.peer.conn.Send(b, 0) }
