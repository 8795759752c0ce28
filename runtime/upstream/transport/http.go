package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/upstream"
)

// HTTPOptions describe requests. All but TLS, Headers, Attributes and Check are
// required.
type HTTPOptions struct {
	Method string
	// Path and Query are the request's where the message has none of its own; Path is
	// unescaped, Query escaped.
	Path, Query string
	// Headers are set on every request, by name.
	Headers map[string]string
	// Attributes are the names of those that go along, as Weft-Attr-NAME.
	Attributes []string
	// ContentType is what the message is, unless its attribute content_type says.
	ContentType string
	// Taken tells whether a status code means that the message was taken, Later
	// whether it means that it was not and may be later.
	Taken, Later func(code int) bool
	// Again: a message may be sent again though the member may have acted on it.
	Again bool
	// TLS puts TLS under HTTP; it is asked for each connection to a host; nil: none.
	TLS func(host string) *tls.Config
	// Rest bounds for how long a member gets no request that answers with Retry-After
	// (RFC 9110, section 10.2.3); 0: that is not heeded.
	Rest time.Duration
	// Connections is how many there may be to a member, Idle for how long one is kept
	// without a request.
	Connections int
	Idle        time.Duration
	// ConnectTimeout bounds making one, TLS included.
	ConnectTimeout time.Duration
	// Answer is how many bytes an answer's body may have.
	Answer int64
	// Check is the path that Check asks for; empty is "/".
	Check string
}

// The headers of a request that say what its message is.
const (
	headerID        = "Message-Id"
	headerTopic     = "Message-Topic"
	headerAttribute = "Weft-Attr-"
)

// AttrContentType is the attribute that says what a payload is.
const AttrContentType = "content_type"

// AttrStatus is an answer's attribute with the HTTP status code.
const AttrStatus = "status"

// traceHeaders are the attributes, and headers, of W3C Trace Context.
var traceHeaders = [...]string{"traceparent", "tracestate"}

// HTTP is a Transport: a request a message, whose body is the payload.
type HTTP struct {
	options HTTPOptions
	client  *http.Client
	wire    *http.Transport
	open    atomic.Int64
	opened  atomic.Uint64
	garbled atomic.Uint64
}

// NewHTTP makes a transport.
func NewHTTP(o HTTPOptions) *HTTP {
	t := &HTTP{options: o}
	t.wire = &http.Transport{
		Proxy:              nil, // members are named by the configuration, not by the environment
		DialContext:        t.dial,
		DialTLSContext:     t.dialTLS,
		DisableCompression: true, // the payload is the payload
		MaxConnsPerHost:    o.Connections, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: o.Idle,
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        16 << 10, ReadBufferSize: 16 << 10,
	}
	t.client = &http.Client{Transport: t.wire, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return t
}

func (t *HTTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: t.options.ConnectTimeout, KeepAlive: 15 * time.Second}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	t.open.Add(1)
	t.opened.Add(1)
	return &countedConn{Conn: c, open: &t.open}, nil
}

// dialTLS asks for the settings anew: their files may have changed.
func (t *HTTP) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := t.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.options.ConnectTimeout)
	defer cancel()
	host, _, _ := net.SplitHostPort(address)
	secure := tls.Client(c, t.options.TLS(host))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err // as it is: net/http looks at it
	}
	return secure, nil
}

// countedConn counts itself as long as it is open.
type countedConn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// Send implements Transport.
func (t *HTTP) Send(ctx context.Context, to *upstream.Member, m *Message) (Answer, error) {
	var connected atomic.Bool // nothing has left before
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	r, err := t.request(ctx, to, m)
	if err != nil {
		return Answer{}, upstream.Final(upstream.As(upstream.Declined, err))
	}
	response, err := t.client.Do(r)
	if err != nil {
		o := httpOutcome(err)
		if o == upstream.Garbled {
			t.garbled.Add(1)
		}
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err // who is called is said elsewhere, and a query may hold a secret
		}
		return Answer{}, maybe(t.options.Again || !connected.Load(), o, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, t.options.Answer+1))
	code := response.StatusCode
	bare := Answer{Status: code}
	switch {
	case t.options.Taken(code) && !m.Asks():
		return bare, nil // what it says about it is not asked for
	case t.options.Taken(code) && err != nil:
		return bare, maybe(t.options.Again, httpOutcome(err), fmt.Errorf("the answer's body: %w", err))
	case t.options.Taken(code) && int64(len(body)) > t.options.Answer:
		t.garbled.Add(1)
		return bare, maybe(t.options.Again, upstream.Garbled, fmt.Errorf("%w: its body has more than %d bytes", ErrAnswer, t.options.Answer))
	case t.options.Taken(code):
		return Answer{Payload: body, Attrs: answerAttrs(response), Status: code}, nil
	}
	return bare, upstream.RestUntil(t.restOf(response), t.refusal(code, response.Status))
}

