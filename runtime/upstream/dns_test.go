package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is a DNS server on the loopback: it answers A, AAAA and SRV questions.
type nameserver struct {
	conn net.PacketConn

	mu     sync.Mutex
	a      []netip.Addr
	srv    []dnsmessage.SRVResource
	rcode  dnsmessage.RCode
	silent bool
	closed bool
	conns  []net.Conn // of resolvers
}

func startNameserver(t *testing.T) *nameserver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameserver{conn: conn}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() {
		conn.Close()
		<-done
		// A resolver goes on waiting for its answer when nobody waits for the resolver.
		s.set(func() {
			for _, c := range s.conns {
				c.Close()
			}
			s.closed = true
		})
	})
	return s
}

func (s *nameserver) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return nil, net.ErrClosed
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
		if err == nil {
			s.conns = append(s.conns, c)
		}
		return c, err
	}}
}

func (s *nameserver) serve() {
	packet := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if out := s.answer(packet[:n]); out != nil {
			s.conn.WriteTo(out, from)
		}
	}
}

func (s *nameserver) answer(packet []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p dnsmessage.Parser
	head, err := p.Start(packet)
	if err != nil || s.silent {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RCode: s.rcode})
	b.StartQuestions()
	b.Question(q)
	b.StartAnswers()
	r := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
	if s.rcode == dnsmessage.RCodeSuccess {
		for _, a := range s.a {
			switch {
			case q.Type == dnsmessage.TypeA && a.Is4():
				b.AResource(r, dnsmessage.AResource{A: a.As4()})
			case q.Type == dnsmessage.TypeAAAA && a.Is6():
				b.AAAAResource(r, dnsmessage.AAAAResource{AAAA: a.As16()})
			}
		}
		if q.Type == dnsmessage.TypeSRV {
			for _, srv := range s.srv {
				b.SRVResource(r, srv)
			}
		}
	}
	out, _ := b.Finish()
	return out
}

