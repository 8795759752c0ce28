package datagram

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// Errors of a connection.
var (
	// ErrFull: what waits to be sent has reached Config.QueueBytes.
	ErrFull = errors.New("datagram: too much waits to be sent")
	// ErrTooLong: a message is longer than Config.MaxMessage, or for a plain peer
	// than one datagram.
	ErrTooLong = errors.New("datagram: the message is too long")
	// ErrNotOpen: the handshake is not done.
	ErrNotOpen = errors.New("datagram: the connection does not stand yet")
	// ErrClosed: the connection has ended.
	ErrClosed = errors.New("datagram: closed")
	// ErrGoodbye: the peer has closed the connection.
	ErrGoodbye = errors.New("datagram: closed by the peer")
	// ErrSilent: the peer did not answer for too long.
	ErrSilent = errors.New("datagram: the peer does not answer")
	// ErrRestarted: the peer has lost the connection; what was not acknowledged may
	// or may not have arrived.
	ErrRestarted = errors.New("datagram: the peer was restarted")
	// ErrStranger: the datagram belongs to another connection of the same address,
	// which is for the Door.
	ErrStranger = errors.New("datagram: of another connection")
	// ErrProtocol: the peer does what the protocol forbids.
	ErrProtocol = errors.New("datagram: against the protocol")
)

// Sink takes what arrives, on the goroutine that called Receive or Resume.
type Sink interface {
	// Message takes one message, in order within its channel. Its payload lies in
	// the datagram, or in the connection's memory until the next Flush.
	Message(m Message)
}

// Out takes datagrams that are to be sent. They are borrowed: those of a Flush stay
// as they are until the next Receive or Flush.
type Out interface {
	Datagram(b []byte)
}

// Counters count what connections did. Connections of one goroutine share them.
type Counters struct {
	Sent, Received   uint64 // messages
	Datagrams        uint64 // sent
	Retransmitted    uint64 // packets
	Spurious         uint64 // of those, given up too early
	Duplicates       uint64 // records that had arrived before
	OutOfOrder       uint64 // records that came before one that goes before them
	Beyond           uint64 // records outside of the window
	Malformed        uint64 // datagrams, or acknowledgements of what was not sent
	Timeouts, Probes uint64
	Lost             uint64 // records that were not acknowledged when the connection ended
	RTTCount         uint64
	RTTSum           uint64 // ns
}

type state uint8

const (
	greeting   state = iota // client: hello was sent
	connecting              // client: the cookie was sent back
	open
	leaving // goodbye was said and not answered
	dead
)

// Conn is one connection, at either end. It does no I/O and reads no clock: now is
// always in ns of a clock that does not go back. It belongs to one goroutine.
type Conn struct {
	cfg      *Config
	pool     *Pool
	sink     Sink
	counters *Counters

	state      state
	full       bool // the peer speaks the whole protocol
	paused     bool
	welcome    bool // is owed
	err        error
	cookie     uint32
	connection uint64 // 0 with a plain peer
	epoch      uint64 // of the server: own, or as told
	token      uint64
	mtu        int // the smaller one of both
	records    int // the peer's first window
	bytes      int

	first channel // 0
	more  map[uint8]*channel
	due   []*channel // acknowledgements are owed
	ready []*channel // have something unsent; in turn
	line  []*channel // have, and wait until they may begin a long message
	begun int        // bytes of those that channels have begun

	flight, lost list
	inFlight     int // bytes of flight
	packets      int // alive
	aloft        int // of them sent and not acknowledged in order
	queued       int // bytes of all of them
	waiting      int // of those that were never sent
	parts        int // bytes of messages of which records are missing
	tx, top      uint64
	disorder     bool  // the network overtakes
	lossAt       int64 // when detect is to look again; 0: not
	turn         ackTurn

	window   int // congestion window
	ssthresh int
	recovery uint64 // a loss up to this datagram is the same event

	srtt, rttvar, rto time.Duration
	backoff           uint8
	probed            bool
	progress          int64 // when the timer was last restarted
	lastSend, lastIn  int64
	waitFrom          int64 // since when an acknowledgement is awaited
	greeted           int64 // when the last step of the handshake was sent
	tries             int

	held int // bytes in the reorder windows
	runs int // and of how many pieces
	// spent is the memory of those that were handed over since the last Flush.
	spent []*packet

	beat     uint32 // our own heartbeat that is not answered
	beats    uint32
	beatAt   int64
	beatFrom int64 // when the first of those was sent that were not answered
	sendBeat bool
	echoes   []uint32 // heartbeats to be answered
	tell     bool     // acknowledge every channel
	probe    bool     // ask the peer who we are
	asked    bool     // and that was done
	probedAt int64
	bye      bool // is to be said
	byes     uint8
}

// maxEchoes bounds the answers to heartbeats in one flush.
const maxEchoes = 4

