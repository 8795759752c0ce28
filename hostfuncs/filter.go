package hostfuncs

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// FilterGrant lets a plugin say which sources may speak to its listeners.
type FilterGrant struct {
	// Sources is how many rules the plugin may have at once, over all its instances
	// and generations, 0 for DefaultFilterSources.
	Sources int
	// Longest is how long one may hold, 0 for DefaultFilterLongest.
	Longest time.Duration
	// Rate is how many changes a second it may make on average, 0 for
	// DefaultFilterRate. As many as in a second, and at least one, may be made at
	// once.
	Rate float64
}

// Defaults of a FilterGrant, and the most that it can be.
const (
	DefaultFilterSources = 1000
	DefaultFilterLongest = 10 * time.Minute
	DefaultFilterRate    = 100
	MaxFilterSources     = 65536
	MaxFilterLongest     = 24 * time.Hour
	MaxFilterRate        = 10000
)

// FilterVerb is what a plugin says of a source.
type FilterVerb uint8

// The verbs.
const (
	FilterBlock  FilterVerb = iota // let nothing of it in
	FilterAllow                    // let it in
	FilterForget                   // take back what was said
)

// String is the verb's name.
func (v FilterVerb) String() string {
	switch v {
	case FilterBlock:
		return "block"
	case FilterAllow:
		return "allow"
	case FilterForget:
		return "unblock"
	}
	return "unknown"
}

// FilterChange is one thing that a plugin says of a source.
type FilterChange struct {
	Plugin string
	Verb   FilterVerb
	// Source is one IPv4 address, never mapped into IPv6, or one IPv6 address, or its
	// /64 where it is blocked.
	Source netip.Prefix
	// TTL is for how long from now on; 0 to forget.
	TTL time.Duration
}

// FilterRules puts into force what plugins say. Its methods are called from any
// goroutine, Change on the loops.
type FilterRules interface {
	// Change takes a change over, or answers that there is no room for it now. It does
	// not wait. Changes of one plugin take effect in the order in which they come.
	Change(FilterChange) bool
	// Revoke ends all rules of a plugin, those of changes before it included. It does not
	// wait either, and is always taken over.
	Revoke(plugin string)
}

// Origins tells where a session of the chain that runs comes from; false if it is not
// there.
type Origins func(session uint64) (netip.Addr, bool)

// Sources is where the sessions come from that one plugin instance sees. It belongs to
// the goroutine that owns the instance.
type Sources struct{ of Origins }

type sourcesKey struct{}

// NewSources makes the sources of one instance; nil if the plugin has no use for them.
func (h *Host) NewSources() *Sources {
	if h.filter == nil {
		return nil
	}
	return &Sources{}
}

// WithSources is the context that all calls of the instance's functions are made with.
func WithSources(ctx context.Context, s *Sources) context.Context {
	return context.WithValue(ctx, sourcesKey{}, s)
}

// Attach answers by of until Detach. Nil knows no session.
func (s *Sources) Attach(of Origins) { s.of = of }

// Detach knows no session until Attach.
func (s *Sources) Detach() { s.of = nil }

// filterFuncs is the capability filter of one generation of a plugin.
type filterFuncs struct {
	book    *filterBook
	clock   Clock
	sources int
	longest time.Duration
	rate    float64

	mu     sync.Mutex // guards the bucket below
	tokens float64
	filled int64 // when tokens was last brought up to date, Clock.Monotonic
}

func newFilterFuncs(g FilterGrant, book *filterBook, clock Clock) *filterFuncs {
	if g.Sources <= 0 {
		g.Sources = DefaultFilterSources
	}
	if g.Longest <= 0 {
		g.Longest = DefaultFilterLongest
	}
	if g.Rate <= 0 {
		g.Rate = DefaultFilterRate
	}
	f := &filterFuncs{
		book: book, clock: clock, sources: min(g.Sources, MaxFilterSources),
		longest: min(g.Longest, MaxFilterLongest), rate: min(g.Rate, MaxFilterRate), filled: clock.Monotonic(),
	}
	f.tokens = f.burst()
	return f
}

func (f *filterFuncs) burst() float64 { return max(f.rate, 1) }

// take takes a change out of the bucket.
func (f *filterFuncs) take(now int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = min(f.burst(), f.tokens+float64(now-f.filled)/1e9*f.rate)
	f.filled = now
	if f.tokens < 1 {
		return false
	}
	f.tokens--
	return true
}

