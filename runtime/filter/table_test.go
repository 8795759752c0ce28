package filter_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// table makes one with listeners 0 to n-1, which allow.
func table(tb testing.TB, n int, change func([]filter.Listener)) *filter.Table {
	tb.Helper()
	t := filter.NewTable(filter.TableOptions{})
	list := make([]filter.Listener, n)
	for i := range list {
		list[i] = filter.Listener{ID: uint16(i), Name: fmt.Sprint("l", i)}
	}
	if change != nil {
		change(list)
	}
	if err := t.Listeners(list); err != nil {
		tb.Fatal(err)
	}
	return t
}

func put(tb testing.TB, t filter.Enforcer, list ...filter.Entry) {
	tb.Helper()
	if err := t.Put(list); err != nil {
		tb.Fatal(err)
	}
}

func deny(listener uint16, p string) filter.Entry {
	return filter.Entry{Listener: listener, Prefix: prefix(p), Action: filter.Deny, Reason: filter.Denied}
}

// policyCases are sources and what becomes of them; the kernel's enforcer is tested with
// the same in its own package.
func TestRules(t *testing.T) {
	tab := table(t, 3, func(l []filter.Listener) { l[1].Default = filter.Deny })
	block := deny(0, "10.1.2.3/32")
	block.Reason, block.Until = filter.Blocked, start.Add(time.Minute)
	put(t, tab, deny(0, "10.0.0.0/8"), filter.Entry{Prefix: prefix("10.1.0.0/16")}, block,
		deny(0, "2001:db8::/32"), filter.Entry{Prefix: prefix("2001:db8:1::/48")}, deny(0, "2001:db8:1::7/128"), deny(0, "2001:db8:1:2::/64"),
		filter.Entry{Listener: 1, Prefix: prefix("0.0.0.0/0")}, deny(2, "::/0"), deny(1, "0.0.0.0/1"))
	for _, c := range []struct {
		listener uint16
		source   string
		want     filter.Reason
	}{
		{0, "10.200.0.1", filter.Denied}, {0, "10.1.0.1", filter.Pass}, {0, "10.1.2.3", filter.Blocked}, {0, "11.0.0.1", filter.Pass},
		{0, "::ffff:10.200.0.1", filter.Denied}, {0, "::ffff:10.1.2.3", filter.Blocked},
		{0, "2001:db8::1", filter.Denied}, {0, "2001:db8:1::1", filter.Pass}, {0, "2001:db8:1::7", filter.Denied}, {0, "2001:db8:1:2::9", filter.Denied}, {0, "2001:db9::", filter.Pass},
		{0, "fe80::1%eth0", filter.Pass}, {0, "::a00:1", filter.Pass}, // no IPv4 address
		{1, "200.0.0.1", filter.Pass}, {1, "100.0.0.1", filter.Denied}, {1, "::1", filter.Denied},
		{2, "::1", filter.Denied}, {2, "10.200.0.1", filter.Pass}, {2, "::ffff:10.200.0.1", filter.Pass},
		{7, "10.1.2.3", filter.Pass}, {300, "10.1.2.3", filter.Pass}, // no such listener
	} {
		if got := tab.Rules(c.listener, addr(c.source), start.UnixNano()); got != c.want {
			t.Errorf("listener %d, %s: %s, expected %s", c.listener, c.source, got, c.want)
		}
	}
	if got := tab.Rules(0, addr("10.1.2.3"), block.Until.UnixNano()); got != filter.Pass {
		t.Errorf("at its end the block still gives %s", got)
	}
	if got := tab.Rules(0, addr("10.1.2.3"), block.Until.UnixNano()-1); got != filter.Blocked {
		t.Errorf("before its end the block gives %s", got)
	}
}

func TestFirstBytes(t *testing.T) {
	tab := table(t, 2, func(l []filter.Listener) {
		l[0].Patterns = []filter.Pattern{
			{Offset: 5, Length: 1, MinLength: 8, Mask: [8]byte{0xcc}, Value: [8]byte{}},
			{Offset: 24, Length: 8, Mask: [8]byte{0xff, 0xff, 0, 0, 0, 0, 0, 0xff}, Value: [8]byte{'W', 'D', 0, 0, 0, 0, 0, '!'}},
		}
		l[1].Patterns = []filter.Pattern{{MinLength: 3}}
	})
	long := make([]byte, 40)
	long[5] = 0xff
	for _, c := range []struct {
		listener uint16
		data     []byte
		want     bool
	}{
		{0, nil, false}, {0, make([]byte, 7), false}, {0, make([]byte, 8), true}, {0, []byte{9, 9, 9, 9, 9, 0x33, 9, 9}, true}, {0, []byte{0, 0, 0, 0, 0, 0x40, 0, 0}, false},
		{0, long, false}, {0, append(long[:24:24], "WDanyth!"...), true}, {0, append(long[:24:24], "WDanyth?"...), false}, {0, append(long[:24:24], "WDanyth"...), false},
		{1, make([]byte, 2), false}, {1, make([]byte, 3), true},
	} {
		if got := tab.FirstBytes(c.listener, c.data); got != c.want {
			t.Errorf("listener %d, %q: %v, expected %v", c.listener, c.data, got, c.want)
		}
	}
}