// refusal is the error that a status code means which is none of success.
func (t *HTTP) refusal(code int, status string) error {
	err := fmt.Errorf("status %.60s", status)
	switch {
	case t.options.Later(code):
		o := upstream.Failed
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			o = upstream.Busy
		}
		return upstream.As(o, err)
	case code >= 500 || code == http.StatusRequestTimeout:
		return maybe(t.options.Again, upstream.Failed, err)
	}
	return upstream.Final(upstream.As(upstream.Declined, fmt.Errorf("%w: %w", ErrRefused, err)))
}

// restOf is how long a member that does not take a message wants to be left alone, as
// far as it may; 0: it has not said.
func (t *HTTP) restOf(r *http.Response) time.Duration {
	text := r.Header.Get("Retry-After")
	if text == "" || t.options.Rest <= 0 || !t.options.Later(r.StatusCode) {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return min(time.Duration(min(seconds, uint64(maxRest/time.Second)))*time.Second, t.options.Rest)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), t.options.Rest)
}

// maxRest keeps seconds from overflowing.
const maxRest = 365 * 24 * time.Hour

// httpOutcome is how a request ended that has no response.
func httpOutcome(err error) upstream.Outcome {
	if o := upstream.Classify(err); o != upstream.Failed {
		return o
	}
	text := err.Error()
	if strings.Contains(text, "malformed HTTP") || strings.Contains(text, "chunk") || strings.Contains(text, "HTTP response to HTTPS") || strings.Contains(text, "Content-Length") {
		return upstream.Garbled
	}
	if record := (tls.RecordHeaderError{}); errors.As(err, &record) {
		return upstream.Garbled
	}
	return upstream.Failed
}

// request makes the request. Its body is a copy: net/http may still read it when the
// request has failed.
func (t *HTTP) request(ctx context.Context, to *upstream.Member, m *Message) (*http.Request, error) {
	at := url.URL{Scheme: "http", Host: to.Address(), Path: t.options.Path, RawQuery: t.options.Query}
	if t.options.TLS != nil {
		at.Scheme = "https"
	}
	if len(m.Path) > 0 {
		at.Path, at.RawQuery = string(m.Path), string(m.Query)
	}
	var body io.Reader
	if t.options.Method != http.MethodGet {
		body = bytes.NewReader(bytes.Clone(m.Payload))
	}
	r, err := http.NewRequestWithContext(ctx, t.options.Method, at.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	h := r.Header
	h.Set("User-Agent", "weft")
	h.Set("Content-Type", t.options.ContentType)
	if kind, ok := m.Attrs.Get(AttrContentType); ok && isHeaderValue(kind) {
		h.Set("Content-Type", string(kind))
	}
	if len(m.ID) > 0 && isHeaderValue(m.ID) {
		h.Set(headerID, string(m.ID))
	}
	if isHeaderValue(m.Topic) {
		h.Set(headerTopic, string(m.Topic))
	}
	for _, name := range t.options.Attributes {
		if value, ok := m.Attrs.Get(name); ok && isHeaderValue(value) {
			h.Set(headerAttribute+name, string(value))
		}
	}
	for _, name := range traceHeaders {
		if value, ok := m.Attrs.Get(name); ok && isHeaderValue(value) {
			h.Set(name, string(value))
		}
	}
	for name, value := range t.options.Headers {
		if strings.EqualFold(name, "user-agent") || strings.EqualFold(name, "content-type") {
			h.Del(name)
		}
		h.Set(name, value)
	}
	return r, nil
}

// isHeaderValue tells whether a value can be a header's: others are left out.
func isHeaderValue(value []byte) bool {
	for _, c := range value {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(value) > 0 && len(value) <= 4096
}

// answerAttrs is what a response says beside its body.
func answerAttrs(r *http.Response) abi.Attributes {
	var attrs abi.Attributes
	if kind := r.Header.Get("Content-Type"); kind != "" {
		attrs = attrs.AppendString(AttrContentType, kind)
	}
	for name, values := range r.Header {
		if rest, ok := strings.CutPrefix(name, headerAttribute); ok && rest != "" && len(attrs) < abi.MaxAttrs/2 {
			attrs = attrs.AppendString(strings.ToLower(rest), values[0])
		}
	}
	return attrs.AppendString(AttrStatus, fmt.Sprint(r.StatusCode))
}

// Check implements Transport: it asks for a page.
func (t *HTTP) Check(ctx context.Context, m *upstream.Member) error {
	at := url.URL{Scheme: "http", Host: m.Address(), Path: t.options.Check}
	if t.options.TLS != nil {
		at.Scheme = "https"
	}
	if path, query, ok := strings.Cut(t.options.Check, "?"); ok {
		at.Path, at.RawQuery = path, query
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "weft")
	response, err := t.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // the connection is used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("status %.60s", response.Status)
	}
	return nil
}

// Sweep implements Transport: net/http does it by itself.
func (t *HTTP) Sweep() {}

// Stats implements Transport.
func (t *HTTP) Stats() Stats {
	return Stats{Open: int(t.open.Load()), Opened: t.opened.Load(), Garbled: t.garbled.Load()}
}

// Close implements Transport.
func (t *HTTP) Close() { t.wire.CloseIdleConnections() }
