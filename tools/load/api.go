package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// API is weft's API by the Connect protocol over HTTP/1.1 (connectrpc.com/docs/protocol),
// with protobuf bodies: publishers call Messages.Publish, in Request mode
// Messages.Request; subscribers read Messages.Subscribe.
type API struct {
	// Ask calls Request instead of Publish.
	Ask bool
	// Token is shown as a bearer token, empty for none.
	Token string
	// Host is what the Host header says; empty is localhost.
	Host string
	// Priority and QoS are those of every message.
	Priority, QoS uint8
	// Wait is how long weft waits for an answer to each request; 0 is its own default.
	Wait time.Duration
}

// The calls, and the fields of their messages that are written and read here
// (runtime/admin/proto/weft/v1/messages.proto).
const (
	apiPublish   = "/weft.v1.Messages/Publish"
	apiRequest   = "/weft.v1.Messages/Request"
	apiSubscribe = "/weft.v1.Messages/Subscribe"

	apiTopic, apiPayload      = 1, 3
	apiBytes                  = 2 // Encoding
	apiMessageText            = 4
	apiUnderWay               = 64 // requests on one connection that wait for their answers
	apiEnvelope               = 5  // flags, length
	apiEndOfStream       byte = 2
)

// Name is "api".
func (*API) Name() string { return "api" }

// Text is false.
func (*API) Text() bool { return false }

// Credit implements crediting.
func (*API) Credit() uint64 { return apiUnderWay }

