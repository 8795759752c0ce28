package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// WebSocket carries another protocol in WebSocket messages (RFC 6455), one message
// for each of its own.
type WebSocket struct {
	Inner Protocol
	// Path is where the server has it, with a query if it wants one. Default "/".
	Path string
	// Subprotocol is offered to the server; empty offers Inner's name.
	Subprotocol string
}

// Opcodes with the bit of the last fragment.
const (
	wsText   = 0x81
	wsBinary = 0x82
	wsClose  = 0x88
	wsPing   = 0x89
	wsPong   = 0x8A
)

// Name is the inner protocol's, with "ws+" before it.
func (w *WebSocket) Name() string { return "ws+" + w.Inner.Name() }

// Text is the inner protocol's.
func (w *WebSocket) Text() bool { return w.Inner.Text() }

// Credit is the inner protocol's.
func (w *WebSocket) Credit() uint64 {
	if c, ok := w.Inner.(crediting); ok {
		return c.Credit()
	}
	return 0
}

// Handshake asks for the upgrade, then does the inner protocol's.
func (w *WebSocket) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	subprotocol := w.Subprotocol
	setDefault(&subprotocol, w.Inner.Name())
	rest, err := upgrade(rw, w.Path, subprotocol)
	if err != nil {
		return nil, err
	}
	s := &wsStream{conn: rw, raw: rest, text: w.Text()}
	rest, err = w.Inner.Handshake(s, p)
	if err != nil {
		return nil, err
	}
	// What the inner handshake has read too much goes back into a message.
	var again []byte
	if rest = append(rest, s.plain...); len(rest) > 0 {
		again = append(wsHeader(nil, wsBinary, len(rest), false), rest...)
	}
	return append(again, s.raw...), nil
}

// Append encodes one publication as a masked message. The mask is 0, so that the
// stamp in it can be patched; the server cannot take a shorter way for that.
func (w *WebSocket) Append(dst []byte, p Publication) ([]byte, error) {
	unit, err := w.Inner.Append(nil, p)
	if err != nil {
		return dst, err
	}
	return append(wsHeader(dst, w.opcode(), len(unit), true), unit...), nil
}

func (w *WebSocket) opcode() byte {
	if w.Text() {
		return wsText
	}
	return wsBinary
}

// wsHeader appends the header of a frame with a payload of so many bytes.
func wsHeader(dst []byte, first byte, n int, masked bool) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch {
	case n < 126:
		dst = append(dst, first, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, mask|127), uint64(n))
	}
	if masked {
		dst = append(dst, 0, 0, 0, 0)
	}
	return dst
}

// wsCut reads the header of a server's frame: its length, and that of the payload;
// head is 0 if b does not hold the whole frame.
func wsCut(b []byte) (head, payload int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	if b[0]&0x70 != 0 || b[1]&0x80 != 0 {
		return 0, 0, fmt.Errorf("%w: a WebSocket frame that begins % x", ErrProtocol, b[:2])
	}
	head, payload = 2, int(b[1])
	switch {
	case payload == 126 && len(b) >= 4:
		head, payload = 4, int(binary.BigEndian.Uint16(b[2:]))
	case payload == 127 && len(b) >= 10:
		n := binary.BigEndian.Uint64(b[2:])
		if n > maxUnit {
			return 0, 0, fmt.Errorf("%w: a WebSocket message of %d bytes", ErrProtocol, n)
		}
		head, payload = 10, int(n)
	case payload >= 126:
		return 0, 0, nil
	}
	if len(b) < head+payload {
		return 0, 0, nil
	}
	return head, payload, nil
}