func newConn(cfg *Config, pool *Pool, sink Sink, counters *Counters, now int64) *Conn {
	c := &Conn{
		cfg: cfg, pool: pool, sink: sink, counters: counters, mtu: cfg.MTU,
		rto: cfg.FirstRTO, lastIn: now, progress: now, records: plainRecords, bytes: plainBytes,
	}
	c.ssthresh = cfg.WindowBytes
	c.window = min(initialWindow*cfg.MTU, max(cfg.WindowBytes, 2*cfg.MTU))
	return c
}

// What a plain peer's window is taken for: it never says.
const (
	plainRecords = 32
	plainBytes   = 32 << 10
)

// Dial makes the client's end; connection is random and not 0. cfg must not change
// any more.
func Dial(now int64, cfg Config, connection uint64, sink Sink, counters *Counters) *Conn {
	cfg = cfg.withDefaults()
	c := newConn(&cfg, NewPool(cfg.MTU), sink, counters, now)
	c.connection, c.full = connection, true
	c.welcome = true
	return c
}

// Accept makes the server's end of a guest that the door has let in.
func (d *Door) Accept(now int64, g Guest, pool *Pool, sink Sink, counters *Counters) *Conn {
	c := newConn(&d.cfg, pool, sink, counters, now)
	c.state, c.cookie, c.epoch = open, g.cookie, d.epoch
	if g.hello.step == stepConnect {
		c.full, c.welcome, c.connection = true, true, g.hello.connection
		c.meet(g.hello)
	}
	c.first.init(c, 0)
	if !c.full {
		c.owe(&c.first) // tells that it is in
	}
	return c
}

// meet takes over what the other side said about itself.
func (c *Conn) meet(h hello) {
	c.mtu = min(c.cfg.MTU, h.mtu)
	c.records, c.bytes = h.records, h.bytes
}

// Established tells whether the handshake is done.
func (c *Conn) Established() bool { return c.state == open }

// Err is why the connection has ended, nil while it lives.
func (c *Conn) Err() error { return c.err }

// Full tells whether the peer speaks more than the plain header.
func (c *Conn) Full() bool { return c.full }

// RTT is the smoothed round-trip time, 0 if none was measured.
func (c *Conn) RTT() time.Duration { return c.srtt }

// Queued is how many bytes wait to be sent or to be acknowledged.
func (c *Conn) Queued() int { return c.queued }

// Waiting is how many bytes of them wait: what is in flight is bounded by the windows.
func (c *Conn) Waiting() int { return c.waiting }

// Unsettled tells whether something is in flight, waits to be sent, or was received
// and not settled.
func (c *Conn) Unsettled() bool { return c.queued > 0 || c.busyReceiving() }

func (c *Conn) busyReceiving() bool {
	if c.first.expect-1 != c.first.acked {
		return true
	}
	for _, ch := range c.more {
		if ch.expect-1 != ch.acked {
			return true
		}
	}
	return false
}

// Close says goodbye with the next Flush. Nothing more is taken or sent.
func (c *Conn) Close() {
	if c.err != nil {
		return
	}
	opened := c.state == open
	c.fail(ErrClosed)
	if opened {
		c.bye, c.state = true, leaving
	}
}

// Gone tells whether nothing is left to be done after the end: the goodbye was
// answered, or said often enough.
func (c *Conn) Gone() bool { return c.state == dead && !c.bye }

// mostByes is how often goodbye is said.
const mostByes = 5

// byeTime is when it is said again.
func (c *Conn) byeTime() int64 { return c.progress + int64(min(c.rto<<c.byes, c.cfg.MaxRTO)) }

// answers tells whether a datagram that came after the end is the peer's goodbye.
func (c *Conn) answers(b []byte) bool {
	h, ok := parse(b)
	if !ok || Kind(h.kind) != Heartbeat || h.seq != c.cookie {
		return false
	}
	payload := b[HeaderSize : HeaderSize+h.size]
	if c.full && (len(payload) < 8 || binary.BigEndian.Uint64(payload) != c.connection) {
		return false
	}
	return bytes.HasSuffix(payload, goodbye)
}

// fail ends the connection.
func (c *Conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err, c.state = err, dead
	c.release()
}

// release gives back every packet.
func (c *Conn) release() {
	c.first.release(c)
	for _, ch := range c.more {
		ch.release(c)
	}
	c.flight, c.lost = list{}, list{}
	c.inFlight, c.packets, c.aloft, c.queued, c.waiting, c.held, c.runs, c.parts = 0, 0, 0, 0, 0, 0, 0, 0
	c.begun, c.ready, c.line, c.due, c.more, c.spent = 0, nil, nil, nil, nil, nil // what is lent is left to the collector
}

// channel finds a channel and makes it if the peer may have one more; nil if not.
func (c *Conn) channel(number uint8) *channel {
	if number == 0 {
		return &c.first
	}
	ch := c.more[number]
	if ch == nil && len(c.more)+1 < c.cfg.Channels {
		if c.more == nil {
			c.more = map[uint8]*channel{}
		}
		ch = &channel{}
		ch.init(c, number)
		c.more[number] = ch
	}
	return ch
}

