package hostfuncs

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
)

type stillClock int64

func (c *stillClock) Wall() int64      { return int64(*c) }
func (c *stillClock) Monotonic() int64 { return int64(*c) }

// TestOverlayIsANamespace: a shadow answers as a namespace with the same contents
// does, revisions apart, and the one below stays as it was.
func TestOverlayIsANamespace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := stillClock(1e9)
		kv := NewKV(&now)
		below, _ := kv.Namespace("below", 1<<20)
		model, _ := kv.Namespace("model", 1<<20)
		keys := rapid.SampledFrom([][]byte{[]byte("a"), []byte("b"), []byte("c")})
		values := rapid.SampledFrom([][]byte{[]byte("x"), []byte("12345678"), nil})
		ttls := rapid.SampledFrom([]int64{0, 5, 50, -1})
		for range rapid.IntRange(0, 6).Draw(t, "before") {
			key, value, ttl := keys.Draw(t, "key"), values.Draw(t, "value"), ttls.Draw(t, "ttl")
			below.Set(key, value, ttl)
			model.Set(key, value, ttl)
		}
		used, revision := below.Used(), below.revision.Load()
		o := newOverlay(below)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			key, value, ttl := keys.Draw(t, "key"), values.Draw(t, "value"), ttls.Draw(t, "ttl")
			var got, want abi.Status
			var a, b int64
			switch rapid.SampledFrom([]string{"get", "set", "cas", "stale", "add", "delete", "wait"}).Draw(t, "op") {
			case "get":
				var x, y [16]byte
				n, s := o.Get(key, x[:])
				m, z := model.Get(key, y[:])
				if n != m || x != y {
					t.Fatalf("get: %d %q, expected %d %q", n, x, m, y)
				}
				got, want = s, z
			case "set":
				_, got = o.Set(key, value, ttl)
				_, want = model.Set(key, value, ttl)
			case "cas":
				r, _ := o.Revision(key)
				_, got = o.CompareAndSet(key, r, value, ttl)
				r, _ = model.Revision(key)
				_, want = model.CompareAndSet(key, r, value, ttl)
			case "stale":
				_, got = o.CompareAndSet(key, 1<<40, value, ttl)
				_, want = model.CompareAndSet(key, 1<<40, value, ttl)
			case "add":
				a, got = o.Add(key, 3, ttl)
				b, want = model.Add(key, 3, ttl)
			case "delete":
				got, want = o.Delete(key), model.Delete(key)
			case "wait":
				now += 10e6
			}
			if got != want || a != b {
				t.Fatalf("status %d, sum %d; expected %d, %d", got, a, want, b)
			}
		}
		if below.revision.Load() != revision || below.Used() > used {
			t.Fatal("the namespace below has changed")
		}
	})
}

func TestOverlayIsBounded(t *testing.T) {
	now := stillClock(1)
	below, _ := NewKV(&now).Namespace("n", 1000)
	o := newOverlay(below)
	for i := range 100 {
		if _, status := o.Set([]byte{byte('a' + i)}, []byte("value"), 1); status == abi.StatusLimit {
			if i < 5 || o.used > 1000 {
				t.Errorf("full after %d keys and %d bytes", i, o.used)
			}
			now += 2e6
			if _, status := o.Set([]byte("again"), nil, 0); status != abi.StatusOK || o.used > 1000 {
				t.Errorf("after they have expired: %d, %d bytes", status, o.used)
			}
			return
		}
	}
	t.Fatal("no bound")
}

func TestShadow(t *testing.T) {
	kv := NewKV(nil)
	h, err := New(Config{Plugin: "p", Shadow: true, KV: kv, HTTP: panics{}, Metrics: nil, Grants: Grants{
		KV: &KVGrant{Namespace: "n"}, HTTP: &HTTPGrant{Hosts: []string{"a"}}, Metrics: &MetricsGrant{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, status := h.kv.space.Set([]byte("k"), []byte("v"), 0); status != abi.StatusOK {
		t.Fatal(status)
	}
	live, _ := kv.Namespace("n", 0)
	if live.Used() != 0 {
		t.Error("a shadow wrote into the live namespace")
	}
	if _, status := h.http.send(WithCalls(t.Context(), h.NewCalls()), nil, nil); status != abi.StatusDenied {
		t.Errorf("http_send of a shadow: %d", status)
	}
	if h.metrics.sink != (DiscardMetrics{}) {
		t.Error("a shadow's metrics are kept")
	}
}