// Cutter cuts messages, of which each holds one of the inner protocol's; pings are
// answered.
func (w *WebSocket) Cutter() Cutter {
	inner := w.Inner.Cutter()
	c := &cutter{shaped: true}
	if in, ok := inner.(*cutter); ok && !w.Text() {
		c.shaped = in.shaped // packets that are answered must be looked at
	}
	var spans []Span
	c.parse = func(b []byte) (Span, int, bool, error) {
		head, n, err := wsCut(b)
		if err != nil || head == 0 {
			return Span{}, 0, false, err
		}
		payload := b[head : head+n]
		switch b[0] {
		case wsPing:
			c.replies = append(wsHeader(c.replies, wsPong, n, true), payload...)
			return Span{}, head + n, false, nil
		case wsPong:
			return Span{}, head + n, false, nil
		case wsClose:
			return Span{}, 0, false, closedBy(payload)
		case wsText:
			return Span{head, n}, head + n, true, nil
		}
		var consumed int
		spans, consumed, err = inner.Cut(payload, spans[:0])
		switch {
		case err != nil:
			return Span{}, 0, false, err
		case consumed != n || len(spans) > 1:
			return Span{}, 0, false, fmt.Errorf("%w: a WebSocket message with %d messages and %d bytes more", ErrProtocol, len(spans), n-consumed)
		}
		if t, ok := inner.(telling); ok {
			c.outcomes = *t.told()
		}
		if reply := inner.Reply(); len(reply) > 0 {
			c.replies = append(wsHeader(c.replies, w.opcode(), len(reply), true), reply...)
		}
		if len(spans) == 0 {
			return Span{}, head + n, false, nil
		}
		return Span{head + spans[0].Off, spans[0].Len}, head + n, true, nil
	}
	return c
}

// closedBy is the error that a Close frame stands for.
func closedBy(payload []byte) error {
	if len(payload) < 2 {
		return errors.New("the server closed the WebSocket")
	}
	return fmt.Errorf("the server closed the WebSocket: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
}

// upgrade asks for a WebSocket and returns what came behind the answer.
func upgrade(rw io.ReadWriter, path, subprotocol string) ([]byte, error) {
	setDefault(&path, "/")
	host := "localhost"
	if conn, ok := rw.(net.Conn); ok {
		host = conn.RemoteAddr().String()
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\n\r\n"
	if _, err := io.WriteString(rw, request); err != nil {
		return nil, fmt.Errorf("asking for the WebSocket: %w", err)
	}
	in := bufio.NewReaderSize(rw, 16<<10)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, fmt.Errorf("waiting for the WebSocket: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return nil, fmt.Errorf("%w: no WebSocket: %s: %s", ErrProtocol, answer.Status, bytes.TrimSpace(text))
	}
	rest := make([]byte, in.Buffered())
	_, err = io.ReadFull(in, rest)
	return rest, err
}

// wsStream is the bytes inside an open WebSocket: each Write is a message, reads
// are the messages' payloads one after another. Lines of text end in LF.
type wsStream struct {
	conn  io.ReadWriter
	raw   []byte // read, and still wrapped
	plain []byte // unwrapped, and not read yet
	text  bool
}

func (s *wsStream) Write(b []byte) (int, error) {
	first := byte(wsBinary)
	if s.text {
		first = wsText
	}
	if _, err := s.conn.Write(append(wsHeader(nil, first, len(b), true), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (s *wsStream) Read(b []byte) (int, error) {
	for len(s.plain) == 0 {
		head, n, err := wsCut(s.raw)
		if err != nil {
			return 0, err
		}
		if head == 0 {
			var chunk [16 << 10]byte
			n, err := s.conn.Read(chunk[:])
			s.raw = append(s.raw, chunk[:n]...)
			if n == 0 && err != nil {
				return 0, err
			}
			continue
		}
		payload := s.raw[head : head+n]
		switch s.raw[0] {
		case wsPing:
			_, err = s.conn.Write(append(wsHeader(nil, wsPong, n, true), payload...))
		case wsClose:
			err = closedBy(payload)
		case wsText:
			s.plain = append(append(s.plain, payload...), '\n')
		case wsBinary:
			s.plain = append(s.plain, payload...)
		}
		if s.raw = s.raw[head+n:]; err != nil {
			return 0, err
		}
	}
	n := copy(b, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}

// webSocketConn is a connection whose bytes are those inside a WebSocket.
type webSocketConn struct {
	net.Conn
	stream *wsStream
}

func (c *webSocketConn) Read(b []byte) (int, error)  { return c.stream.Read(b) }
func (c *webSocketConn) Write(b []byte) (int, error) { return c.stream.Write(b) }

// DialedWebSocket makes a WebSocket of a new connection: what is written to the
// result goes out as messages, one for each Write; what is read are their payloads.
func DialedWebSocket(conn net.Conn, path, subprotocol string, text bool) (net.Conn, error) {
	rest, err := upgrade(conn, path, subprotocol)
	if err != nil {
		return nil, err
	}
	return &webSocketConn{conn, &wsStream{conn: conn, raw: rest, text: text}}, nil
}
