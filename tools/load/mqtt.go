package load

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MQTT is version 3.1.1 (OASIS standard, 2014) with QoS 0 only.
type MQTT struct {
	// User and Password are sent in CONNECT where User is not empty.
	User, Password string
	// ClientPrefix begins every client identifier. Default "weft-load".
	ClientPrefix string
}

// Packet types with the flags that the standard fixes (section 2.2).
const (
	mqttConnect    = 0x10
	mqttConnAck    = 0x20
	mqttPublish    = 0x30
	mqttSubscribe  = 0x82
	mqttSubAck     = 0x90
	mqttDisconnect = 0xe0
)

// Name is "mqtt".
func (*MQTT) Name() string { return "mqtt" }

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
	if p.Role != RoleSubscriber || len(p.Subscribe) == 0 {
		return in.buf, nil
	}
	subscribe := []byte{0, 1}
	for _, filter := range p.Subscribe {
		subscribe = append(appendString(subscribe, filter), 0)
	}
	if _, err := rw.Write(appendPacket(nil, mqttSubscribe, subscribe)); err != nil {
		return nil, fmt.Errorf("sending SUBSCRIBE: %w", err)
	}
	body, err = in.packet(mqttSubAck)
	if err != nil {
		return nil, fmt.Errorf("waiting for SUBACK: %w", err)
	}
	for _, code := range body[min(2, len(body)):] {
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
	body := append(appendString(nil, "MQTT"), 4, flags, 0, 0)
	body = appendString(body, fmt.Sprintf("%s-%s-%d", prefix, p.Role, p.Index))
	if m.User != "" {
		body = appendString(appendString(body, m.User), m.Password)
	}
	return appendPacket(nil, mqttConnect, body)
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

// Append writes PUBLISH.
func (*MQTT) Append(dst []byte, p Publication) ([]byte, error) {
	if len(p.Topic) > 0xffff || len(p.Payload) > maxUnit {
		return dst, fmt.Errorf("%w: topic or payload too long", ErrProtocol)
	}
	dst = appendLength(append(dst, mqttPublish), 2+len(p.Topic)+len(p.Payload))
	return append(appendString(dst, p.Topic), p.Payload...), nil
}

// Cutter reads PUBLISH.
func (*MQTT) Cutter() Cutter {
	c := &cutter{shaped: true}
	c.parse = func(b []byte) (Span, int, bool, error) {
		head, body, err := mqttLength(b)
		if err != nil || head == 0 || len(b) < head+body {
			return Span{}, 0, false, err
		}
		total := head + body
		if b[0]&0xf0 != mqttPublish {
			return Span{}, total, false, nil
		}
		if body < 2 {
			return Span{}, 0, false, fmt.Errorf("%w: PUBLISH of %d bytes", ErrProtocol, body)
		}
		at := head + 2 + int(binary.BigEndian.Uint16(b[head:]))
		if b[0]&0x06 != 0 {
			at += 2 // packet identifier
		}
		if at > total {
			return Span{}, 0, false, fmt.Errorf("%w: PUBLISH whose topic is longer than the packet", ErrProtocol)
		}
		return Span{at, total - at}, total, true, nil
	}
	return c
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
