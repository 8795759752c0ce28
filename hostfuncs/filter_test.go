package hostfuncs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "192.0.2.7:1883": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "[::ffff:192.0.2.7]:9": "192.0.2.7",
		"2001:db8::1": "2001:db8::1", "[2001:db8::1]:80": "2001:db8::1", "fe80::1": "fe80::1", "127.0.0.1": "127.0.0.1",
	} {
		if got, ok := ParseSource(text); !ok || got.String() != want {
			t.Errorf("%s: %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{
		"", " ", "192.0.2.0/24", "192.0.2.7 ", "192.0.2", "192.0.2.07", "localhost", "0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1",
		"fe80::1%eth0", "[fe80::1%1]:4", "192.0.2.7:70000", "192.0.2.7:", ":80", "\xff\xfe", "192.0.2.7\x00", "1.2.3.4.5", "0x7f000001",
	} {
		if got, ok := ParseSource(text); ok {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	for _, text := range []string{"192.0.2.7", "[2001:db8::1]:80", "fe80::1%eth0", "", "::ffff:1.2.3.4", "999.1.1.1:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := ParseSource(text)
		if !ok {
			return
		}
		if again, ok := ParseSource(addr.String()); !ok || again != addr {
			t.Fatalf("%q: %v came back as %v, %t", text, addr, again, ok)
		}
		if p := Blocked(addr); !p.Contains(addr) || p.Masked() != p {
			t.Fatalf("%q: %v is not in %v", text, addr, p)
		}
	})
}

func TestBlocked(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1": "fe80::1/128", "::1": "::1/128", "127.0.0.1": "127.0.0.1/32", "fd00::7": "fd00::/64",
	} {
		if got := Blocked(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s, expected %s", addr, got, want)
		}
	}
}

// ruleList keeps what is put into force.
type ruleList struct {
	mu      sync.Mutex
	list    []string
	full    bool
	revoked []string
}

func (r *ruleList) Change(c FilterChange) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return false
	}
	r.list = append(r.list, fmt.Sprintf("%s %v %v %v", c.Plugin, c.Verb, c.Source, c.TTL))
	return true
}

func (r *ruleList) Revoke(plugin string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked = append(r.revoked, plugin)
}

func (r *ruleList) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// handClock is set by hand.
type handClock struct{ now int64 }

func (c *handClock) Wall() int64             { return c.now }
func (c *handClock) Monotonic() int64        { return c.now }
func (c *handClock) advance(d time.Duration) { c.now += int64(d) }

// filterGuest is a guest that may call the functions of filter.
type filterGuest struct {
	t       *testing.T
	module  api.Module
	funcs   *filterFuncs
	sources *Sources
	ctx     context.Context
}

// onlyMemory is a module with a page of memory.
const onlyMemory = "\x00asm\x01\x00\x00\x00" + "\x05\x03\x01\x00\x01" + "\x07\x0a\x01\x06memory\x02\x00"

func newFilterGuest(t *testing.T, cfg Config) *filterGuest {
	t.Helper()
	host, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { _ = rt.Close(context.WithoutCancel(t.Context())) })
	m, err := rt.Instantiate(t.Context(), []byte(onlyMemory))
	if err != nil {
		t.Fatal(err)
	}
	g := &filterGuest{t: t, module: m, funcs: host.filter, sources: host.NewSources()}
	g.ctx = WithSources(t.Context(), g.sources)
	return g
}

func (g *filterGuest) say(verb, source string, ttl ...int64) abi.Status {
	g.t.Helper()
	g.module.Memory().Write(0, []byte(source))
	stack := []uint64{0, uint64(len(source)), 0}
	for i, v := range ttl {
		stack[2+i] = uint64(v)
	}
	verbs := map[string]FilterVerb{"block": FilterBlock, "allow": FilterAllow, "unblock": FilterForget}
	return g.funcs.change(verbs[verb], g.module, stack)
}

func (g *filterGuest) source(session, at, room uint64) (int64, string) {
	n, status := g.funcs.source(g.ctx, g.module, []uint64{session, at, room})
	text, _ := g.module.Memory().Read(0, 9)
	return n + int64(status), string(text)
}