func (f *filterFuncs) register(r *registrar) {
	r.add("filter_source", func(ctx context.Context, m api.Module, stack []uint64) {
		length, status := f.source(ctx, m, stack)
		stack[0] = valueOr(length, status)
	})
	for _, verb := range []FilterVerb{FilterBlock, FilterAllow, FilterForget} {
		r.add("filter_"+verb.String(), func(_ context.Context, m api.Module, stack []uint64) {
			stack[0] = result(f.change(verb, m, stack))
		})
	}
}

// change does what a guest says of a source.
func (f *filterFuncs) change(verb FilterVerb, m api.Module, stack []uint64) abi.Status {
	source, status := guestSource(m, stack[0], stack[1])
	switch {
	case status != abi.StatusOK:
	case verb == FilterForget:
		status = f.unsay(source)
	default:
		status = f.say(verb, source, int64(stack[2]))
	}
	f.book.count(status)
	return status
}

// source writes where a session comes from into the guest's buffer.
func (f *filterFuncs) source(ctx context.Context, m api.Module, stack []uint64) (length int64, status abi.Status) {
	buffer, ok := guestBytes(m, stack[1], stack[2])
	if !ok {
		return 0, abi.StatusInvalid
	}
	s, _ := ctx.Value(sourcesKey{}).(*Sources)
	if s == nil || s.of == nil {
		return 0, abi.StatusNotFound
	}
	addr, ok := s.of(stack[0])
	if !ok || !addr.IsValid() {
		return 0, abi.StatusNotFound
	}
	var text [abi.MaxSource]byte
	b := addr.Unmap().WithZone("").AppendTo(text[:0])
	if len(b) <= len(buffer) {
		copy(buffer, b)
	}
	return int64(len(b)), abi.StatusOK
}

// say makes a rule of the plugin's.
func (f *filterFuncs) say(verb FilterVerb, source netip.Addr, ttl int64) abi.Status {
	hold := f.longest
	switch {
	case ttl < 0:
		return abi.StatusInvalid
	case ttl > f.longest.Milliseconds():
		return abi.StatusLimit
	case ttl > 0:
		hold = time.Duration(ttl) * time.Millisecond
	}
	change := FilterChange{Plugin: f.book.plugin, Verb: verb, Source: exactly(source), TTL: hold}
	if verb == FilterBlock {
		change.Source = Blocked(source)
	}
	return f.book.put(change, f)
}

// unsay takes back what the plugin has said of a source, either way.
func (f *filterFuncs) unsay(source netip.Addr) abi.Status {
	status := f.book.drop(exactly(source), f)
	if wide := Blocked(source); wide != exactly(source) && (status == abi.StatusOK || status == abi.StatusNotFound) {
		if also := f.book.drop(wide, f); also != abi.StatusNotFound {
			return also
		}
	}
	return status
}

// guestSource reads the address that a guest names.
func guestSource(m api.Module, pointer, length uint64) (netip.Addr, abi.Status) {
	if uint32(length) > abi.MaxSource {
		return netip.Addr{}, abi.StatusInvalid
	}
	b, ok := guestBytes(m, pointer, length)
	if !ok {
		return netip.Addr{}, abi.StatusInvalid
	}
	source, ok := ParseSource(string(b))
	if !ok {
		return source, abi.StatusInvalid
	}
	return source, abi.StatusOK
}

// ParseSource reads the text of one source: an address, or an address and port. False
// if it is none, or one that no packet can come from.
func ParseSource(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var both netip.AddrPort
		if both, err = netip.ParseAddrPort(text); err != nil {
			return netip.Addr{}, false
		}
		addr = both.Addr()
	}
	if addr.Zone() != "" {
		return netip.Addr{}, false
	}
	addr = addr.Unmap()
	return addr, !addr.IsUnspecified() && !addr.IsMulticast()
}

func exactly(source netip.Addr) netip.Prefix { return netip.PrefixFrom(source, source.BitLen()) }

// Blocked is what is blocked with a source: an IPv4 address, or the /64 of an IPv6 one,
// which whoever has one address of it commonly has whole. Addresses of the link or of
// the machine itself stand for themselves.
func Blocked(source netip.Addr) netip.Prefix {
	source = source.Unmap().WithZone("")
	if source.Is4() || source.IsLinkLocalUnicast() || source.IsLoopback() {
		return exactly(source)
	}
	return netip.PrefixFrom(source, 64).Masked()
}