// Beat sends a heartbeat with the next Flush. It is answered, which measures the
// round trip and shows that the peer is there.
func (c *Conn) Beat() { c.sendBeat = c.state == open }

// Receive takes one datagram. An error is one of the connection's, which is over, or
// ErrMalformed or ErrStranger, which change nothing.
func (c *Conn) Receive(now int64, b []byte) error {
	if c.err != nil {
		if c.state == leaving && c.answers(b) {
			c.state = dead
		}
		return c.err
	}
	all := b
	for len(b) > 0 {
		h, ok := parse(b)
		if !ok {
			c.counters.Malformed++
			c.endAcks(now)
			return ErrMalformed
		}
		size := HeaderSize + h.size
		payload := b[HeaderSize:size:size]
		kind := Kind(h.kind & kindMask)
		switch {
		case kind == Heartbeat:
			if err := c.heartbeat(now, h, payload, all); err != nil {
				return err
			}
		case c.state < open:
		case kind == Ack:
			c.acknowledged(now, h, payload)
		case kind <= Event:
			n, err := c.data(h, payload, b)
			if err != nil {
				c.fail(err)
				return err
			}
			size = n
		}
		if c.err != nil {
			return c.err
		}
		b = b[size:]
	}
	if c.state >= open {
		c.lastIn = now
	}
	c.endAcks(now)
	return nil
}

// goodbye ends the payload of the heartbeat that closes a connection.
var goodbye = []byte("bye")

// heartbeat takes a heartbeat. With a full peer it carries the connection's id, so
// that nobody else can send one.
func (c *Conn) heartbeat(now int64, h header, payload, all []byte) error {
	if hi, ok := parseHello(payload); ok {
		return c.handshake(now, h.seq, hi)
	}
	if c.state < open {
		return nil
	}
	if c.full {
		if len(payload) < 8 || binary.BigEndian.Uint64(payload) != c.connection {
			if c.epochKnown() && now-c.probedAt >= int64(c.rto) {
				c.probe, c.probedAt = true, now // perhaps the peer has forgotten us
			}
			return nil
		}
		payload = payload[8:]
	}
	if string(payload) == string(goodbye) && h.seq == c.cookie {
		c.fail(ErrGoodbye)
		c.bye = true // so that the peer need not say it again
		return ErrGoodbye
	}
	c.lastIn = now
	switch {
	case (h.seq-c.cookie)&serverBeats == c.side(): // an answer
		if c.beat != 0 && h.seq == c.beat {
			c.beat = 0
			c.measure(time.Duration(now - c.beatAt))
		}
	case len(c.echoes) < maxEchoes:
		c.echoes, c.tell = append(c.echoes, h.seq), true
	}
	return nil
}

// serverBeats is the bit by which the server's heartbeats are told from the client's:
// what comes back with one's own is an answer, and is not answered again.
const serverBeats = 1 << 31

// side is that bit of one's own heartbeats.
func (c *Conn) side() uint32 {
	if c.token == 0 {
		return serverBeats
	}
	return 0
}

// epochKnown tells that this is a client's end which was let in.
func (c *Conn) epochKnown() bool { return c.state == open && c.token != 0 }

// handshake takes a step of the full handshake.
func (c *Conn) handshake(now int64, seq uint32, h hello) error {
	if client := c.state < open || c.token != 0; client {
		c.greeted = c.answered(now, seq, h)
		return c.err
	}
	switch {
	case h.step != stepHello && h.step != stepConnect:
	case h.connection != c.connection:
		return ErrStranger
	default:
		c.welcome = true // it did not hear, or asks whether we know it
	}
	return nil
}

// answered takes the server's part of the handshake, at the client. It returns when
// the next step was due.
func (c *Conn) answered(now int64, seq uint32, h hello) int64 {
	switch {
	case h.connection != c.connection:
	case h.step == stepChallenge && c.state == open:
		// A late one from the beginning, or the peer has forgotten us: ask first.
		switch {
		case seq == c.cookie && h.token == c.token:
		case c.asked:
			c.fail(ErrRestarted)
		default:
			c.probe = true
		}
	case h.step == stepChallenge && c.state < open:
		c.cookie, c.token, c.state = seq, h.token, connecting
		c.welcome, c.tries = true, 0
		return now
	case h.step == stepWelcome && c.state == connecting && seq == c.cookie:
		c.state, c.epoch = open, h.token
		c.meet(h)
		c.first.init(c, 0)
		for _, ch := range c.more {
			ch.reinit(c)
		}
		c.lastIn, c.progress, c.welcome = now, now, false
		c.measure(time.Duration(now - c.greeted))
	case h.step == stepWelcome && c.state == open && h.token != c.epoch:
		c.fail(ErrRestarted)
	case h.step == stepWelcome && c.state == open:
		c.asked = false // it knows us
	}
	return c.greeted
}
