package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/router"
)

// subscription is the model's: one item under one canonical pattern.
type subscription struct {
	pattern string
	item    int
}

// levelNames are few, so that patterns meet; one is long enough to be kept apart.
var levelNames = rapid.SampledFrom([]string{"a", "b", "c", "", "$x", "ab", "a-name-too-long-for-a-node"})

func drawTopic(t *rapid.T) string {
	topic := join(rapid.SliceOfN(levelNames, 1, 6).Draw(t, "levels"))
	if topic == "" {
		return "/"
	}
	return topic
}

func drawPattern(t *rapid.T) string {
	levels := rapid.SliceOfN(rapid.OneOf(levelNames, rapid.SampledFrom([]string{"+", "*"})), 0, 6).Draw(t, "pattern")
	if len(levels) == 0 || rapid.Bool().Draw(t, "rest") {
		levels = append(levels, "#")
	}
	if pattern := join(levels); pattern != "" {
		return pattern
	}
	return "+"
}

func join(levels []string) string {
	s := ""
	for i, l := range levels {
		if i > 0 {
			s += "/"
		}
		s += l
	}
	return s
}

// TestTrieModel runs random changes against a list that is searched naively.
func TestTrieModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trie := router.NewTrie[int]()
		model := map[subscription]bool{}
		items := rapid.IntRange(0, rapid.SampledFrom([]int{3, 200}).Draw(t, "range"))
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				pattern, item := drawPattern(t), items.Draw(t, "item")
				key := subscription{router.Canonical(pattern), item}
				before := trie.Version()
				added, err := trie.Add(pattern, item)
				if err != nil || added == model[key] {
					t.Fatalf("add %q %d: %t, %v", pattern, item, added, err)
				}
				if (trie.Version() > before) != added {
					t.Fatalf("added %t, version %d after %d", added, trie.Version(), before)
				}
				model[key] = true
			},
			"addMany": func(t *rapid.T) {
				pattern := drawPattern(t)
				for item := range rapid.IntRange(20, 120).Draw(t, "many") {
					trie.Add(pattern, item)
					model[subscription{router.Canonical(pattern), item}] = true
				}
			},
			"remove": func(t *rapid.T) {
				pattern, item := drawPattern(t), items.Draw(t, "item")
				key := subscription{router.Canonical(pattern), item}
				if removed := trie.Remove(pattern, item); removed != model[key] {
					t.Fatalf("remove %q %d: %t", pattern, item, removed)
				}
				delete(model, key)
			},
			"removeMost": func(t *rapid.T) {
				for key := range model {
					if key.item%7 != 0 && !trie.Remove(key.pattern, key.item) {
						t.Fatalf("%v was not there", key)
					} else if key.item%7 != 0 {
						delete(model, key)
					}
				}
			},
			"": func(t *rapid.T) {
				topic := drawTopic(t)
				var want []int
				for key := range model {
					if router.Matches(key.pattern, topic) {
						want = append(want, key.item)
					}
				}
				got := trie.Match([]byte(topic), nil)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("%q: got %v, want %v", topic, got, want)
				}
				seen := map[int]struct{}{}
				once := trie.MatchUnique([]byte(topic), []int{-1}, seen)
				if once[0] != -1 || len(seen) != 0 {
					t.Fatalf("what was in dst became %v, %d are left in the map", once[0], len(seen))
				}
				slices.Sort(once)
				if want = slices.Compact(want); !slices.Equal(once[1:], want) {
					t.Fatalf("%q: got %v once, want %v", topic, once[1:], want)
				}
				if trie.Len() != len(model) {
					t.Fatalf("length %d, want %d", trie.Len(), len(model))
				}
				walked := map[subscription]bool{}
				trie.Walk(func(pattern string, item int) bool {
					walked[subscription{pattern, item}] = true
					return true
				})
				if len(walked) != len(model) {
					t.Fatalf("walked over %d, want %d", len(walked), len(model))
				}
				for key := range walked {
					if !model[key] {
						t.Fatalf("walked over %v", key)
					}
				}
			},
		})
	})
}

