package load

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// MQTT is version 3.1.1 (OASIS standard, 2014) or 5.0 (2019). At QoS 1 and 2 both ends
// acknowledge as the standard asks. A publisher keeps to the server's receive maximum
// in version 5, and has at most mqttUnderWay messages unacknowledged in version 3.1.1.
type MQTT struct {
	// Version is 5, or 4 for 3.1.1, which 0 stands for.
	Version uint8
	// QoS is that of every message and of every subscription: 0, 1 or 2.
	QoS uint8

	// User and Password are sent in CONNECT where User is not empty.
	User, Password string
	// ClientPrefix begins every client identifier. Default "weft-load".
	ClientPrefix string

	// receive is the least receive maximum that a server has told, 0 for none.
	receive atomic.Uint32
}

// mqttUnderWay is well below the 65,535 packet identifiers.
const mqttUnderWay = 16 << 10

// five tells whether packets have properties.
func (m *MQTT) five() bool { return m.Version == 5 }

// Credit implements crediting.
func (m *MQTT) Credit() uint64 {
	if m.QoS == 0 {
		return 0
	}
	if n := m.receive.Load(); n > 0 {
		return min(uint64(n), mqttUnderWay)
	}
	return mqttUnderWay
}

// Packet types with the flags that the standard fixes (section 2.2).
const (
	mqttConnect    = 0x10
	mqttConnAck    = 0x20
	mqttPublish    = 0x30
	mqttPubAck     = 0x40
	mqttPubRec     = 0x50
	mqttPubRel     = 0x62
	mqttPubComp    = 0x70
	mqttSubscribe  = 0x82
	mqttSubAck     = 0x90
	mqttDisconnect = 0xe0
)

// Name is "mqtt" or "mqtt5".
func (m *MQTT) Name() string {
	if m.five() {
		return "mqtt5"
	}
	return "mqtt"
}

// Text is false: a packet has a length.
func (*MQTT) Text() bool { return false }

// Handshake connects with a clean session and without keep-alive, subscribes, and
// waits for both answers.
func (m *MQTT) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	in := &reader{from: rw}
	if _, err := rw.Write(m.connect(p)); err != nil {
		return nil, fmt.Errorf("sending CONNECT: %w", err)
	}
	body, err := in.packet(mqttConnAck)
	if err != nil {
		return nil, fmt.Errorf("waiting for CONNACK: %w", err)
	}
	if len(body) < 2 || body[1] != 0 {
		return nil, fmt.Errorf("%w: CONNACK % x refuses the connection", ErrProtocol, body)
	}
	if m.five() {
		if err := m.allowed(body[2:]); err != nil {
			return nil, err
		}
	}
	if p.Role != RoleSubscriber || len(p.Subscribe) == 0 {
		return in.buf, nil
	}
	subscribe := []byte{0, 1}
	if m.five() {
		subscribe = append(subscribe, 0) // no properties
	}
	for _, filter := range p.Subscribe {
		subscribe = append(appendString(subscribe, filter), m.QoS)
	}
	if _, err := rw.Write(appendPacket(nil, mqttSubscribe, subscribe)); err != nil {
		return nil, fmt.Errorf("sending SUBSCRIBE: %w", err)
	}
	body, err = in.packet(mqttSubAck)
	if err != nil {
		return nil, fmt.Errorf("waiting for SUBACK: %w", err)
	}
	codes := body[min(2, len(body)):]
	if m.five() {
		if _, codes, err = mqttProperties(codes); err != nil {
			return nil, err
		}
	}
	for _, code := range codes {
		if code > 2 {
			return nil, fmt.Errorf("%w: SUBACK % x refuses a subscription", ErrProtocol, body)
		}
	}
	return in.buf, nil
}

func (m *MQTT) connect(p Peer) []byte {
	prefix := m.ClientPrefix
	setDefault(&prefix, "weft-load")
	flags := byte(0x02) // clean session
	if m.User != "" {
		flags |= 0xc0
	}
	body := appendString(nil, "MQTT")
	if m.five() {
		body = append(body, 5, flags, 0, 0, 0) // no properties
	} else {
		body = append(body, 4, flags, 0, 0)
	}
	body = appendString(body, fmt.Sprintf("%s-%s-%d", prefix, p.Role, p.Index))
	if m.User != "" {
		body = appendString(appendString(body, m.User), m.Password)
	}
	return appendPacket(nil, mqttConnect, body)
}

// allowed reads what the properties of CONNACK allow.
func (m *MQTT) allowed(b []byte) error {
	properties, _, err := mqttProperties(b)
	if err != nil {
		return err
	}
	n := packet.Properties(properties).Number(packet.ReceiveMaximum, math.MaxUint16)
	for {
		former := m.receive.Load()
		if former != 0 && former <= n || m.receive.CompareAndSwap(former, n) {
			return nil
		}
	}
}

// mqttProperties cuts the properties off the front of b.
func mqttProperties(b []byte) (properties, rest []byte, err error) {
	head, n, err := mqttLength(append([]byte{0}, b[:min(4, len(b))]...))
	switch {
	case err != nil:
		return nil, nil, err
	case head == 0 || len(b) < head-1+n:
		return nil, nil, fmt.Errorf("%w: properties longer than their packet", ErrProtocol)
	}
	return b[head-1 : head-1+n], b[head-1+n:], nil
}

