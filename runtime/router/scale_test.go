package router_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/weftrun/weft/runtime/router"
)

// million is how many subscriptions the tests at scale hold.
const million = 1_000_000

// devices is how many devices a plant of n subscriptions has.
func devices(n int) int { return n * 7 / 10 }

// place is where a device stands: one of 500 sites with 20 lines each.
func place(device int) (site, line int) { return device % 500, device / 500 % 20 }

// pattern is the ith subscription of a plant of n: seven of ten are devices that
// listen to what is meant for them, the others watch single devices on every line
// of a site, their answers, or share one topic of a device between a group.
func pattern(i, n int) string {
	count := devices(n)
	if i < count {
		site, line := place(i)
		return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/#", site, line, i)
	}
	device := (i - count) * 7 / 3
	site, line := place(device)
	switch i % 3 {
	case 0:
		return fmt.Sprintf("v1/site-%d/+/dev-%d/in/#", site, device)
	case 1:
		return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/out/+", site, line, device)
	}
	return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/door", site, line, device)
}

// plantTopic is a topic of six levels that a device listens to.
func plantTopic(device int) []byte {
	site, line := place(device)
	return fmt.Appendf(nil, "v1/site-%d/line-%d/dev-%d/in/door", site, line, device)
}

// fill subscribes a plant of n, and five who watch all of it.
func fill(t testing.TB, trie *router.Trie[router.Subscriber], n int) {
	t.Helper()
	add := func(pattern string, session int) {
		if added, err := trie.Add(pattern, router.Subscriber{Session: uint64(session)}); err != nil || !added {
			t.Fatalf("%s: %t, %v", pattern, added, err)
		}
	}
	for i := range n {
		add(pattern(i, n), i+1)
	}
	for i, all := range []string{"#", "v1/#", "v1/+/+/+/in/door", "v1/+/line-7/#", "+/+/+/+/out/+"} {
		add(all, n+1+i)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMillionIsSmall measures what a subscription takes among a million, the text
// of its pattern included.
func TestMillionIsSmall(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("a million subscriptions")
	}
	before := heap()
	trie := router.NewTrie[router.Subscriber]()
	fill(t, trie, million)
	each := (heap() - before) / million
	t.Logf("%d bytes a subscription", each)
	if each > 200 {
		t.Errorf("a subscription takes %d bytes, at most 200 are meant", each)
	}
	for device := range 100 {
		if got := trie.Match(plantTopic(device), nil); len(got) < 4 {
			t.Errorf("%d match device %d", len(got), device)
		}
	}
	for i := range million {
		if !trie.Remove(pattern(i, million), router.Subscriber{Session: uint64(i + 1)}) {
			t.Fatalf("%s was not there", pattern(i, million))
		}
	}
	if left := heap() - before; left > 1<<20 || trie.Len() != 5 {
		t.Errorf("%d bytes and %d subscriptions are left", left, trie.Len())
	}
}

// TestTrieJoins parts the nodes of 10,000 patterns and looks that they are one
// node each again when what parted them is gone.
func TestTrieJoins(t *testing.T) {
	if underRace {
		t.Skip("it measures memory")
	}
	const n = 10_000
	before := heap()
	trie := router.NewTrie[router.Subscriber]()
	for i := range n {
		_, _ = trie.Add(own(i)+"/#", router.Subscriber{Session: 1})
	}
	alone := heap() - before
	for i := range n {
		_, _ = trie.Add(own(i)+"side", router.Subscriber{Session: 2})
		_, _ = trie.Add(own(i)+"/+/b", router.Subscriber{Session: 2})
	}
	for i := range n {
		trie.Remove(own(i)+"side", router.Subscriber{Session: 2})
		trie.Remove(own(i)+"/+/b", router.Subscriber{Session: 2})
	}
	if again := heap() - before; again > alone+alone/20 {
		t.Errorf("%d bytes before, %d after", alone, again)
	}
	runtime.KeepAlive(trie)
}

// own is a topic of five levels.
func own(i int) string { return fmt.Sprintf("v1/site-%d/dev-%d/a/in", i%50, i) }

func BenchmarkMillion(b *testing.B) {
	trie := router.NewTrie[router.Subscriber]()
	fill(b, trie, million)
	random := rand.New(rand.NewPCG(1, 2))
	topics := func(n int) [][]byte {
		list := make([][]byte, n)
		for i := range list {
			list[i] = plantTopic(random.IntN(devices(million)))
		}
		return list
	}
	for _, n := range []int{1024, 1 << 17} {
		b.Run(fmt.Sprintf("match/topics=%d", n), func(b *testing.B) {
			list := topics(n)
			dst := make([]router.Subscriber, 0, 64)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = trie.Match(list[i&(n-1)], dst[:0])
			}
		})
	}
	for _, n := range []int{1, 1024} {
		b.Run(fmt.Sprintf("cached/topics=%d", n), func(b *testing.B) {
			list := topics(n)
			cache := router.NewCache(trie, nil, router.CacheLimits{})
			cache.OrderBy(router.BySession)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				cache.Lookup(list[i&(n-1)])
			}
		})
	}
	b.Run("come-and-go", func(b *testing.B) {
		names := make([]string, 4096)
		for i := range names {
			names[i] = fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/#", i%500, i%20, million+i)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			by := router.Subscriber{Session: uint64(2*million + i)}
			trie.Add(names[i%len(names)], by)
			trie.Remove(names[i%len(names)], by)
		}
	})
	b.Run("lookup-while-they-come-and-go", func(b *testing.B) {
		list := topics(1000)
		cache := router.NewCache(trie, nil, router.CacheLimits{})
		before := cache.Stats()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%100 == 0 {
				by := router.Subscriber{Session: 1e9}
				trie.Add("v1/site-1/line-1/dev-x/in/#", by)
				trie.Remove("v1/site-1/line-1/dev-x/in/#", by)
			}
			cache.Lookup(list[i%len(list)])
		}
		after := cache.Stats()
		b.ReportMetric(100*float64(after.Hits-before.Hits)/float64(b.N), "%hits")
	})
}