func TestFilterCeilings(t *testing.T) {
	clock, rules := &handClock{}, &ruleList{}
	filter := NewFilter(clock, rules)
	g := newFilterGuest(t, Config{Plugin: "guard", Filter: filter, Clock: clock,
		Grants: Grants{Filter: &FilterGrant{Sources: 2, Longest: time.Minute, Rate: 3}}})
	want := func(status, got abi.Status, said ...string) {
		t.Helper()
		if got != status {
			t.Errorf("answered %d, expected %d", got, status)
		}
		if list := rules.take(); !slices.Equal(list, said) {
			t.Errorf("put into force %q, expected %q", list, said)
		}
	}
	want(0, g.say("block", "192.0.2.1", 1000), "guard block 192.0.2.1/32 1s")
	want(0, g.say("block", "192.0.2.1", 1000))
	want(0, g.say("block", "192.0.2.1", 900))
	want(-3, g.say("block", "192.0.2.1", 60001))
	want(-4, g.say("block", "192.0.2.1", -1))
	want(0, g.say("allow", "192.0.2.1", 0), "guard allow 192.0.2.1/32 1m0s")
	want(0, g.say("block", "2001:db8::1", 5000), "guard block 2001:db8::/64 5s")
	want(0, g.say("block", "2001:db8::2", 5000))
	want(-3, g.say("block", "192.0.2.3", 1000)) // a third source
	clock.advance(time.Second)
	rules.full = true
	want(-6, g.say("block", "192.0.2.1", 1000))
	rules.full = false
	want(0, g.say("unblock", "2001:db8::3"), "guard unblock 2001:db8::/64 0s")
	want(-1, g.say("unblock", "2001:db8::3"))
	clock.advance(time.Second)
	for i, status := range []abi.Status{0, -3} { // there is room for one
		if got := g.say("block", fmt.Sprintf("192.0.2.%d", 10+i), 1000); got != status {
			t.Errorf("source %d: %d, expected %d", i, got, status)
		}
	}
	s := filter.Stats("guard")
	if s.Changes != 5 || s.Limited != 3 || s.Failed != 1 || s.Invalid != 1 || s.Rules != 2 {
		t.Errorf("%+v", s)
	}
	clock.advance(time.Minute)
	if s := filter.Stats("guard"); s.Rules != 0 {
		t.Errorf("after a minute: %+v", s)
	}
}

// TestFilterIsBounded floods: what is over the rate changes nothing, and the plugin holds
// no more rules than it may.
func TestFilterIsBounded(t *testing.T) {
	clock, rules := &handClock{}, &ruleList{}
	filter := NewFilter(clock, rules)
	g := newFilterGuest(t, Config{Plugin: "flood", Filter: filter, Clock: clock,
		Grants: Grants{Filter: &FilterGrant{Sources: 500, Rate: 100}}})
	for i := range 20000 {
		g.say("block", fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 1000)
		clock.advance(time.Millisecond)
	}
	made := len(rules.take())
	if s := filter.Stats("flood"); made < 2000 || made > 2200 || s.Rules > 110 || s.Changes != uint64(made) || s.Limited != 20000-uint64(made) {
		t.Errorf("%d changes in 20 s at 100/s, %+v", made, s)
	}
}

