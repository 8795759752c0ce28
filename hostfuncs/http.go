package hostfuncs

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// HTTPGrant lets a plugin send HTTP requests.
type HTTPGrant struct {
	// Hosts is where to, each as ParseHost reads it; none is granted if empty.
	Hosts []string
	// Concurrency is how many calls the plugin may have under way at once, over
	// all its instances, 0 for DefaultHTTPConcurrency. A call ends when its
	// answer has been taken to the plugin.
	Concurrency int
	// Deadline is how long a call may take, 0 for DefaultHTTPDeadline; a
	// plugin can ask for less.
	Deadline time.Duration
	// Request and Response bound the bytes of a body, 0 for DefaultHTTPBody.
	Request, Response int64
}

// Defaults of an HTTPGrant, and the most that its deadline can be.
const (
	DefaultHTTPConcurrency = 16
	DefaultHTTPDeadline    = 5 * time.Second
	DefaultHTTPBody        = 64 << 10
	MaxHTTPDeadline        = time.Minute
	MaxHTTPConcurrency     = 1024
)

// httpFuncs is the HTTP of one plugin.
type httpFuncs struct {
	hosts       []HostPattern
	concurrency int64
	deadline    time.Duration
	request     int
	response    int
	shadow      bool
	client      *http.Client
	open        atomic.Int64 // calls under way
	begun       atomic.Uint64
	answered    atomic.Uint64
	failed      atomic.Uint64
	timeouts    atomic.Uint64
	denied      atomic.Uint64
	limited     atomic.Uint64
}

func newHTTPFuncs(g HTTPGrant, transport http.RoundTripper, shadow bool) (*httpFuncs, error) {
	f := &httpFuncs{shadow: shadow}
	for _, text := range g.Hosts {
		p, err := ParseHost(text)
		if err != nil {
			return nil, err
		}
		f.hosts = append(f.hosts, p)
	}
	if f.concurrency = int64(min(g.Concurrency, MaxHTTPConcurrency)); f.concurrency <= 0 {
		f.concurrency = DefaultHTTPConcurrency
	}
	if f.deadline = min(g.Deadline, MaxHTTPDeadline); f.deadline <= 0 {
		f.deadline = DefaultHTTPDeadline
	}
	body := func(n int64) int {
		if n <= 0 {
			n = DefaultHTTPBody
		}
		return int(min(n, abi.MaxHTTPBody))
	}
	f.request, f.response = body(g.Request), body(g.Response)
	f.client = &http.Client{Transport: transport, CheckRedirect: f.redirect}
	return f, nil
}

func (f *httpFuncs) register(r *registrar) {
	r.add("http_send", func(ctx context.Context, m api.Module, stack []uint64) {
		token, status := f.send(ctx, m, stack)
		switch status {
		case abi.StatusDenied:
			f.denied.Add(1)
		case abi.StatusLimit:
			f.limited.Add(1)
		}
		stack[0] = valueOr(int64(token), status)
	})
}

// send checks a request and begins the call.
func (f *httpFuncs) send(ctx context.Context, m api.Module, stack []uint64) (token uint64, status abi.Status) {
	calls, _ := ctx.Value(callsKey{}).(*Calls)
	if f.shadow || calls == nil || !calls.attached {
		return 0, abi.StatusDenied
	}
	var parts [4][]byte
	for i, limit := range [4]int{abi.MaxHTTPMethod, abi.MaxHTTPTarget, abi.MaxHTTPHeader, f.request} {
		if uint64(uint32(stack[2*i+1])) > uint64(limit) {
			return 0, abi.StatusLimit
		}
		b, ok := guestBytes(m, stack[2*i], stack[2*i+1])
		if !ok {
			return 0, abi.StatusInvalid
		}
		parts[i] = b
	}
	deadline := f.deadline
	if ms := int64(stack[8]); ms < 0 {
		return 0, abi.StatusInvalid
	} else if ms > 0 && ms < deadline.Milliseconds() {
		deadline = time.Duration(ms) * time.Millisecond
	}
	if f.open.Load() >= f.concurrency {
		return 0, abi.StatusLimit
	}
	request, status := f.newRequest(ctx, parts[0], parts[1], parts[2], parts[3])
	if status != abi.StatusOK {
		return 0, status
	}
	if f.open.Add(1) > f.concurrency {
		f.open.Add(-1)
		return 0, abi.StatusLimit
	}
	f.begun.Add(1)
	return calls.begin(f, request, deadline), abi.StatusOK
}

// newRequest makes the request; it holds copies of all bytes. The caller pays for the
// URL and for each field of the header.
func (f *httpFuncs) newRequest(ctx context.Context, method, address []byte, header abi.Attributes, body []byte) (*http.Request, abi.Status) {
	if len(method) == 0 {
		method = []byte(http.MethodGet)
	}
	if !isToken(method) || string(method) == http.MethodConnect {
		return nil, abi.StatusInvalid
	}
	pay(ctx, priceURLByte*int64(len(address)))
	u, status := parseURL(address)
	if status != abi.StatusOK {
		return nil, status
	}
	if header.Validate(abi.MaxHTTPHeader) != nil {
		return nil, abi.StatusInvalid
	}
	if !granted(f.hosts, u) {
		return nil, abi.StatusDenied
	}
	h := http.Header{"User-Agent": {"weft"}}
	own := false
	for name, value := range header.All() {
		pay(ctx, priceHTTPField)
		if !isToken(name) || !isFieldValue(value) || isHostsOwn(strings.ToLower(string(name))) {
			return nil, abi.StatusInvalid
		}
		if key := http.CanonicalHeaderKey(string(name)); key == "User-Agent" && !own {
			own = true
			h.Set(key, string(value))
		} else {
			h.Add(key, string(value))
		}
	}
	r, err := http.NewRequest(string(method), u.String(), bytes.NewReader(bytes.Clone(body)))
	if err != nil {
		return nil, abi.StatusInvalid
	}
	r.Header = h
	return r, abi.StatusOK
}

// parseURL reads an absolute URL in ASCII, without user and password.
func parseURL(address []byte) (*url.URL, abi.Status) {
	for _, c := range address {
		if c <= ' ' || c >= 0x7f {
			return nil, abi.StatusInvalid
		}
	}
	u, err := url.Parse(string(address))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil {
		return nil, abi.StatusInvalid
	}
	if _, _, err := place(u); err != nil {
		return nil, abi.StatusInvalid
	}
	u.Fragment, u.RawFragment = "", ""
	return u, abi.StatusOK
}

// isHostsOwn tells which header fields only the host sets: they would change what
// the connection carries, or to whom.
func isHostsOwn(name string) bool {
	switch name {
	case "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive":
		return true
	}
	return strings.HasPrefix(name, "proxy-")
}

// isToken tells a token of RFC 9110: a method, a field's name.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// isFieldValue tells whether a field's value ends neither its line nor the text.
func isFieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
