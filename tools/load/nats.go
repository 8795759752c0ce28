package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrProtocol is wrapped by every error about bytes that break a protocol, and
// by a server's refusal.
var ErrProtocol = errors.New("protocol error")

// NATS is the text protocol of NATS (docs.nats.io, "Client Protocol"): CONNECT,
// PUB, SUB, MSG, PING.
type NATS struct {
	// User and Password are sent in CONNECT where User is not empty.
	User, Password string
}

// Name is "nats".
func (*NATS) Name() string { return "nats" }

// Text is false: a payload has a length.
func (*NATS) Text() bool { return false }

// Handshake reads INFO, connects, subscribes and waits for the answer to a PING,
// which comes after the server has taken the subscriptions.
func (n *NATS) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	in := &reader{from: rw}
	greeting, err := in.line()
	if err != nil {
		return nil, fmt.Errorf("waiting for INFO: %w", err)
	}
	if !strings.HasPrefix(greeting, "INFO ") {
		return nil, fmt.Errorf("%w: expected INFO, got %.40q", ErrProtocol, greeting)
	}
	var out bytes.Buffer
	out.WriteString(`CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1","protocol":1,"name":"weft-load"`)
	if n.User != "" {
		fmt.Fprintf(&out, `,"user":%q,"pass":%q`, n.User, n.Password)
	}
	out.WriteString("}\r\n")
	if p.Role == RoleSubscriber {
		for i, subject := range p.Subscribe {
			fmt.Fprintf(&out, "SUB %s %d\r\n", subject, i+1)
		}
	}
	out.WriteString("PING\r\n")
	if _, err := rw.Write(out.Bytes()); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	for {
		line, err := in.line()
		switch {
		case err != nil:
			return nil, fmt.Errorf("waiting for PONG: %w", err)
		case line == "PONG":
			return in.buf, nil
		case strings.HasPrefix(line, "-ERR"):
			return nil, fmt.Errorf("%w: the server says %s", ErrProtocol, line)
		}
	}
}

// Append writes PUB.
func (*NATS) Append(dst []byte, p Publication) ([]byte, error) {
	dst = append(dst, "PUB "...)
	dst = append(dst, p.Topic...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(p.Payload)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, p.Payload...)
	return append(dst, "\r\n"...), nil
}

// Cutter reads MSG and answers PING.
func (*NATS) Cutter() Cutter {
	c := &cutter{shaped: true}
	c.parse = func(b []byte) (Span, int, bool, error) {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return Span{}, 0, false, tooLong(b, "a control line")
		}
		line := bytes.TrimSuffix(b[:end], []byte("\r"))
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")):
			size, err := natsSize(line)
			if err != nil {
				return Span{}, 0, false, err
			}
			total := end + 1 + size + len("\r\n")
			if len(b) < total {
				return Span{}, 0, false, nil
			}
			return Span{end + 1, size}, total, true, nil
		case bytes.Equal(line, []byte("PING")):
			c.replies = append(c.replies, "PONG\r\n"...)
		case bytes.HasPrefix(line, []byte("-ERR")):
			return Span{}, 0, false, fmt.Errorf("%w: the server says %s", ErrProtocol, line)
		}
		return Span{}, end + 1, false, nil
	}
	return c
}

// natsSize is the last word of "MSG subject sid [reply] size".
func natsSize(line []byte) (int, error) {
	size, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
	if err != nil || size < 0 || size > maxUnit {
		return 0, fmt.Errorf("%w: no size in %.80q", ErrProtocol, line)
	}
	return size, nil
}

// maxUnit bounds what the driver takes for one message or line.
const maxUnit = 64 << 20

func tooLong(b []byte, what string) error {
	if len(b) > 64<<10 {
		return fmt.Errorf("%w: %s of more than %d bytes", ErrProtocol, what, len(b))
	}
	return nil
}
