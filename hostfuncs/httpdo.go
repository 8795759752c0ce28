package hostfuncs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weftrun/weft/abi"
)

// maxRedirects is how many redirections a call follows.
const maxRedirects = 5

// transportHeader is how many bytes of a header the transport reads: more than a
// plugin gets, since lines are longer than the entries of a block.
const transportHeader = 2 * abi.MaxHTTPHeader

// NewHTTPTransport makes the transport that all plugins share. It asks no proxy
// and reads no variable of the environment, decompresses nothing, and keeps
// connections for the next call. A name that leads to the machine itself or to its
// link (127.0.0.1, the metadata service of a cloud) is refused: who is asked where a
// name leads is whoever owns the name. An address, and localhost, may be granted.
// Close its idle connections when it is not needed any more.
func NewHTTPTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialOutside(*dialer),
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  0, // the call's own deadline holds
		MaxResponseHeaderBytes: transportHeader,
		DisableCompression:     true,
	}
}

var (
	errUngranted = errors.New("the redirection leads outside the granted hosts")
	errOwn       = errors.New("the name leads to the machine itself: grant the address")
	errRedirects = errors.New("too many redirections")
)

// dialOutside connects to names only outside the machine, and to addresses anywhere.
func dialOutside(dialer net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	outside := dialer
	outside.Control = func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || isOwn(to.Addr().Unmap()) {
			return fmt.Errorf("%w: %s", errOwn, address)
		}
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", errPlace, address, err)
		}
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		if _, err := netip.ParseAddr(host); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
			return dialer.DialContext(ctx, network, address)
		}
		return outside.DialContext(ctx, network, address)
	}
}

// isOwn tells addresses that mean the machine itself or its link.
func isOwn(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// redirect decides whether a redirection is followed.
func (f *httpFuncs) redirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return errRedirects
	}
	if next.URL.User != nil || !granted(f.hosts, next.URL) {
		return errUngranted
	}
	next.Header.Del("Referer")
	return nil
}

// do carries out one request. A panic of the transport costs the call only.
func (f *httpFuncs) do(ctx context.Context, r *http.Request) (answer []byte, status abi.Status) {
	defer func() {
		if recover() != nil {
			answer, status = nil, abi.StatusFailed
		}
	}()
	response, err := f.client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, f.statusOf(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 599 {
		return nil, abi.StatusFailed
	}
	header, ok := headerBlock(response.Header)
	if !ok || response.ContentLength > int64(f.response) && r.Method != http.MethodHead {
		return nil, abi.StatusLimit
	}
	answer = binary.LittleEndian.AppendUint32(make([]byte, 0, abi.AnswerHTTPSize+len(header)+512), uint32(response.StatusCode))
	answer = binary.LittleEndian.AppendUint32(answer, uint32(len(header)))
	answer = append(answer, header...)
	start := len(answer)
	for body := io.LimitReader(response.Body, int64(f.response)+1); ; {
		answer = slices.Grow(answer, 512)
		n, err := body.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		switch {
		case len(answer)-start > f.response:
			return nil, abi.StatusLimit
		case errors.Is(err, io.EOF):
			return answer, abi.StatusOK
		case err != nil:
			return nil, f.statusOf(ctx, err)
		}
	}
}

// statusOf says what the guest is told of an error.
func (f *httpFuncs) statusOf(ctx context.Context, err error) abi.Status {
	switch {
	case errors.Is(err, errUngranted), errors.Is(err, errOwn):
		return abi.StatusDenied
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return abi.StatusTimeout
	case strings.Contains(err.Error(), "headers exceeded"), strings.Contains(err.Error(), "header list too large"):
		return abi.StatusLimit // net/http has no type for these
	}
	return abi.StatusFailed
}

func (f *httpFuncs) count(s abi.Status) {
	switch s {
	case abi.StatusOK:
		f.answered.Add(1)
	case abi.StatusTimeout:
		f.timeouts.Add(1)
	default:
		f.failed.Add(1)
	}
}

// headerBlock writes a header as an attribute block: names in lower case, sorted,
// the values of a name in their order.
func headerBlock(h http.Header) (block abi.Attributes, ok bool) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	size := 0
	for _, name := range names {
		for _, value := range h[name] {
			if size += 4 + len(name) + len(value); size > abi.MaxHTTPHeader {
				return nil, false
			}
			block = block.AppendString(strings.ToLower(name), value)
		}
	}
	return block, true
}
