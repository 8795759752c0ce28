package hostfuncs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

type clock struct{ now atomic.Int64 }

func (c *clock) Wall() int64      { return c.now.Load() }
func (c *clock) Monotonic() int64 { return c.now.Load() }

func space(t testing.TB, c *clock, size int64) *hostfuncs.Namespace {
	t.Helper()
	s, err := hostfuncs.NewKV(c).Namespace("n", size)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNamespaces(t *testing.T) {
	kv := hostfuncs.NewKV(nil)
	a, _ := kv.Namespace("a", 0)
	again, _ := kv.Namespace("a", 1<<20)
	b, _ := kv.Namespace("b", 0)
	if a != again || a == b {
		t.Error("a name does not name one namespace")
	}
	for _, bad := range []struct {
		name string
		size int64
	}{{"", 1}, {"a", -1}} {
		if _, err := kv.Namespace(bad.name, bad.size); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestBoundAndExpiry(t *testing.T) {
	c := &clock{}
	c.now.Store(1e9)
	s := space(t, c, 10*1000)
	full := 0
	for ; ; full++ {
		_, status := s.Set(fmt.Append(nil, "key", full), make([]byte, 100), 1000)
		if status == abi.StatusLimit {
			break
		}
	}
	if full < 40 || full > 60 || s.Used() > 10000 {
		t.Errorf("%d entries, %d bytes", full, s.Used())
	}
	if _, status := s.Set([]byte("key0"), make([]byte, 10), 0); status != abi.StatusOK {
		t.Errorf("a smaller value in a full namespace: %d", status)
	}
	c.now.Add(1e9)
	if _, status := s.Get([]byte("key1"), nil); status != abi.StatusNotFound {
		t.Errorf("an expired key: %d", status)
	}
	if _, status := s.Set([]byte("new"), make([]byte, 5000), 0); status != abi.StatusOK {
		t.Errorf("what has expired was not swept: %d", status)
	}
	if n, status := s.Get([]byte("key0"), nil); n != 10 || status != abi.StatusOK {
		t.Errorf("a key for ever: %d, %d", n, status)
	}
	if _, status := s.Add([]byte("sum"), 1, 10); status != abi.StatusOK {
		t.Fatal(status)
	}
	c.now.Add(9e6)
	if sum, _ := s.Add([]byte("sum"), 1, 10000); sum != 2 {
		t.Errorf("sum %d", sum)
	}
	c.now.Add(2e6)
	if sum, _ := s.Add([]byte("sum"), 1, 10); sum != 1 {
		t.Errorf("adding kept the key alive: sum %d", sum)
	}
}

// TestConcurrentUse: sums are exact and compare-and-set has one winner, from any
// number of goroutines.
func TestConcurrentUse(t *testing.T) {
	s := space(t, &clock{}, 1<<20)
	var wg sync.WaitGroup
	var wins atomic.Int64
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				s.Add([]byte("sum"), 1, 0)
				key := fmt.Append(nil, "lock", i)
				if _, status := s.CompareAndSet(key, 0, []byte{byte(g)}, 0); status == abi.StatusOK {
					wins.Add(1)
				}
				s.Get(key, make([]byte, 1))
			}
		})
	}
	wg.Wait()
	if sum, _ := s.Add([]byte("sum"), 0, 0); sum != 8000 || wins.Load() != 1000 {
		t.Errorf("sum %d, %d wins", sum, wins.Load())
	}
}