// TestModel sets and deletes at random, and compares with the plainest of all tables.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		tab := table(t, 3, func(l []filter.Listener) { l[2].Default = filter.Deny })
		type key struct {
			listener uint16
			prefix   netip.Prefix
		}
		model := map[key]filter.Entry{}
		source := func() netip.Addr { // few, so that they meet
			if rnd.IntN(2) == 0 {
				return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(3)), byte(rnd.IntN(3)), byte(rnd.IntN(8))})
			}
			b := [16]byte{0x20, 1, 0xd, 0xb8, 0, byte(rnd.IntN(2)), 0, byte(rnd.IntN(3))}
			b[15] = byte(rnd.IntN(6))
			return netip.AddrFrom16(b)
		}
		for step := range 2000 {
			a := source()
			p, _ := a.Prefix(rnd.IntN(a.BitLen() + 1))
			e := filter.Entry{Listener: uint16(rnd.IntN(3)), Prefix: p, Action: filter.Action(rnd.IntN(2)), Reason: filter.Reason(1 + rnd.IntN(2))}
			if rnd.IntN(3) == 0 {
				e.Until = start.Add(time.Duration(rnd.IntN(6000)) * time.Second)
			}
			if k := (key{e.Listener, p}); rnd.IntN(5) < 2 {
				delete(model, k)
				_ = tab.Delete([]filter.Entry{e})
			} else {
				model[k] = e
				put(t, tab, e)
			}
			now := start.Add(time.Duration(step) * time.Second)
			for range 4 {
				a, listener := source(), uint16(rnd.IntN(3))
				want, longest := filter.Pass, -1
				if listener == 2 {
					want = filter.Denied
				}
				for k, e := range model {
					if k.listener == listener && k.prefix.Contains(a) && k.prefix.Bits() > longest && (e.Until.IsZero() || now.Before(e.Until)) {
						if want, longest = filter.Pass, k.prefix.Bits(); e.Action == filter.Deny {
							want = e.Reason
						}
					}
				}
				if got := tab.Rules(listener, a, now.UnixNano()); got != want {
					t.Fatalf("seed %d, step %d: listener %d, %s: %s, expected %s", seed, step, listener, a, got, want)
				}
			}
		}
	}
}

// TestRateModel compares with a bucket of tokens.
func TestRateModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		every, burst := time.Duration(1+rnd.IntN(1000))*time.Microsecond, uint32(1+rnd.IntN(20))
		tab := table(t, 1, func(l []filter.Listener) { l[0].Rate = filter.Limit{Every: every, Burst: burst} })
		type bucket struct {
			debt int64 // until all tokens are there again, ns
			at   int64
		}
		model := map[netip.Addr]*bucket{}
		now := start.UnixNano()
		for range 5000 {
			now += rnd.Int64N(int64(every))
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(3))})
			b := model[a]
			if b == nil {
				b = &bucket{at: now}
				model[a] = b
			}
			b.debt, b.at = max(0, b.debt-(now-b.at)), now
			want := b.debt+int64(every) <= int64(burst)*int64(every)
			if want {
				b.debt += int64(every)
			}
			if got := tab.Rate(0, a, now); got != want {
				t.Fatalf("seed %d, %s each %s, burst %d: %v, expected %v", seed, a, every, burst, got, want)
			}
		}
	}
}

