package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// DNS is how DNS is asked.
type DNS struct {
	// Interval between questions, a tenth more or less by chance; 0 is 30 s. The
	// resolver of the standard library does not tell a record's TTL. A question that
	// failed is asked again sooner: after a second, then two, and so on up to the
	// Interval.
	Interval time.Duration
	// Timeout of one question; 0 is 5 s.
	Timeout time.Duration
	// Resolver; nil is the system's.
	Resolver *net.Resolver
}

// ErrNoRecords is what a discovery finds when the name exists without an address, or
// does not exist. Like a server that does not answer, it takes no member away: a
// zone that was emptied by mistake must not stop a pool. Checks, breakers and
// ejections take out what is really away.
var ErrNoRecords = errors.New("DNS has no such records")

// Host discovers the addresses of a host name (A and AAAA records), all with that
// port and weight 1.
func Host(host, port string, o DNS) Discoverer {
	l := newLookup(net.JoinHostPort(host, port), o)
	l.ask = func(ctx context.Context) ([]Endpoint, error) { return l.host(ctx, host, port) }
	return l
}

// Service discovers the targets of a service (SRV records) with their ports, weights
// and priorities. The name is whole: "_billing._tcp.example.com". Targets stay names
// and are looked up when they are dialled; a weight of 0, "hardly ever", counts as 1.
func Service(name string, o DNS) Discoverer {
	l := newLookup(name+" SRV", o)
	l.ask = func(ctx context.Context) ([]Endpoint, error) { return l.service(ctx, name) }
	return l
}

type lookup struct {
	DNS
	name string
	ask  func(context.Context) ([]Endpoint, error)
}

func newLookup(name string, o DNS) *lookup {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	or(&o.Interval, 30*time.Second)
	or(&o.Timeout, 5*time.Second)
	return &lookup{DNS: o, name: name}
}

func (l *lookup) String() string { return "dns " + l.name }

// Discover asks until the context ends. It always returns nil. A question that the
// resolver is waiting for then ends by the resolver's own timeout: it does not tell
// its connections of a context.
func (l *lookup) Discover(ctx context.Context, logger *slog.Logger, found func(Found)) error {
	var failed int
	for {
		endpoints, err := l.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		next := around(l.Interval, 0.1)
		if err == nil {
			if failed > 0 {
				logger.Info("DNS answers again", "discovery", l.String(), "failed", failed)
			}
			failed = 0
			found(Found{Endpoints: endpoints})
		} else {
			if failed == 0 {
				logger.Warn("DNS does not tell the members; the last good answer stands", "discovery", l.String(), "error", err)
			}
			next = min(next, around(time.Second<<min(failed, 10), 0.1))
			failed++
			found(Found{Err: err})
		}
		if pause(ctx, next) != nil {
			return nil
		}
	}
}

func (l *lookup) once(ctx context.Context) ([]Endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	endpoints, err := l.ask(ctx)
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return nil, fmt.Errorf("%s: %w: %w", l, ErrNoRecords, err)
	}
	if err == nil && len(endpoints) == 0 {
		return nil, fmt.Errorf("%s: %w", l, ErrNoRecords)
	}
	return endpoints, err
}

func (l *lookup) host(ctx context.Context, host, port string) ([]Endpoint, error) {
	var addrs []netip.Addr
	addrs, err := l.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	endpoints := make([]Endpoint, 0, len(addrs))
	for _, a := range addrs {
		// The resolver may map IPv4 addresses into IPv6: the same member twice.
		endpoints = append(endpoints, Endpoint{Address: net.JoinHostPort(a.Unmap().String(), port), Weight: 1})
	}
	return endpoints, nil
}

func (l *lookup) service(ctx context.Context, name string) ([]Endpoint, error) {
	_, records, err := l.Resolver.LookupSRV(ctx, "", "", name)
	if err != nil && len(records) == 0 {
		return nil, err
	}
	// With records beside the error: some were no names, and are left out.
	endpoints := make([]Endpoint, 0, len(records))
	for _, r := range records {
		target := strings.TrimSuffix(r.Target, ".")
		if target == "" { // RFC 2782: the service is decidedly not there
			continue
		}
		endpoints = append(endpoints, Endpoint{
			Address:  net.JoinHostPort(target, strconv.Itoa(int(r.Port))),
			Weight:   max(1, int(r.Weight)),
			Priority: int(r.Priority),
		})
	}
	return endpoints, nil
}