// TestModel compares the store with a plain map, step by step.
func TestModel(t *testing.T) {
	type entry struct {
		value    []byte
		revision int64
		expires  int64
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{}
		kv := hostfuncs.NewKV(c)
		s, _ := kv.Namespace("n", 1<<20)
		model := map[string]entry{}
		last := int64(0)
		key := rapid.SampledFrom([]string{"a", "b", "c"})
		ttl := rapid.SampledFrom([]int64{0, 0, 1, 5})
		get := func(k string) (entry, bool) {
			e, ok := model[k]
			if ok && e.expires != 0 && e.expires <= c.now.Load() {
				delete(model, k)
				return entry{}, false
			}
			return e, ok
		}
		store := func(k string, v []byte, revision, expires int64) {
			if revision <= last {
				t.Fatalf("revision %d after %d", revision, last)
			}
			last = revision
			model[k] = entry{v, revision, expires}
		}
		expires := func(ttl int64) int64 {
			if ttl == 0 {
				return 0
			}
			return c.now.Load() + ttl*1e6
		}
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) { c.now.Add(rapid.Int64Range(0, 3e6).Draw(t, "by")) },
			"set": func(t *rapid.T) {
				k, v, ttl := key.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "value"), ttl.Draw(t, "ttl")
				revision, status := s.Set([]byte(k), v, ttl)
				if status != abi.StatusOK {
					t.Fatal(status)
				}
				store(k, v, revision, expires(ttl))
			},
			"cas": func(t *rapid.T) {
				k, v, ttl := key.Draw(t, "key"), []byte("cas"), ttl.Draw(t, "ttl")
				e, _ := get(k)
				want := e.revision + rapid.Int64Range(0, 1).Draw(t, "off")
				revision, status := s.CompareAndSet([]byte(k), want, v, ttl)
				if (status == abi.StatusOK) != (want == e.revision) {
					t.Fatalf("revision %d, asked %d: %d", e.revision, want, status)
				}
				if status == abi.StatusOK {
					store(k, v, revision, expires(ttl))
				}
			},
			"add": func(t *rapid.T) {
				k, ttl := key.Draw(t, "key"), ttl.Draw(t, "ttl")
				delta := rapid.SampledFrom([]int64{1, -5, 0, math.MaxInt64, math.MinInt64}).Draw(t, "delta")
				e, ok := get(k)
				sum, status := s.Add([]byte(k), delta, ttl)
				if ok && len(e.value) != 8 {
					if status != abi.StatusInvalid {
						t.Fatal(status)
					}
					return
				}
				before := int64(0)
				if ok {
					before = int64(binary.LittleEndian.Uint64(e.value))
				}
				overflow := delta > 0 && before > math.MaxInt64-delta || delta < 0 && before < math.MinInt64-delta || before+delta < math.MinInt64+16
				if overflow != (status == abi.StatusLimit) || !overflow && sum != before+delta {
					t.Fatalf("%d + %d: %d, %d", before, delta, sum, status)
				}
				if !overflow {
					if !ok {
						e.expires = expires(ttl)
					}
					revision, _ := s.Revision([]byte(k))
					store(k, binary.LittleEndian.AppendUint64(nil, uint64(sum)), revision, e.expires)
				}
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, ok := get(k)
				if status := s.Delete([]byte(k)); (status == abi.StatusOK) != ok {
					t.Fatal(status)
				}
				delete(model, k)
			},
			"": func(t *rapid.T) {
				for _, k := range []string{"a", "b", "c"} {
					e, ok := get(k)
					buffer := make([]byte, 16)
					n, status := s.Get([]byte(k), buffer)
					revision, _ := s.Revision([]byte(k))
					if ok != (status == abi.StatusOK) || ok && (!bytes.Equal(buffer[:n], e.value) || revision != e.revision) {
						t.Fatalf("key %s: %q at %d, expected %+v", k, buffer[:n], revision, e)
					}
				}
			},
		})
	})
}

func BenchmarkAdd(b *testing.B) {
	s := space(b, &clock{}, 1<<20)
	key := []byte("truck/7/count")
	b.ReportAllocs()
	for b.Loop() {
		s.Add(key, 1, 0)
	}
}

func BenchmarkGet(b *testing.B) {
	s := space(b, &clock{}, 1<<20)
	key, value := []byte("truck/7/count"), make([]byte, 64)
	s.Set(key, value, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.Get(key, value)
	}
}

// TestEntries: a namespace takes as many entries as it may have, an expired one
// makes room, and a change of one that is there needs none.
func TestEntries(t *testing.T) {
	c := &clock{}
	kv := hostfuncs.NewKV(c)
	grants := hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "n", Entries: 2}}
	if _, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", Grants: grants, KV: kv}); err != nil {
		t.Fatal(err)
	}
	n, err := kv.Namespace("n", 0)
	if err != nil {
		t.Fatal(err)
	}
	set := func(key string, ttl int64, want abi.Status) {
		t.Helper()
		if _, status := n.Set([]byte(key), []byte("v"), ttl); status != want {
			t.Errorf("%s: %v, expected %v", key, status, want)
		}
	}
	set("a", 0, abi.StatusOK)
	set("b", 5, abi.StatusOK)
	set("c", 0, abi.StatusLimit)
	set("a", 0, abi.StatusOK)
	used := n.Used()
	set("c", 0, abi.StatusLimit)
	if n.Used() != used || n.Len() != 2 {
		t.Errorf("%d bytes, %d entries after a refusal, expected %d and 2", n.Used(), n.Len(), used)
	}
	c.now.Add(6e6)
	set("c", 0, abi.StatusOK)
	set("d", 0, abi.StatusLimit)
	n.Delete([]byte("a"))
	set("d", 0, abi.StatusOK)
}