func TestRateKeys(t *testing.T) {
	tab := table(t, 2, func(l []filter.Listener) {
		for i := range l {
			l[i].Rate, l[i].Connections = filter.Limit{Every: time.Hour, Burst: 1}, filter.Limit{Every: time.Hour}
		}
	})
	now := start.UnixNano()
	for _, c := range []struct {
		source string
		want   bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::ffff:2", false}, {"2001:db8:0:1::", true}, {"2001:db8::%eth0", false}, {"::c000:201", true},
	} {
		if got := tab.Rate(0, addr(c.source), now); got != c.want {
			t.Errorf("%s: %v, expected %v", c.source, got, c.want)
		}
		if k := filter.RateKey(addr(c.source)); filter.RateKey(k) != k || k.Is4In6() {
			t.Errorf("the key of %s is %s", c.source, k)
		}
	}
	if !tab.Rate(1, addr("192.0.2.1"), now) || !tab.ConnectionRate(0, addr("192.0.2.1"), now) || tab.ConnectionRate(0, addr("192.0.2.1"), now) {
		t.Error("listeners, datagrams and connections do not count each for itself")
	}
	if got := tab.Connect(0, addr("192.0.2.1"), now); got != filter.ConnectionRate {
		t.Errorf("a connection beyond the rate: %s", got)
	}
	if got := tab.Datagram(0, addr("192.0.2.1"), nil, now); got != filter.Rate {
		t.Errorf("a datagram beyond the rate: %s", got)
	}
	if !tab.Rate(0, addr("192.0.2.1"), now-int64(10*time.Hour)) {
		t.Error("a clock that was set back locks a source out")
	}
}

// TestRateForgets: many sources cost no more memory, and who is over its rate is the last
// to be forgotten.
func TestRateForgets(t *testing.T) {
	tab := filter.NewTable(filter.TableOptions{Sources: 1024})
	if err := tab.Listeners([]filter.Listener{{Rate: filter.Limit{Every: time.Second, Burst: 100}}}); err != nil {
		t.Fatal(err)
	}
	now, bad := start.UnixNano(), addr("198.51.100.1")
	for tab.Rate(0, bad, now) {
	}
	for i := range uint32(50_000) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i)
		if !tab.Rate(0, netip.AddrFrom4(b), now+int64(i)) {
			t.Fatalf("source %d pays for others", i)
		}
	}
	if tab.Rate(0, bad, now+50_000) {
		t.Error("the source beyond its rate was forgotten for others that were not")
	}
}

