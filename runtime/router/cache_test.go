package router_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/router"
)

// TestCacheModel asks a small cache and the trie itself, while the trie changes.
func TestCacheModel(t *testing.T) {
	table := compile(t, router.Rule{When: router.When{Topic: "a/#"}, To: to("all")}, router.Rule{When: router.When{Topic: "+/b"}, To: to("all")})
	rapid.Check(t, func(t *rapid.T) {
		trie := router.NewTrie[int]()
		limits := router.CacheLimits{Topics: rapid.SampledFrom([]int{1, 8, 64}).Draw(t, "topics"), Bytes: rapid.SampledFrom([]int{200, 1000, 100_000}).Draw(t, "bytes")}
		cache := router.NewCache(trie, table, limits)
		t.Repeat(map[string]func(*rapid.T){
			"add":    func(t *rapid.T) { trie.Add(drawPattern(t), rapid.IntRange(0, 9).Draw(t, "item")) },
			"remove": func(t *rapid.T) { trie.Remove(drawPattern(t), rapid.IntRange(0, 9).Draw(t, "item")) },
			"rules":  func(*rapid.T) { cache.SetTable(table) },
			"lookup": func(t *rapid.T) {
				topic := []byte(drawTopic(t))
				want := trie.MatchUnique(topic, nil, map[int]struct{}{})
				for range 2 {
					got := cache.Lookup(topic)
					if !slices.Equal(got.Subscribers, want) || !slices.Equal(got.Rules, table.Candidates(topic, nil)) || got.Err != nil {
						t.Fatalf("%q: got %+v, want %v", topic, got, want)
					}
				}
			},
			"malformed": func(t *rapid.T) {
				topic := rapid.SampledFrom([]string{"", "#", "a/+", "a\x00"}).Draw(t, "malformed")
				if got := cache.Lookup([]byte(topic)); !errors.Is(got.Err, router.ErrTopic) || got.Subscribers != nil {
					t.Fatalf("%q: %+v", topic, got)
				}
			},
			"": func(t *rapid.T) {
				if s := cache.Stats(); s.Bytes > limits.Bytes || s.Bytes < 0 || s.Topics < 0 || s.Topics > max(4, limits.Topics) {
					t.Fatalf("%+v within %+v", s, limits)
				}
			},
		})
	})
}

// TestCacheResultsStay holds a result while the cache is turned over.
func TestCacheResultsStay(t *testing.T) {
	trie := fleet(t, 100)
	cache := router.NewCache(trie, nil, router.CacheLimits{Topics: 4})
	held := cache.Lookup([]byte("truck/1/in/door")).Subscribers
	want := slices.Clone(held)
	for i := range 100 {
		cache.Lookup(fmt.Appendf(nil, "truck/%d/in/door", i))
	}
	trie.Remove("truck/1/in/#", 1)
	cache.Lookup([]byte("truck/1/in/door"))
	if !slices.Equal(held, want) || len(want) != 3 {
		t.Errorf("%v became %v", want, held)
	}
}

func TestCacheHitsDoNotAllocate(t *testing.T) {
	trie := fleet(t, 100)
	cache := router.NewCache(trie, twentyRules(t), router.CacheLimits{})
	topics := [][]byte{[]byte("truck/1/in/door"), []byte("truck/2/in/door"), []byte("nobody")}
	for _, topic := range topics {
		cache.Lookup(topic)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, topic := range topics {
			cache.Lookup(topic)
			cache.Lookup(topic)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if s := cache.Stats(); s.Misses != 3 || s.Topics != 3 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkCache(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			cache := router.NewCache(fleet(b, 50_000), twentyRules(b), router.CacheLimits{})
			topics := make([][]byte, n)
			for i := range topics {
				topics[i] = fmt.Appendf(nil, "truck/%d/in/door", i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				cache.Lookup(topics[i])
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}
