package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"

	"github.com/weftrun/weft/runtime/logging"
)

// The bounds of the gate.
const (
	// failuresEvery and failuresBurst: so often may a source show a credential that
	// does not hold, and so many of them at once.
	failuresEvery = time.Second
	failuresBurst = 10
	// maxLimiters is how many sources and callers are told apart. Beyond it they share.
	maxLimiters = 4096
)

// gate lets in who may do what they ask for.
type gate struct {
	access   atomic.Pointer[Access]
	failures limiters                 // by source
	calls    atomic.Pointer[limiters] // by caller and source; not of messages
	words    *connect.ErrorWriter
	log      *slog.Logger
	refused  [3]atomic.Uint64 // by refusal
}

// refusal is why a request was not let in.
type refusal int

const (
	refusedUnknown refusal = iota // no credential, or one that does not hold
	refusedRole
	refusedRate
)

var refusalNames = [...]string{"unauthenticated", "role", "rate"}

// newGate makes a gate that allows each caller so many calls a second that are not
// about messages; 0 is no bound.
func newGate(access *Access, calls float64, logger *slog.Logger) *gate {
	g := &gate{
		failures: limiters{limit: rate.Every(failuresEvery), burst: failuresBurst},
		words:    connect.NewErrorWriter(),
		log:      logging.Seldom(logger, 20, 5*time.Second),
	}
	g.calls.Store(limitCalls(calls))
	if access == nil {
		access = &Access{Anonymous: OperateRole, Certified: OperateRole}
	}
	g.access.Store(access)
	return g
}

// limitCalls bounds calls a second; 0 is no bound.
func limitCalls(calls float64) *limiters {
	if calls <= 0 {
		return &limiters{limit: rate.Inf}
	}
	return &limiters{limit: rate.Limit(calls), burst: max(int(2*calls), 1)}
}

// guard asks of every request who sends it.
func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := needOf(r)
		if n == nothing || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		source := sourceOf(r)
		who, err := g.access.Load().caller(r)
		if err == nil && who.role == NoRole {
			err = errors.New("no credential; send a token: Authorization: Bearer TOKEN")
		}
		switch {
		case err != nil && !g.failures.take(source):
			// Who has a credential that holds is let in from there nevertheless: others
			// may come from the same address.
			g.refuse(w, r, refusedRate, connect.CodeResourceExhausted, errors.New("too many credentials that do not hold came from this address; wait a moment"))
		case err != nil:
			g.refuse(w, r, refusedUnknown, connect.CodeUnauthenticated, err)
		case !who.role.may(n):
			g.refuse(w, r, refusedRole, connect.CodePermissionDenied, fmt.Errorf("%s has the role %s, which may not %s here", who.name, who.role, needNames[n]))
		case n >= inspect && !g.calls.Load().take(who.name+" "+source):
			g.refuse(w, r, refusedRate, connect.CodeResourceExhausted, errors.New("more calls a second than api.rate allows"))
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
		}
	})
}

// refuse answers a request that is not let in, in the words of its protocol.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, why refusal, code connect.Code, err error) {
	g.refused[why].Add(1)
	g.log.Warn("audit: an API call was refused", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "code", code.String(), "error", err)
	h := w.Header()
	switch code {
	case connect.CodeUnauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="weft"`)
	case connect.CodeResourceExhausted:
		h.Set("Retry-After", "1")
	}
	if g.words.IsSupported(r) {
		_ = g.words.Write(w, r, connect.NewError(code, err)) // a client that is gone cannot be told
		return
	}
	http.Error(w, err.Error(), map[connect.Code]int{
		connect.CodeUnauthenticated: http.StatusUnauthorized, connect.CodePermissionDenied: http.StatusForbidden,
		connect.CodeResourceExhausted: http.StatusTooManyRequests,
	}[code])
}

// metrics is a source of what was refused.
func (g *gate) metrics() []Metric {
	m := Metric{Name: "weft_api_refused_total", Help: "Requests to the API that were not let in, by reason.", Type: Counter, Labels: []string{"reason"}}
	for i := range g.refused {
		m.Samples = append(m.Samples, Sample{Labels: []string{refusalNames[i]}, Value: float64(g.refused[i].Load())})
	}
	return []Metric{m}
}

// sourceOf is the address that a request comes from, without its port; an IPv6 one by
// its network, of which one host has all.
func sourceOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().String()
	}
	return host
}

// limiters are token buckets by name, a bounded number of them.
type limiters struct {
	limit rate.Limit
	burst int

	mu   sync.Mutex
	by   map[string]*rate.Limiter
	rest *rate.Limiter // of those for which there is no room
}

// take takes a token, and tells whether there was one.
func (l *limiters) take(name string) bool {
	return l.limit == rate.Inf || l.of(name).Allow()
}

func (l *limiters) of(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.by[name]; ok {
		return one
	}
	if l.by == nil {
		l.by, l.rest = map[string]*rate.Limiter{}, rate.NewLimiter(l.limit, l.burst)
	}
	if len(l.by) >= maxLimiters {
		for other, one := range l.by { // who has all of their tokens again is as good as new
			if one.Tokens() >= float64(l.burst) {
				delete(l.by, other)
			}
		}
	}
	if len(l.by) >= maxLimiters {
		return l.rest
	}
	one := rate.NewLimiter(l.limit, l.burst)
	l.by[name] = one
	return one
}