// TestConcurrent: readers see what was there before and is there after, whatever the
// writer does beside it, and the counts are exact.
func TestConcurrent(t *testing.T) {
	tab := table(t, 2, func(l []filter.Listener) { l[0].Rate = filter.Limit{Every: time.Hour, Burst: 1000} })
	put(t, tab, deny(0, "10.0.0.0/8"), deny(0, "2001:db8::/32"))
	now, stop := start.UnixNano(), atomic.Bool{}
	var group sync.WaitGroup
	var sent, passed atomic.Uint64
	for range 4 {
		lane := tab.Lane()
		group.Go(func() {
			for n := uint64(0); ; n++ {
				if stop.Load() && n > 1000 {
					sent.Add(n)
					return
				}
				if lane.Datagram(0, addr("10.1.2.3"), make([]byte, 10), false, now) != filter.Denied || lane.Connect(0, addr("2001:db8::7"), now) != filter.Denied {
					t.Error("a denied source passed")
				}
				if lane.Datagram(0, addr("192.0.2.1"), nil, false, now) == filter.Pass {
					passed.Add(1)
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(1, 3))
	for range 300 {
		var list []filter.Entry
		for range 100 {
			e := deny(uint16(rnd.IntN(2)), "11.0.0.0/8")
			e.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{11, 0, byte(rnd.IntN(256)), byte(rnd.IntN(256))}), 32)
			list = append(list, e)
		}
		put(t, tab, list...)
		_ = tab.Delete(list[:90])
		if _, err := tab.Counts(nil); err != nil {
			t.Error(err)
		}
		tab.Samples(nil)
	}
	stop.Store(true)
	group.Wait()
	counts, _ := tab.Counts(nil)
	c := counts[0]
	if c.Packets[filter.Denied] != 2*sent.Load() || c.Bytes[filter.Denied] != 10*sent.Load() || c.Packets[filter.Pass]+c.Packets[filter.Rate] != sent.Load() {
		t.Errorf("of %d rounds were counted %v packets, %v bytes", sent.Load(), c.Packets, c.Bytes)
	}
	if passed.Load() != 1000 || c.Packets[filter.Pass] != 1000 {
		t.Errorf("%d passed, %d were counted: expected the burst of 1000", passed.Load(), c.Packets[filter.Pass])
	}
}

func TestListenersGoAndStay(t *testing.T) {
	tab := table(t, 2, nil)
	put(t, tab, deny(0, "10.0.0.0/8"), deny(1, "10.0.0.0/8"))
	lane := tab.Lane()
	lane.Connect(1, addr("10.0.0.1"), 0)
	if err := tab.Listeners([]filter.Listener{{ID: 1, Default: filter.Deny}}); err != nil {
		t.Fatal(err)
	}
	if got := tab.Rules(1, addr("10.0.0.1"), 0); got != filter.Denied {
		t.Errorf("what stays has lost its entries: %s", got)
	}
	if got := tab.Rules(0, addr("10.0.0.1"), 0); got != filter.Pass {
		t.Errorf("what is gone still forbids: %s", got)
	}
	if err := tab.Listeners([]filter.Listener{{ID: 0}, {ID: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := tab.Rules(0, addr("10.0.0.1"), 0); got != filter.Pass {
		t.Errorf("what came back has its old entries: %s", got)
	}
	if counts, _ := tab.Counts(nil); len(counts) != 2 || counts[1].Packets[filter.Denied] != 1 {
		t.Errorf("counts: %+v", counts)
	}
	if err := tab.Listeners([]filter.Listener{{ID: 256}}); err == nil {
		t.Error("listener 256 was taken")
	}
	if err := tab.Put([]filter.Entry{deny(9, "10.0.0.0/8")}); err == nil {
		t.Error("an entry of no listener was taken")
	}
}

func TestSamples(t *testing.T) {
	tab := table(t, 1, nil)
	put(t, tab, deny(0, "10.0.0.0/8"), deny(0, "2001:db8::/32"))
	lane := tab.Lane()
	for range 17 {
		lane.Connect(0, addr("10.0.0.1"), start.UnixNano())
	}
	lane.Connect(0, addr("192.0.2.1"), 0)
	got := tab.Samples(nil)
	want := filter.Sample{Listener: 0, Source: addr("10.0.0.1"), Reason: filter.Denied, Weight: 1}
	if len(got) != 2 || !got[0].At.Equal(start) || got[1].Weight != 16 {
		t.Fatalf("samples: %+v", got)
	}
	if got[0].At = (time.Time{}); got[0] != want {
		t.Errorf("sample %+v, expected %+v", got[0], want)
	}
	if got := tab.Samples(nil); len(got) != 0 {
		t.Errorf("a sample was taken twice: %+v", got)
	}
	for range 16 * 1000 {
		lane.Connect(0, addr("2001:db8::1"), 0)
	}
	if got := tab.Samples(nil); len(got) != 256 || got[0].Source != addr("2001:db8::1") {
		t.Errorf("%d samples", len(got))
	}
}

func TestAllocations(t *testing.T) {
	tab, sources := crowded(t, 1000)
	lane := tab.Lane()
	data, i := make([]byte, 100), 0
	if n := testing.AllocsPerRun(1000, func() {
		lane.Datagram(1, sources[i%len(sources)], data, false, start.UnixNano())
		lane.Connect(1, sources[i%len(sources)], start.UnixNano())
		i++
	}); n != 0 {
		t.Errorf("%v allocations a check", n)
	}
}

// crowded has n entries at listener 1, a rate, and nothing at listener 0.
func crowded(tb testing.TB, n int) (*filter.Table, []netip.Addr) {
	tb.Helper()
	tab := table(tb, 2, func(l []filter.Listener) {
		l[1].Rate, l[1].Connections = filter.Limit{Every: time.Microsecond, Burst: 1 << 20}, filter.Limit{Every: time.Microsecond, Burst: 1 << 20}
	})
	rnd := rand.New(rand.NewPCG(1, 4))
	list := map[netip.Prefix]filter.Entry{}
	var sources []netip.Addr
	for len(list) < n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], rnd.Uint32())
		a := netip.AddrFrom4(b)
		p, _ := a.Prefix([]int{32, 32, 32, 32, 32, 24, 16}[rnd.IntN(7)])
		list[p] = filter.Entry{Listener: 1, Prefix: p, Action: filter.Deny, Reason: filter.Denied}
		sources = append(sources, a, netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}))
	}
	put(tb, tab, slices.Collect(maps.Values(list))...)
	return tab, sources[:min(len(sources), 4096)]
}

func BenchmarkTable(b *testing.B) {
	tab, sources := crowded(b, 100_000)
	now := start.UnixNano()
	data := make([]byte, 100)
	b.Run("no rules", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tab.Rules(0, sources[i%len(sources)], now)
		}
	})
	b.Run("100000 rules of 3 lengths", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tab.Rules(1, sources[i%len(sources)], now)
		}
	})
	b.Run("rate", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tab.Rate(1, sources[i%len(sources)], now+int64(i)*1000)
		}
	})
	b.Run("lane, no rules", func(b *testing.B) {
		lane := tab.Lane()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			lane.Datagram(0, sources[i%len(sources)], data, false, now)
		}
	})
	b.Run("put and delete", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e := []filter.Entry{{Listener: 1, Prefix: netip.PrefixFrom(sources[i%len(sources)], 32), Action: filter.Deny}}
			_ = tab.Put(e)
			_ = tab.Delete(e)
		}
	})
}