// TestTrieOfFewNames changes subscriptions to patterns of two names, so that nodes
// part and join all the time, and looks at every topic.
func TestTrieOfFewNames(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	names, wild := []string{"a", "b"}, []string{"a", "b", "+"}
	draw := func(from []string) string {
		levels := make([]string, 1+random.IntN(4))
		for i := range levels {
			levels[i] = from[random.IntN(len(from))]
		}
		return join(levels)
	}
	trie := router.NewTrie[int]()
	model := map[subscription]bool{}
	for step := range 20_000 {
		pattern := draw(wild)
		if random.IntN(2) == 0 {
			pattern += "/#"
		}
		key := subscription{pattern, random.IntN(20)}
		if random.IntN(40) == 0 { // until there is little left, now and then
			for key := range model {
				if len(model) > 3 && trie.Remove(key.pattern, key.item) {
					delete(model, key)
				}
			}
		}
		if model[key] {
			trie.Remove(key.pattern, key.item)
			delete(model, key)
		} else {
			trie.Add(key.pattern, key.item)
			model[key] = true
		}
		topic := draw(names)
		var want []int
		for key := range model {
			if router.Matches(key.pattern, topic) {
				want = append(want, key.item)
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(trie.Match([]byte(topic), nil))); !slices.Equal(got, want) {
			t.Fatalf("step %d, %s: got %v, want %v", step, topic, got, want)
		}
	}
}

// TestTrieShrinks removes everything and looks that nothing stays behind.
func TestTrieShrinks(t *testing.T) {
	trie := router.NewTrie[int]()
	for i := range 5000 {
		trie.Add("truck/"+strconv.Itoa(i)+"/in/#", i)
		trie.Add("all", i)
	}
	if n := len(trie.Match([]byte("all"), nil)); n != 5000 {
		t.Fatalf("%d match", n)
	}
	for i := range 5000 {
		if !trie.Remove("truck/"+strconv.Itoa(i)+"/in/#", i) || !trie.Remove("all", i) {
			t.Fatalf("%d was not there", i)
		}
		if got := trie.Match([]byte("truck/4999/in/x"), nil); len(got) != min(1, 4999-i) {
			t.Fatalf("after %d: %v", i, got)
		}
	}
	if trie.Len() != 0 || trie.Remove("all", 1) || trie.Remove("", 1) || trie.Remove("never/there", 1) || trie.Remove("+/x", 1) {
		t.Fatal("something is left")
	}
}

// TestTrieConcurrent has readers look for subscriptions that are always there
// while writers change others in the same nodes.
func TestTrieConcurrent(t *testing.T) {
	trie := router.NewTrie[int]()
	for i := range 50 {
		trie.Add(fmt.Sprintf("fixed/%d", i), i)
		trie.Add("+/shared", i)
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for range 3000 {
				i := 1000*(w+1) + random.IntN(200)
				pattern := []string{fmt.Sprintf("fixed/%d", i), "+/shared", "fixed/#", fmt.Sprintf("fixed/%d/x", i%50)}[random.IntN(4)]
				if random.IntN(2) == 0 {
					trie.Add(pattern, i)
				} else {
					trie.Remove(pattern, i)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			var dst []int
			for i := 0; ; i = (i + 1) % 50 {
				select {
				case <-stop:
					return
				default:
				}
				dst = trie.Match(fmt.Appendf(nil, "fixed/%d", i), dst[:0])
				if !slices.Contains(dst, i) {
					t.Errorf("fixed/%d was missed", i)
					return
				}
				dst = trie.Match([]byte("any/shared"), dst[:0])
				for k := range 50 {
					if !slices.Contains(dst, k) {
						t.Errorf("+/shared of %d was missed", k)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// TestTrieSplitsConcurrent has readers look for subscriptions that are always
// there while writers part and join the nodes above, below and beside them.
func TestTrieSplitsConcurrent(t *testing.T) {
	trie := router.NewTrie[int]()
	always := []string{"a/b/c/d/e/f", "a/+/c/d/#", "a/b/+/+/e/+", "+/b/c/#", "a-name-too-long-for-a-node/and/another-one-behind-it"}
	topics := [][]byte{[]byte("a/b/c/d/e/f"), []byte("a-name-too-long-for-a-node/and/another-one-behind-it")}
	for i, pattern := range always {
		trie.Add(pattern, i)
	}
	moving := []string{"a/b/c/d/e", "a/b/c/#", "a/b/x", "a", "a/+/c", "a/+/c/d/x", "+", "+/b/y/#", "a/b/+/z", "a/b/c/d/e/f/g", "a-name-too-long-for-a-node/and", "a/b/c/d/e/f"}
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(w)))
			for range 20_000 {
				pattern, item := moving[random.IntN(len(moving))], 100*(w+1)+random.IntN(3)
				if random.IntN(2) == 0 {
					trie.Add(pattern, item)
				} else {
					trie.Remove(pattern, item)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			var dst []int
			for !stop.Load() {
				dst = trie.Match(topics[0], dst[:0])
				for i := range 4 {
					if !slices.Contains(dst, i) {
						t.Errorf("%s was missed: %v", always[i], dst)
						return
					}
				}
				if dst = trie.Match(topics[1], dst[:0]); !slices.Equal(dst, []int{4}) {
					t.Errorf("%s: %v", topics[1], dst)
					return
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	for _, pattern := range moving {
		for item := range 300 {
			trie.Remove(pattern, item)
		}
	}
	left := map[string]int{}
	trie.Walk(func(pattern string, item int) bool {
		left[pattern] = item
		return true
	})
	if trie.Len() != len(always)-1 || len(left) != len(always)-1 { // a/b/c/d/e/f is gone, item 0 with it
		t.Errorf("left: %v", left)
	}
}

func TestTrieMatchDoesNotAllocate(t *testing.T) {
	trie := fleet(t, 1000)
	dst, seen := make([]uint64, 0, 64), map[uint64]struct{}{}
	topic := []byte("truck/77/in/door")
	if n := testing.AllocsPerRun(100, func() {
		dst = trie.Match(topic, dst[:0])
		dst = trie.MatchUnique(topic, dst[:0], seen)
	}); n != 0 || len(dst) != 3 {
		t.Errorf("%v allocations, %d items", n, len(dst))
	}
}

// fleet is n trucks, each with two subscriptions of its own, and three watchers.
func fleet(t testing.TB, n int) *router.Trie[uint64] {
	trie := router.NewTrie[uint64]()
	add := func(pattern string, item uint64) {
		if _, err := trie.Add(pattern, item); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		add(fmt.Sprintf("truck/%d/in/#", i), uint64(i))
		add(fmt.Sprintf("depot/%d/+/alarm", i), uint64(i))
	}
	add("truck/+/in/#", 1e9)
	add("truck/+/in/door", 1e9+1)
	add("alarm/#", 1e9+2)
	return trie
}

func BenchmarkMatch(b *testing.B) {
	trie := fleet(b, 50_000)
	topics := make([][]byte, 1024)
	for i := range topics {
		topics[i] = fmt.Appendf(nil, "truck/%d/in/door", i*47)
	}
	dst := make([]uint64, 0, 16)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		dst = trie.Match(topics[i%len(topics)], dst[:0])
	}
}

func BenchmarkAddRemove(b *testing.B) {
	trie := fleet(b, 50_000)
	b.ReportAllocs()
	for b.Loop() {
		trie.Add("truck/70000/in/#", 1)
		trie.Remove("truck/70000/in/#", 1)
	}
}