// discovered is a discovery that runs, and what it finds.
func discovered(t *testing.T, d Discoverer) <-chan Found {
	ctx, cancel := context.WithCancel(context.Background())
	found, done := make(chan Found), make(chan struct{})
	go func() {
		defer close(done)
		d.Discover(ctx, discard, func(f Found) {
			select {
			case found <- f:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return found
}

// until waits for an answer that is as wanted.
func until(t *testing.T, found <-chan Found, want func(Found) bool) Found {
	t.Helper()
	var last Found
	for deadline := time.After(time.Minute); ; {
		select {
		case last = <-found:
			if want(last) {
				return last
			}
		case <-deadline:
			t.Fatalf("never found; last %+v", last)
		}
	}
}

func addresses(f Found) []string {
	var s []string
	for _, e := range f.Endpoints {
		s = append(s, fmt.Sprint(e.Address, " ", e.Weight, " ", e.Priority))
	}
	slices.Sort(s)
	return s
}

func is(want ...string) func(Found) bool {
	return func(f Found) bool { return f.Err == nil && slices.Equal(addresses(f), want) }
}

func TestHostFollowsDNS(t *testing.T) {
	s := startNameserver(t)
	s.set(func() {
		s.a = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	})
	found := discovered(t, Host("billing.test.", "8080", DNS{Interval: 5 * time.Millisecond, Timeout: 200 * time.Millisecond, Resolver: s.resolver()}))
	until(t, found, is("192.0.2.1:8080 1 0", "192.0.2.2:8080 1 0", "[2001:db8::1]:8080 1 0"))
	s.set(func() { s.a = s.a[1:2] })
	until(t, found, is("192.0.2.2:8080 1 0"))
	s.set(func() { s.rcode = dnsmessage.RCodeNameError })
	until(t, found, func(f Found) bool { return errors.Is(f.Err, ErrNoRecords) })
	s.set(func() { s.rcode = dnsmessage.RCodeServerFailure })
	until(t, found, func(f Found) bool { return f.Err != nil && !errors.Is(f.Err, ErrNoRecords) })
	s.set(func() { s.rcode, s.silent = dnsmessage.RCodeSuccess, true })
	until(t, found, func(f Found) bool {
		e, ok := errors.AsType[*net.DNSError](f.Err)
		return ok && e.Timeout()
	})
	s.set(func() { s.silent, s.a = false, s.a[:0] })
	until(t, found, func(f Found) bool { return errors.Is(f.Err, ErrNoRecords) })
	s.set(func() { s.a = append(s.a, netip.MustParseAddr("192.0.2.9")) })
	until(t, found, is("192.0.2.9:8080 1 0"))
}

func srv(target string, port, weight, priority uint16) dnsmessage.SRVResource {
	return dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: port, Weight: weight, Priority: priority}
}

func TestServiceFollowsDNS(t *testing.T) {
	s := startNameserver(t)
	s.set(func() {
		s.srv = []dnsmessage.SRVResource{srv("a.test.", 81, 60, 0), srv("b.test.", 82, 0, 0), srv("c.test.", 83, 10, 20)}
	})
	found := discovered(t, Service("_billing._tcp.test.", DNS{Interval: 5 * time.Millisecond, Resolver: s.resolver()}))
	until(t, found, is("a.test:81 60 0", "b.test:82 1 0", "c.test:83 10 20"))
	s.set(func() { s.srv = []dnsmessage.SRVResource{srv(".", 0, 0, 0)} })
	until(t, found, func(f Found) bool { return errors.Is(f.Err, ErrNoRecords) })
}

// tap is a discovery that tells when the pool has taken an answer.
type tap struct {
	Discoverer
	taken chan struct{}
}

func (d *tap) Discover(ctx context.Context, logger *slog.Logger, found func(Found)) error {
	return d.Discoverer.Discover(ctx, logger, func(f Found) {
		found(f)
		select {
		case d.taken <- struct{}{}:
		case <-ctx.Done():
		}
	})
}

// The whole way: a pool that DNS fills keeps its members while DNS is away, says so,
// and takes up the next good answer.
func TestAPoolOutlivesItsDNS(t *testing.T) {
	s := startNameserver(t)
	s.set(func() { s.a = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")} })
	taken := make(chan struct{})
	d := &tap{Host("billing.test.", "80", DNS{Interval: 2 * time.Millisecond, Resolver: s.resolver()}), taken}
	p := newPool(t, Options{Discoverer: d})
	defer run(t, p)()
	seen := func(what string, ok func(Stats) bool) {
		t.Helper()
		for deadline := time.After(time.Minute); !ok(p.Stats()); {
			select {
			case <-taken:
			case <-deadline:
				t.Fatalf("%s: %+v", what, p.Stats())
			}
		}
	}
	seen("two members", func(s Stats) bool { return len(s.Members) == 2 && s.Discovery.Err == nil })
	first := member(p, "192.0.2.1:80")
	s.set(func() { s.rcode = dnsmessage.RCodeServerFailure })
	seen("an error", func(s Stats) bool {
		return s.Discovery.Err != nil && s.Discovery.Errors > 0 && !s.Discovery.Last.IsZero()
	})
	if len(p.Members()) != 2 {
		t.Fatal("members went with DNS")
	}
	pick(t, p, "")
	s.set(func() {
		s.rcode = dnsmessage.RCodeSuccess
		s.a = append(s.a[:1:1], netip.MustParseAddr("192.0.2.3"))
	})
	seen("another member", func(s Stats) bool { return s.Discovery.Err == nil && member(p, "192.0.2.3:80") != nil })
	if member(p, "192.0.2.1:80") != first || first.Gone() {
		t.Error("a member that stayed is another one")
	}
	if member(p, "192.0.2.2:80") != nil {
		t.Error("a member that left stays")
	}
}
