package server

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// violation is a fault that takes more than one packet to see.
func violation(t packet.Type, reason packet.Code, statement, text string) error {
	return &packet.Malformed{Reason: reason, Packet: t, Statement: statement, Text: text}
}

// fail ends a connection on which something came that may not come.
func (s *mqttSpeaker) fail(from *peer, c *mqttConn, err error) {
	reason, statement := packet.UnspecifiedError, ""
	var m *packet.Malformed
	if errors.As(err, &m) {
		reason, statement = m.Reason, m.Statement
	}
	s.counts.faults[reason]++
	s.path.offends(from, offenceFrame)
	s.path.server.crowd.Info("not as MQTT orders", "listener", s.listener.name, "remote", from.conn.Remote(), "client", clientOf(c),
		"reason", reason, "statement", statement, "error", err)
	text := ""
	if m != nil {
		text = m.Text
	}
	if c.phase == mqttSilent {
		s.refuse(from, c, reason, []byte(text), engine.ReasonProtocol)
		return
	}
	s.dismiss(from, c, reason, text, engine.ReasonProtocol)
}

// stranger adds to a fault in the first bytes of a connection what they look like.
func stranger(b []byte, err error) error {
	switch {
	case len(b) > 1 && b[0] == 0x16 && b[1] == 3: // a handshake record
		return fmt.Errorf("%w; it looks like TLS: give the listener a tls key, or let the client connect without", err)
	case bytes.HasPrefix(b, []byte("GET ")):
		return fmt.Errorf("%w; it looks like HTTP: for MQTT over WebSocket give a listener a websocket key", err)
	}
	return err
}

func clientOf(c *mqttConn) string {
	if c.session == nil {
		return ""
	}
	return c.session.key.ClientID
}

// refuse answers CONNECT with a reason and closes the connection. A client whose
// version is not known gets no answer.
func (s *mqttSpeaker) refuse(from *peer, c *mqttConn, reason packet.Code, text []byte, why engine.Reason) {
	c.phase = mqttClosing
	s.counts.refused[reason]++
	if c.version != 0 {
		answer := packet.Connack{Reason: reason}
		if c.problems {
			answer.Properties = s.reason(text)
		}
		p := s.path
		start := len(p.scratch)
		p.scratch = packet.AppendConnack(p.scratch, &answer, c.version)
		if c.largest != 0 && len(p.scratch)-start > int(c.largest) {
			answer.Properties = nil
			p.scratch = packet.AppendConnack(p.scratch[:start], &answer, c.version)
		}
		s.send(from, packet.TypeConnack, p.scratch[start:])
	}
	from.conn.CloseAfterFlush(why)
}

// dismiss closes a connection and says why, to those whom a server may tell.
func (s *mqttSpeaker) dismiss(from *peer, c *mqttConn, reason packet.Code, text string, why engine.Reason) {
	if c.phase != mqttClosing {
		s.bye(from, c, reason, text)
		from.conn.CloseAfterFlush(why)
	}
}

// bye sends the last packet of a connection.
func (s *mqttSpeaker) bye(from *peer, c *mqttConn, reason packet.Code, text string) {
	c.phase = mqttClosing
	if c.version == packet.V5 {
		d := packet.Disconnect{Reason: reason}
		if c.problems {
			d.Properties = s.reason([]byte(text))
		}
		p := s.path
		start := len(p.scratch)
		p.scratch = packet.AppendDisconnect(p.scratch, &d, packet.V5)
		if c.largest != 0 && len(p.scratch)-start > int(c.largest) {
			d.Properties = nil
			p.scratch = packet.AppendDisconnect(p.scratch[:start], &d, packet.V5)
		}
		s.send(from, packet.TypeDisconnect, p.scratch[start:])
	}
}

// maxReasonString is how long a reason string may be.
const maxReasonString = 256

// reason is the property for a text that says more than a code; it belongs to the
// next call.
func (s *mqttSpeaker) reason(text []byte) packet.Properties {
	if len(text) == 0 || len(text) > maxReasonString || !packet.ValidString(text) {
		return nil
	}
	s.properties = s.properties[:0].AppendBytes(packet.ReasonString, text)
	return s.properties
}