// Open implements opener: a subscriber's connection holds the body of an answer.
func (a *API) Open(conn net.Conn, p Peer) (net.Conn, error) {
	if p.Role != RoleSubscriber {
		return conn, nil
	}
	var body []byte
	for _, pattern := range p.Subscribe {
		body = protowire.AppendString(protowire.AppendTag(body, 1, protowire.BytesType), pattern)
	}
	body = protowire.AppendVarint(protowire.AppendTag(body, 2, protowire.VarintType), 65536)
	body = protowire.AppendVarint(protowire.AppendTag(body, 3, protowire.VarintType), apiBytes)
	envelope := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	if _, err := conn.Write(a.post(nil, apiSubscribe, "application/connect+proto", append(envelope, body...))); err != nil {
		return nil, fmt.Errorf("asking to subscribe: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 64<<10), nil) //nolint:bodyclose // it is read until the connection ends
	if err != nil {
		return nil, fmt.Errorf("waiting for the subscription: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return nil, fmt.Errorf("%w: %s: %s", ErrProtocol, answer.Status, bytes.TrimSpace(text))
	}
	return &bodyConn{conn, answer.Body}, nil
}

// bodyConn reads the body of an answer.
type bodyConn struct {
	net.Conn
	body io.Reader
}

func (c *bodyConn) Read(b []byte) (int, error) { return c.body.Read(b) }

// Handshake waits for the confirmation of a subscription.
func (a *API) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	if p.Role != RoleSubscriber {
		return nil, nil
	}
	in := &reader{from: rw}
	for {
		_, body, n, err := apiCutEnvelope(in.buf)
		switch {
		case err != nil:
			return nil, err
		case n > 0 && len(body) == 0:
			return nil, fmt.Errorf("%w: the subscription is not confirmed", ErrProtocol)
		case n > 0:
			return in.buf[n:], nil
		}
		if err := in.more(); err != nil {
			return nil, fmt.Errorf("waiting for the subscription: %w", err)
		}
	}
}

// post appends a request.
func (a *API) post(dst []byte, path, kind string, body []byte) []byte {
	host := a.Host
	setDefault(&host, "localhost")
	dst = append(dst, "POST "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\nConnect-Protocol-Version: 1\r\nContent-Type: "...)
	dst = append(dst, kind...)
	if a.Token != "" {
		dst = append(append(dst, "\r\nAuthorization: Bearer "...), a.Token...)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// Append writes one call.
func (a *API) Append(dst []byte, p Publication) ([]byte, error) {
	body := make([]byte, 0, 64+len(p.Topic)+len(p.Payload))
	body = protowire.AppendString(protowire.AppendTag(body, apiTopic, protowire.BytesType), p.Topic)
	priority, path := protowire.Number(7), apiPublish
	if a.Ask {
		priority, path = 6, apiRequest
	}
	number := func(field protowire.Number, v uint64) {
		if v > 0 {
			body = protowire.AppendVarint(protowire.AppendTag(body, field, protowire.VarintType), v)
		}
	}
	number(priority, uint64(a.Priority))
	number(priority+1, uint64(a.QoS))
	if a.Ask {
		number(9, apiBytes)
		if a.Wait > 0 {
			wait := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(a.Wait/time.Second))
			wait = protowire.AppendVarint(protowire.AppendTag(wait, 2, protowire.VarintType), uint64(a.Wait%time.Second))
			body = protowire.AppendBytes(protowire.AppendTag(body, 8, protowire.BytesType), wait)
		}
	}
	body = protowire.AppendBytes(protowire.AppendTag(body, apiPayload, protowire.BytesType), p.Payload)
	return a.post(dst, path, "application/proto", body), nil
}

// Cutter reads answers to calls, and the events of a subscription, told apart by how
// they begin: an envelope's flags are 0 or 2.
func (a *API) Cutter() Cutter {
	c := &cutter{}
	c.parse = func(b []byte) (Span, int, bool, error) {
		if b[0] < ' ' {
			return apiEvent(b)
		}
		status, body, n, err := cutHTTP(b)
		if err != nil || n == 0 {
			return Span{}, 0, false, err
		}
		c.acked++
		if status != http.StatusOK {
			c.refuse(apiError(status, body))
			return Span{0, 0}, n, a.Ask, nil
		}
		if !a.Ask {
			if dropped, ok := apiField(body, 3); ok && len(dropped) > 0 {
				c.refuse("dropped: " + string(dropped))
			}
			return Span{}, n, false, nil
		}
		message, _ := apiField(body, 1)
		payload := apiBody(message)
		return Span{offsetIn(b, payload), len(payload)}, n, true, nil
	}
	return c
}

// apiError says what a call was refused for.
func apiError(status int, body []byte) string {
	var e struct{ Code, Message string }
	if json.Unmarshal(body, &e) == nil && e.Code != "" {
		return e.Code + ": " + e.Message
	}
	return "HTTP " + strconv.Itoa(status)
}

// apiEvent reads one event of a subscription.
func apiEvent(b []byte) (Span, int, bool, error) {
	flags, body, n, err := apiCutEnvelope(b)
	switch {
	case err != nil || n == 0:
		return Span{}, 0, false, err
	case flags&apiEndOfStream != 0:
		return Span{}, 0, false, fmt.Errorf("%w: the subscription ends: %.200s", ErrProtocol, body)
	}
	message, ok := apiField(body, 2)
	if !ok {
		return Span{}, n, false, nil
	}
	payload := apiBody(message)
	return Span{offsetIn(b, payload), len(payload)}, n, true, nil
}

func apiCutEnvelope(b []byte) (flags byte, body []byte, n int, err error) {
	if len(b) < apiEnvelope {
		return 0, nil, 0, nil
	}
	size := binary.BigEndian.Uint32(b[1:])
	if size > maxUnit || b[0]&1 != 0 {
		return 0, nil, 0, fmt.Errorf("%w: an envelope that begins % x", ErrProtocol, b[:apiEnvelope])
	}
	if n = apiEnvelope + int(size); len(b) < n {
		return 0, nil, 0, nil
	}
	return b[0], b[apiEnvelope:n], n, nil
}

// apiBody is the payload of a Message, in whatever form.
func apiBody(message []byte) []byte {
	if payload, ok := apiField(message, apiPayload); ok {
		return payload
	}
	text, _ := apiField(message, apiMessageText)
	return text
}

// apiField is the bytes of a message's field.
func apiField(b []byte, want protowire.Number) ([]byte, bool) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		b = b[n:]
		if number == want && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			return v, n >= 0
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil, false
		}
		b = b[n:]
	}
	return nil, false
}
