package load

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Redis is Redis's publish and subscribe in RESP version 2 (redis.io, "Redis
// serialization protocol specification").
type Redis struct{}

// Name is "redis".
func (*Redis) Name() string { return "redis" }

// Text is false: a bulk string has a length.
func (*Redis) Text() bool { return false }

// Handshake subscribes; a topic with a wildcard (* ? [) becomes PSUBSCRIBE.
func (*Redis) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	if p.Role != RoleSubscriber || len(p.Subscribe) == 0 {
		return nil, nil
	}
	var out []byte
	for _, topic := range p.Subscribe {
		command := "SUBSCRIBE"
		if strings.ContainsAny(topic, "*?[") {
			command = "PSUBSCRIBE"
		}
		out = appendBulk(appendBulk(append(out, "*2\r\n"...), command), topic)
	}
	if _, err := rw.Write(out); err != nil {
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	in := &reader{from: rw}
	for left := len(p.Subscribe); left > 0; {
		_, n, _, err := redisParse(in.buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			if err := in.more(); err != nil {
				return nil, fmt.Errorf("waiting for %d subscriptions: %w", left, err)
			}
			continue
		}
		if bytes.Contains(in.buf[:n], []byte("subscribe\r\n")) {
			left--
		}
		in.buf = in.buf[n:]
	}
	return in.buf, nil
}

// Append writes PUBLISH.
func (*Redis) Append(dst []byte, p Publication) ([]byte, error) {
	dst = append(dst, "*3\r\n$7\r\nPUBLISH\r\n"...)
	return appendBulk(appendBulk(dst, p.Topic), p.Payload), nil
}

func appendBulk[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, s...)
	return append(dst, "\r\n"...)
}

// Cutter reads the messages of subscriptions; the integers that answer PUBLISH
// are skipped.
func (*Redis) Cutter() Cutter { return &cutter{shaped: true, parse: redisParse} }

// redisParse reads one reply: a line, or an array of bulk strings and integers
// whose last element is the payload if the first is message or pmessage.
func redisParse(b []byte) (payload Span, n int, message bool, err error) {
	head, at, err := redisLine(b)
	if err != nil || at == 0 {
		return Span{}, 0, false, err
	}
	switch head[0] {
	case '-':
		return Span{}, 0, false, fmt.Errorf("%w: the server says %s", ErrProtocol, head[1:])
	case ':', '+':
		return Span{}, at, false, nil
	case '*':
	default:
		return Span{}, 0, false, fmt.Errorf("%w: unexpected reply %.40q", ErrProtocol, head)
	}
	count, err := strconv.Atoi(string(head[1:]))
	if err != nil || count > 16 {
		return Span{}, 0, false, fmt.Errorf("%w: unexpected array %.40q", ErrProtocol, head)
	}
	for i := range count {
		line, used, err := redisLine(b[at:])
		if err != nil || used == 0 {
			return Span{}, 0, false, err
		}
		at += used
		if line[0] != '$' {
			continue
		}
		size, err := strconv.Atoi(string(line[1:]))
		if err != nil || size < 0 || size > maxUnit {
			return Span{}, 0, false, fmt.Errorf("%w: unexpected bulk string %.40q", ErrProtocol, line)
		}
		if len(b) < at+size+2 {
			return Span{}, 0, false, nil
		}
		payload = Span{at, size}
		if i == 0 {
			kind := string(b[at : at+size])
			message = kind == "message" || kind == "pmessage"
		}
		at += size + 2
	}
	return payload, at, message, nil
}

// redisLine is the line at the start of b and how many bytes it takes with its
// end; used is 0 if it is not whole.
func redisLine(b []byte) (line []byte, used int, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return nil, 0, tooLong(b, "a line")
	}
	if end == 0 {
		return nil, 0, fmt.Errorf("%w: an empty line", ErrProtocol)
	}
	return b[:end], end + 2, nil
}
