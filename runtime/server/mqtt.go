package server

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/router"
)

// MQTT 3.1.1 and 5.0. Two sessions stand behind a client. The connection is a session
// as any other's is: plugins see it open, speak and close, and what they subscribe it
// to ends with it. What MQTT calls a session outlives connections: it has the client's
// own subscriptions, what waits for it and what is under way (package mqtt); its id is
// that of a stay, and it lives on the loop that its client id chooses.
//
//	mqtt_connect.go     a client introduces itself
//	mqtt_publish.go     what it sends, and its acknowledgements
//	mqtt_deliver.go     what it gets
//	mqtt_subscribe.go   what it asks for
//	mqtt_session.go     how sessions end: wills, expiry, takeover

// mqttShared is what the MQTT listeners of all loops have in common.
type mqttShared struct {
	budget   *mqtt.Budget
	retained *mqtt.Retained
	groups   *mqtt.Shared
	// contextsLeft counts what plugins knew of clients that were away, and found no room.
	contextsLeft atomic.Uint64
	// retainedMost is how many topics may have a retained message.
	retainedMost int
}

// newMQTTShared makes it; nil if there is no MQTT listener. Where the process has one
// of a thing, the first listener's bounds hold.
func newMQTTShared(cfg *config.Config) *mqttShared {
	for i := range cfg.Listeners {
		if c := cfg.Listeners[i].MQTT; c != nil {
			return &mqttShared{
				budget:   mqtt.NewBudget(int64(c.Queue.Total)),
				retained: mqtt.NewRetained(mqtt.RetainedLimits{Messages: c.Retained.Messages, Bytes: int64(c.Retained.Size)}),
				groups:   mqtt.NewShared(0), retainedMost: c.Retained.Messages,
			}
		}
	}
	return nil
}

// mqttSetup is one listener's part of a setup.
type mqttSetup struct {
	*config.MQTT
	limits    mqtt.Limits
	longest   int // packet
	expiryMax uint32
	ttl       uint32        // seconds; of sessions whose clients cannot say how long they want
	sessions  *atomic.Int64 // of all loops
	// firm is the priority of what must not be dropped, where a full outbox drops what
	// is oldest: everything but messages of QoS 0.
	firm      uint8
	subscribe []*router.Template
	publish   []*router.Template
}

// newMQTT compiles a listener's configuration.
func newMQTT(cfg *config.Config, i int) (*mqttSetup, error) {
	c := &cfg.Listeners[i]
	o := &mqttSetup{
		MQTT: c.MQTT, longest: int(c.Limits.Frame), sessions: new(atomic.Int64),
		expiryMax: expirySeconds(c.MQTT.Session.ExpiryMax.Std()), ttl: expirySeconds(cfg.SessionTTL(c).Std()),
		limits: mqtt.Limits{
			Messages: c.MQTT.Queue.Messages, Bytes: int(c.MQTT.Queue.Size), Window: uint16(c.MQTT.Window), KeepQoS0: c.MQTT.Queue.QoS0,
		},
	}
	if c.Outbox.WhenFull == config.WhenFullPause {
		o.limits.Overrun = engine.HardFactor
	}
	if c.MQTT.Queue.WhenFull == config.WhenFullDropOldest {
		o.limits.Policy = mqtt.DropOldestFirst
	}
	if c.Outbox.WhenFull == config.WhenFullDropOldest {
		o.firm = 1
	}
	for _, list := range []struct {
		key   string
		texts []string
		to    *[]*router.Template
	}{{"subscribe", c.MQTT.Subscribe, &o.subscribe}, {"publish", c.MQTT.Publish, &o.publish}} {
		for _, text := range list.texts {
			t, err := router.PatternTemplate(text)
			if err != nil {
				at := "listeners." + c.Name + ".mqtt." + list.key
				return nil, fmt.Errorf("%s: %w (%s)", at, err, cfg.Place(at))
			}
			*list.to = append(*list.to, t)
		}
	}
	return o, nil
}

// expirySeconds is a time as MQTT tells it. What is less than a second is none.
func expirySeconds(d time.Duration) uint32 {
	return uint32(min(d/time.Second, time.Duration(mqtt.Forever)-1))
}

