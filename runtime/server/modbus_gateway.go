package server

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/modbus"
	"github.com/weftrun/weft/runtime/router"
)

// gatewayUnits lead a gateway's units to devices.
type gatewayUnits [256]gatewayTarget

type gatewayTarget struct {
	device string // "": nothing is there
	unit   byte   // that the device is asked for
}

// newGatewayUnits spells out what a listener says of its gateway; nil if nothing.
func newGatewayUnits(c *config.ListenerModbus) (*gatewayUnits, error) {
	if len(c.Gateway) == 0 {
		return nil, nil
	}
	g := &gatewayUnits{}
	put := func(key string, target config.ModbusTarget) error {
		from, to, err := c.Units(key)
		if err != nil {
			return fmt.Errorf("modbus.gateway.%s: %w", key, err)
		}
		for unit := from; unit <= to; unit++ {
			as := byte(unit)
			if target.Unit != nil {
				as = byte(*target.Unit)
			}
			g[unit] = gatewayTarget{target.Device, as}
		}
		return nil
	}
	const rest = "any"
	if target, ok := c.Gateway[rest]; ok {
		if err := put(rest, target); err != nil {
			return nil, err
		}
	}
	for key, target := range c.Gateway {
		if key == rest {
			continue
		}
		if err := put(key, target); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// forwarded takes a request of a gateway's client to its unit's device; false for any
// other message.
func (p *path) forwarded(m *abi.Message) bool {
	if m.Receipt == 0 || m.Flags&abi.FlagEmitted != 0 || int(m.Listener) >= len(p.setup.listeners) {
		return false
	}
	l := p.setup.listeners[m.Listener].modbus
	if l == nil || l.gateway == nil {
		return false
	}
	p.goPast()
	unit, ok := unitOf(m)
	if !ok { // a plugin has changed it
		p.drop(m, delivery.BadDestination)
		return true
	}
	target := l.gateway[unit]
	p.settled(m, p.toDevice(m, []byte(target.device), target.unit))
	return true
}

// toUpstream takes the message to a pool, or to a device that weft asks: then its
// payload is a request.
func (p *path) toUpstream(m *abi.Message, name []byte) int {
	if pool := p.server.pools.find(name); pool != nil {
		return p.toPool(m, pool, name)
	}
	unit := byte(1)
	if _, ok := m.Attrs.Get("unit"); ok {
		if unit, ok = unitOf(m); !ok {
			p.took(delivery.BadDestination)
			return 0
		}
	}
	return p.toDevice(m, name, unit)
}

// toDevice hands the request to the device's queue. What becomes of it comes back to
// the asking session's loop as a response.
func (p *path) toDevice(m *abi.Message, name []byte, unit byte) int {
	d := p.server.devices.find(name)
	if d == nil || len(m.Payload) == 0 {
		p.took(delivery.NoUpstream)
		return 0
	}
	a := &deviceAnswer{
		server: p.server, session: m.Session, seq: m.Seq, priority: m.Priority, qos: m.QoS,
		topic: answerTopic(m), attrs: bytes.Clone(m.Attrs), function: m.Payload[0],
	}
	err := d.client.Submit(&modbus.Call{Unit: unit, PDU: bytes.Clone(m.Payload), Done: a.done})
	switch {
	case errors.Is(err, modbus.ErrBusy):
		p.took(delivery.RequestBusy)
		return 0
	case err != nil:
		p.took(delivery.NoUpstream)
		return 0
	}
	p.asked, p.askedBy = m.Receipt, m.Session
	p.took(taken)
	return 1
}

// answerTopic is the topic of the answer to a message, for who asks by a protocol with
// topics: the one that it names, or the message's own.
func answerTopic(m *abi.Message) []byte {
	if topic, ok := m.Attrs.Get(admin.AttrResponseTopic); ok && router.ValidateTopic(topic) == nil {
		return bytes.Clone(topic)
	}
	return bytes.Clone(m.Topic)
}

// deviceAnswer is what a device answers, on its way back to who asked.
type deviceAnswer struct {
	server   *Server
	session  uint64
	seq      uint64
	priority uint8
	qos      uint8
	topic    []byte
	attrs    abi.Attributes
	function byte
	pdu      []byte
	tries    int
}

// done is called on the device's goroutine.
func (a *deviceAnswer) done(pdu []byte, err error) {
	switch {
	case errors.Is(err, modbus.ErrStopped), err == nil && pdu == nil:
		return // the process ends, or it was a broadcast
	case err != nil:
		pdu = modbus.AppendException(nil, a.function, modbus.ExceptionOf(err))
	}
	a.pdu = pdu
	if a.session == 0 || isAPI(a.session) && !isAsk(a.session) {
		return // nobody waits
	}
	a.hand()
}

// hand takes the answer to the loop of the asking session. A loop whose queue is full
// is asked again, for a while: until then whoever asked has given up.
func (a *deviceAnswer) hand() {
	const patience, pause = 200, 5 * time.Millisecond
	at := loopOf(a.session)
	if isAsk(a.session) {
		at = 0 // any loop will do
	}
	err := a.server.engine.Do(at, func() { a.server.paths[at].deviceAnswered(a) })
	switch a.tries++; {
	case err == nil:
	case errors.Is(err, engine.ErrBusy) && a.tries < patience:
		time.AfterFunc(pause, a.hand)
	default:
		a.server.devices.lost.Add(1)
	}
}

// deviceAnswered takes a device's answer to who asked.
func (p *path) deviceAnswered(a *deviceAnswer) {
	p.begin()
	p.ledger.In++
	m := abi.Message{
		Seq: a.seq, Time: p.now, Listener: apiListener, Type: abi.TypeResponse, Priority: a.priority, QoS: a.qos,
		Topic: a.topic, Attrs: a.attrs, Payload: a.pdu,
	}
	p.encoded.reset(abi.ChangesKnown)
	copies := 0
	if p.send(&m, a.session) {
		copies = 1
	}
	p.settled(&m, copies)
}