// packet takes the next packet of a type off the buffer; others are skipped,
// but a message that comes before the answer is kept for the run.
func (r *reader) packet(kind byte) ([]byte, error) {
	at := 0
	for {
		head, body, err := mqttLength(r.buf[at:])
		switch {
		case err != nil:
			return nil, err
		case head == 0 || len(r.buf) < at+head+body:
			if err := r.more(); err != nil {
				return nil, err
			}
			continue
		}
		packet := r.buf[at : at+head+body]
		switch packet[0] & 0xf0 {
		case kind & 0xf0:
			got := append([]byte(nil), packet[head:]...)
			r.buf = append(r.buf[:at], r.buf[at+head+body:]...)
			return got, nil
		case mqttDisconnect:
			return nil, fmt.Errorf("%w: the server disconnects", ErrProtocol)
		}
		at += head + body
	}
}

// Append writes PUBLISH. The sequence id is the packet identifier.
func (m *MQTT) Append(dst []byte, p Publication) ([]byte, error) {
	if len(p.Topic) > 0xffff || len(p.Payload) > maxUnit {
		return dst, fmt.Errorf("%w: topic or payload too long", ErrProtocol)
	}
	more := 0
	if m.QoS > 0 {
		more += 2
	}
	if m.five() {
		more++
	}
	dst = appendLength(append(dst, mqttPublish|m.QoS<<1), 2+len(p.Topic)+more+len(p.Payload))
	dst = appendString(dst, p.Topic)
	if m.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(p.Seq))
	}
	if m.five() {
		dst = append(dst, 0) // no properties
	}
	return append(dst, p.Payload...), nil
}

// Cutter reads PUBLISH, and answers what has to be answered.
func (m *MQTT) Cutter() Cutter {
	c := &cutter{shaped: m.QoS == 0}
	c.parse = func(b []byte) (Span, int, bool, error) {
		head, body, err := mqttLength(b)
		if err != nil || head == 0 || len(b) < head+body {
			return Span{}, 0, false, err
		}
		total := head + body
		switch b[0] & 0xf0 {
		case mqttPublish:
			span, err := c.mqttPublish(b[:total], head, m.five())
			return span, total, true, err
		case mqttPubAck, mqttPubComp:
			c.mqttOutcome(b[head:total])
		case mqttPubRec:
			if len(b[head:total]) > 2 && b[head+2] >= 0x80 {
				c.mqttOutcome(b[head:total])
				break
			}
			return Span{}, total, false, c.mqttAnswer(mqttPubRel, b[head:total])
		case mqttPubRel & 0xf0:
			return Span{}, total, false, c.mqttAnswer(mqttPubComp, b[head:total])
		case mqttDisconnect:
			return Span{}, 0, false, fmt.Errorf("%w: the server disconnects: DISCONNECT % x", ErrProtocol, b[head:total])
		}
		return Span{}, total, false, nil
	}
	return c
}

// mqttOutcome notes that the server is done with a message.
func (c *cutter) mqttOutcome(b []byte) {
	c.acked++
	if len(b) > 2 && b[2] >= 0x80 { // a reason code of version 5
		c.refuse(fmt.Sprintf("reason 0x%02x", b[2]))
	}
}

// mqttPublish finds the payload of a PUBLISH and acknowledges it.
func (c *cutter) mqttPublish(b []byte, head int, five bool) (Span, error) {
	if len(b) < head+2 {
		return Span{}, fmt.Errorf("%w: PUBLISH of %d bytes", ErrProtocol, len(b)-head)
	}
	at, qos := head+2+int(binary.BigEndian.Uint16(b[head:])), b[0]>>1&3
	if qos > 0 {
		at += 2
	}
	if at > len(b) {
		return Span{}, fmt.Errorf("%w: PUBLISH whose topic is longer than the packet", ErrProtocol)
	}
	id := b[max(at-2, 0):]
	if five {
		_, rest, err := mqttProperties(b[at:])
		if err != nil {
			return Span{}, err
		}
		at = len(b) - len(rest)
	}
	span := Span{at, len(b) - at}
	switch qos {
	case 1:
		return span, c.mqttAnswer(mqttPubAck, id)
	case 2:
		return span, c.mqttAnswer(mqttPubRec, id)
	}
	return span, nil
}

// mqttAnswer answers a packet that begins with its identifier.
func (c *cutter) mqttAnswer(kind byte, b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("%w: a packet without its identifier", ErrProtocol)
	}
	c.replies = append(c.replies, kind, 2, b[0], b[1])
	return nil
}

// mqttLength reads a fixed header: how long it is and what it says is behind it.
// head is 0 if more bytes are needed.
func mqttLength(b []byte) (head, body int, err error) {
	for i := 1; i < len(b); i++ {
		if i > 4 {
			return 0, 0, fmt.Errorf("%w: remaining length of more than 4 bytes", ErrProtocol)
		}
		body |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return i + 1, body, nil
		}
	}
	return 0, 0, nil
}

func appendPacket(dst []byte, kind byte, body []byte) []byte {
	return append(appendLength(append(dst, kind), len(body)), body...)
}

func appendLength(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}