// mqttSpeaker speaks MQTT for one listener on one loop.
type mqttSpeaker struct {
	*mqttShared
	path     *path
	listener *listener
	setup    *mqttSetup
	store    *mqtt.Store
	clients  *mqtt.Clients
	away     *mqtt.Away
	counts   mqttCounts
	leaving  *peer          // whose connection has just ended
	behind   []*mqttSession // that have something to send and could not
	caught   []*mqttSession // room for the next of them
	pressed  []*mqttSession // for which publishers are held back
	looking  []*mqttSession // whose retained messages are still looked for
	stuck    []*mqttSession // that are behind in a log, and which ticks look after
	unstuck  []*mqttSession // room for the next of them
	looked   int            // in this turn: see maxLooked
	deafAt   int64          // since when a drain waits for acknowledgements; 0 for not yet
	ending   bool           // the loop is: connections end one after the other
	claims   map[mqtt.Key]*claimant
	early    map[*mqttConn][]byte // what came before CONNACK
	stamps   map[uint64]uint64    // of sessions' beginnings, among nodes
	taking   *keptOwn             // of the session that is about to begin; nil for a new one

	// Each call's, to be used again.
	connect     packet.Connect
	received    packet.Publish
	ack         packet.Ack
	subscribe   packet.Subscribe
	unsubscribe packet.Unsubscribe
	sending     packet.Publish
	properties  packet.Properties
	codes       []packet.Code
	identifiers []uint32
	alias       uint16 // in the PUBLISH that was encoded last; 0 for none
}

func newMQTTSpeaker(p *path, l *listener) speaker {
	shared := p.server.mqtt
	return &mqttSpeaker{
		mqttShared: shared, path: p, listener: l, setup: l.mqtt,
		store:   mqtt.NewStore(shared.budget),
		clients: mqtt.NewClients(0),
		away:    mqtt.NewAway(),
	}
}

// altered is told of a change of the listener's configuration. Sessions that are there
// keep the bounds with which they began.
func (s *mqttSpeaker) altered(l *listener) { s.listener, s.setup = l, l.mqtt }

// mqttPhase is how far a connection has come.
type mqttPhase uint8

const (
	mqttSilent   mqttPhase = iota // no CONNECT yet
	mqttClaiming                  // its session may be another node's
	mqttOpen
	mqttClosing
)

// mqttConn is one connection.
type mqttConn struct {
	session  *mqttSession // nil before CONNECT, and when another connection has it
	was      *mqttSession // then: for messages of this connection that are still on their way
	version  packet.Version
	phase    mqttPhase
	problems bool             // the client wants reason strings
	early    bool             // something came before CONNACK: see mqttSpeaker.early
	largest  uint32           // packet that the client takes; 0: any
	in       *mqtt.InAliases  // nil until the client sets one
	out      *mqtt.OutAliases // nil where the client allows none
	rights   *mqttRights      // nil: it may everything
}

// mqttSession is one client's session.
type mqttSession struct {
	state         *mqtt.Session
	peer          *peer        // nil while the client is away
	replay        *mqtt.Replay // nil while no retained messages are owed
	key           mqtt.Key
	start         mqtt.Start
	lagging       bool // in mqttSpeaker.behind
	pressed       bool // in mqttSpeaker.pressed
	looking       bool // in mqttSpeaker.looking
	counted       bool // in the budget, as it does not end with its connection
	id            uint64
	subscriptions []mqttSubscription
	context       *known     // by its last connection; nil for nothing
	moved         int64      // when it last acknowledged something, or got something to acknowledge
	kept          *keptState // nil if it does not outlive the process
}

// mqttSubscription is one of a client's subscriptions.
type mqttSubscription struct {
	filter string // as the client wrote it, $share/ included
	by     router.Subscriber
	shared bool // it made the session a member of a group; mqtt.shared may have changed since
}

// replaying tells whether retained messages are owed to the client.
func (s *mqttSession) replaying() bool {
	if s.replay != nil && !s.replay.Pending() {
		s.replay = nil
	}
	return s.replay != nil
}

func (s *mqttSession) conn() *mqttConn {
	if s.peer == nil {
		return nil
	}
	return s.peer.said.(*mqttConn)
}

// opened implements speaker: the client has a while to introduce itself.
func (s *mqttSpeaker) opened(from *peer) {
	from.said = &mqttConn{}
	from.conn.SetSilence(s.setup.ConnectWithin.Std())
}

// data implements speaker.
func (s *mqttSpeaker) data(from *peer, b []byte) (consumed, need int) {
	c := from.said.(*mqttConn)
	if c.early {
		s.later(from, c, b)
		return len(b), 0
	}
	for consumed < len(b) && c.phase != mqttClosing {
		if c.phase == mqttClaiming {
			s.later(from, c, b[consumed:])
			break
		}
		n, need, err := packet.Cut(b[consumed:], s.setup.longest)
		if err != nil {
			if c.phase == mqttSilent {
				err = stranger(b[consumed:], err)
			}
			s.fail(from, c, err)
			break
		}
		if n == 0 {
			return consumed, need
		}
		unit := b[consumed : consumed+n]
		if c.phase == mqttSilent {
			if moved := s.introduced(from, c, unit, b[consumed:]); moved {
				break
			}
		} else if err := s.take(from, c, unit); err != nil {
			s.fail(from, c, err)
		}
		consumed += n
	}
	return len(b), 0
}