func TestFilterOfShadowsAndGenerations(t *testing.T) {
	clock, rules := &handClock{}, &ruleList{}
	filter := NewFilter(clock, rules)
	grants := Grants{Filter: &FilterGrant{Sources: 1}}
	live := newFilterGuest(t, Config{Plugin: "guard", Filter: filter, Grants: grants})
	shadow := newFilterGuest(t, Config{Plugin: "guard", Filter: filter, Grants: grants, Shadow: true})
	if a, b := shadow.say("block", "192.0.2.1", 1000), shadow.say("block", "192.0.2.2", 1000); a != 0 || b != -3 {
		t.Errorf("a shadow was answered %d and %d, not what the live one would be", a, b)
	}
	if list := rules.take(); len(list) != 0 {
		t.Errorf("a shadow put into force %q", list)
	}
	live.say("block", "192.0.2.1", 1000)
	next := newFilterGuest(t, Config{Plugin: "guard", Filter: filter, Grants: grants})
	if status := next.say("block", "192.0.2.9", 1000); status != -3 {
		t.Errorf("the next generation begins with rules of its own: %d", status)
	}
	if status := next.say("unblock", "192.0.2.1"); status != 0 {
		t.Errorf("the next generation cannot take back what the last one said: %d", status)
	}
	next.say("block", "192.0.2.3", 1000)
	filter.Grant("guard", false)
	if status := next.say("block", "192.0.2.4", 1000); status != -2 || !slices.Equal(rules.revoked, []string{"guard"}) {
		t.Errorf("after the capability was lost: %d, revoked %q", status, rules.revoked)
	}
	filter.Grant("guard", false)
	filter.Grant("guard", true)
	rules.take()
	if status := next.say("block", "192.0.2.3", 1000); status != 0 || len(rules.take()) != 1 || len(rules.revoked) != 1 {
		t.Errorf("with the capability back: %d, revoked %q", status, rules.revoked)
	}
	filter.Refused(FilterChange{Plugin: "guard", Verb: FilterBlock, Source: netip.MustParsePrefix("192.0.2.3/32")})
	if s := filter.Stats("guard"); s.Rules != 0 || s.Refused != 1 {
		t.Errorf("a rule that could not be put into force: %+v", s)
	}
	filter.Refused(FilterChange{Plugin: "nobody"})
}

func TestFilterPointers(t *testing.T) {
	g := newFilterGuest(t, Config{Plugin: "guard", Filter: NewFilter(nil, nil), Grants: Grants{Filter: &FilterGrant{}}})
	const outside = 1 << 31
	for _, stack := range [][]uint64{{outside, 9, 0}, {0, outside, 0}, {0xfffffff0, 64, 0}, {0, 65, 0}, {0, 0, 0}, {65530, 9, 0}} {
		for verb := FilterBlock; verb <= FilterForget; verb++ {
			if got := g.funcs.change(verb, g.module, stack); got != abi.StatusInvalid {
				t.Errorf("%v%v: %d", verb, stack, got)
			}
		}
	}
	if got, _ := g.source(1, outside, 64); got != int64(abi.StatusInvalid) {
		t.Errorf("source: %d", got)
	}
	if got, _ := g.source(1, 0, 64); got != int64(abi.StatusNotFound) {
		t.Errorf("source outside of a hook: %d", got)
	}
}

func TestFilterSource(t *testing.T) {
	g := newFilterGuest(t, Config{Plugin: "guard", Filter: NewFilter(nil, nil), Grants: Grants{Filter: &FilterGrant{}}})
	const session = 1<<63 + 7
	g.sources.Attach(func(s uint64) (netip.Addr, bool) { return netip.MustParseAddr("::ffff:192.0.2.7"), s == session })
	if got, text := g.source(session, 0, 64); got != 9 || text != "192.0.2.7" {
		t.Errorf("%d, %q", got, text)
	}
	g.module.Memory().Write(0, []byte("untouched"))
	if got, text := g.source(session, 0, 8); got != 9 || text != "untouched" {
		t.Errorf("into 8 bytes: %d, %q", got, text)
	}
	if got, _ := g.source(2, 0, 64); got != int64(abi.StatusNotFound) {
		t.Errorf("a session that is not there: %d", got)
	}
	g.sources.Detach()
	if got, _ := g.source(session, 0, 64); got != int64(abi.StatusNotFound) {
		t.Errorf("after the hook: %d", got)
	}
}

// BenchmarkFilterBlock is what a rule costs, beside the call itself.
func BenchmarkFilterBlock(b *testing.B) {
	book := newFilterBook("guard", SystemClock{}, noRules{})
	f := newFilterFuncs(FilterGrant{Sources: MaxFilterSources, Rate: MaxFilterRate}, book, SystemClock{})
	f.rate = 1e12
	sources := make([]string, 4096)
	for i := range sources {
		sources[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		source, _ := ParseSource(sources[i%len(sources)])
		if status := f.say(FilterVerb(i/len(sources)%2), source, 1000); status != abi.StatusOK {
			b.Fatal(status)
		}
	}
}