// take deals with one packet.
func (s *mqttSpeaker) take(from *peer, c *mqttConn, unit []byte) error {
	t := packet.TypeOf(unit)
	s.counts.received[t]++
	if s.path.loop.Deaf() && !finishes(t) {
		return s.late(c, t, unit)
	}
	switch t {
	case packet.TypePublish:
		return s.published(from, c, unit)
	case packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp:
		return s.acknowledged(from, c, unit)
	case packet.TypeSubscribe:
		return s.subscribed(from, c, unit)
	case packet.TypeUnsubscribe:
		return s.unsubscribed(from, c, unit)
	case packet.TypePingreq:
		if err := packet.DecodePing(unit, c.version); err != nil {
			return err
		}
		s.say(from, packet.TypePingresp, packet.AppendPingresp)
		return nil
	case packet.TypeDisconnect:
		return s.disconnected(from, c, unit)
	case packet.TypeAuth:
		return violation(t, packet.ProtocolError, "MQTT-4.12.0-6", "there was no authentication method in CONNECT")
	case packet.TypeConnect:
		return violation(t, packet.ProtocolError, "MQTT-3.1.0-2", "a second CONNECT")
	}
	return violation(t, packet.ProtocolError, "4.13", "only a server sends this packet")
}

// finishes tells whether such packets end what has begun.
func finishes(t packet.Type) bool {
	switch t {
	case packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp, packet.TypePingreq, packet.TypeDisconnect:
		return true
	}
	return false
}

// late leaves what a client asks for that is only heard because its acknowledgements are
// waited for in a drain. It gets no answer: it asks again when weft, or another one, is
// there. What it will not ask for again is counted.
func (s *mqttSpeaker) late(c *mqttConn, t packet.Type, unit []byte) error {
	if t != packet.TypePublish {
		return nil
	}
	m := &s.received
	if err := m.Decode(unit, c.version, packet.FromClient); err != nil {
		return err
	}
	if m.QoS == 0 {
		s.path.ledger.In++
		s.path.ledger.Drop(delivery.Draining)
	}
	return nil
}

// say sends a packet that has nothing to say but itself.
func (s *mqttSpeaker) say(to *peer, t packet.Type, encode func([]byte) []byte) {
	p := s.path
	start := len(p.scratch)
	p.scratch = encode(p.scratch)
	s.send(to, t, p.scratch[start:])
}

// send sends what weft itself has to say. Who does not read its answers is not read
// from until it does.
func (s *mqttSpeaker) send(to *peer, t packet.Type, unit []byte) {
	if len(unit) == 0 {
		return
	}
	if c := to.said.(*mqttConn); c.largest != 0 && len(unit) > int(c.largest) {
		s.dismiss(to, c, packet.PacketTooLarge, "", engine.ReasonProtocol) // the client takes no such answer
		return
	}
	s.counts.sent[t]++
	priority := s.setup.firm
	if t == packet.TypePublish || t == packet.TypeDisconnect { // of QoS 0; behind everything
		priority = 0
	}
	s.path.answer(to, unit, priority)
}

// patient implements patient: a message is acknowledged when other loops have said
// what became of it there.
func (s *mqttSpeaker) patient() {}

// idle implements speaker. Clients of MQTT keep themselves alive.
func (s *mqttSpeaker) idle(*peer) {}

// find finds a session by its own id or by that of its connection.
func (s *mqttSpeaker) find(id uint64) *mqttSession {
	if isStay(id) {
		if st := s.path.stays.get(id); st != nil {
			return st.said
		}
		return nil
	}
	if c := s.path.loop.Conn(engine.ConnID(id)); c != nil {
		if from, ok := c.Value.(*peer); ok {
			if mc, ok := from.said.(*mqttConn); ok {
				return mc.session
			}
		}
	}
	return nil
}

// lossOf is why a message did not reach a session, as the ledger calls it.
func lossOf(o mqtt.Outcome) delivery.Reason {
	switch o {
	case mqtt.DropOffline:
		return delivery.SessionAway
	case mqtt.DropExpired:
		return delivery.Expired
	case mqtt.DropTooLarge:
		return delivery.TooLarge
	case mqtt.DropEnded, mqtt.DropRefused:
		return delivery.Closed
	}
	return delivery.SessionFull
}
