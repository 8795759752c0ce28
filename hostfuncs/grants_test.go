package hostfuncs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

func TestParseGrants(t *testing.T) {
	g, err := hostfuncs.ParseGrants(map[string]map[string]any{
		"log": {"rate": 5, "burst": 7.5}, "metrics": nil, "clock": {}, "random": {"rate": "64KiB"},
		"kv":      {"namespace": "tokens", "size": "2MiB", "entries": 9, "ttl": "90s"},
		"publish": {"topics": []any{"alarm/#"}}, "subscribe": {"topics": []string{"a", "b"}}, "wasi": {},
		"http": {"hosts": []any{"api.example.org", "http://127.0.0.1:80"}, "concurrency": 3, "deadline": "2s", "request": "1KiB", "response": 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.Log.Rate != 5 || g.Log.Burst != 7.5 || g.KV.Namespace != "tokens" || g.KV.Size != 2<<20 || g.KV.Entries != 9 || g.KV.TTL != 90*time.Second ||
		g.Random.Rate != 64<<10 || !slices.Equal(g.Publish.Topics, []string{"alarm/#"}) || len(g.Subscribe.Topics) != 2 {
		t.Errorf("read %+v, %+v, %+v, %+v, %+v", g.Log, g.KV, g.Random, g.Publish, g.Subscribe)
	}
	for _, c := range []abi.Capability{abi.CapLog, abi.CapMetrics, abi.CapClock, abi.CapRandom, abi.CapKV, abi.CapHTTP, abi.CapPublish, abi.CapSubscribe, abi.CapWASI} {
		if !g.Has(c) || (hostfuncs.Grants{}).Has(c) {
			t.Errorf("capability %s", c)
		}
	}
	if h := g.HTTP; len(h.Hosts) != 2 || h.Concurrency != 3 || h.Deadline != 2*time.Second || h.Request != 1024 || h.Response != 7 {
		t.Errorf("read %+v", h)
	}
	if g.Has(abi.CapFilter) {
		t.Error("filter is granted")
	}
}

func TestParseGrantsRefuses(t *testing.T) {
	for says, in := range map[string]map[string]map[string]any{
		`unknown capability "lgo": expected log`: {"lgo": nil},
		"filter.sources is 70000":                {"filter": {"sources": 70000}},
		"filter.longest is 25h0m0s":              {"filter": {"longest": "25h"}},
		"filter.rate is 100: expected a rate":    {"filter": {"rate": 100}},
		"filter.rate is 20000/s":                 {"filter": {"rate": "20000/s"}},
		"filter.source is unknown":               {"filter": {"source": "192.0.2.1"}},
		"http.hosts is missing":                  {"http": nil},
		`http.hosts holds a bad host "ftp://a"`:  {"http": {"hosts": []any{"ftp://a"}}},
		"http.hosts holds 7: expected text":      {"http": {"hosts": []any{7}}},
		"http.hosts is a: expected a list":       {"http": {"hosts": "a"}},
		"http.deadline is 2m0s: at most 1m0s":    {"http": {"hosts": []any{"a"}, "deadline": "2m"}},
		"http.deadline is 5: expected a time":    {"http": {"hosts": []any{"a"}, "deadline": 5}},
		"http.concurrency is 2000: at most 1024": {"http": {"hosts": []any{"a"}, "concurrency": 2000}},
		"at most 1MiB are allowed":               {"http": {"hosts": []any{"a"}, "response": "2MiB"}},
		"kv.namespace is missing":                {"kv": nil},
		`kv.size is "much"`:                      {"kv": {"namespace": "n", "size": "much"}},
		"kv.size is -1":                          {"kv": {"namespace": "n", "size": -1}},
		"kv.name is unknown: expected namespace": {"kv": {"namespace": "n", "name": "n"}},
		"kv.namespace is 3":                      {"kv": {"namespace": 3}},
		"log.rate is fast":                       {"log": {"rate": "fast"}},
		"metrics.max is 0":                       {"metrics": {"max": 0}},
		"kv.ttl is 5":                            {"kv": {"namespace": "n", "ttl": 5}},
		"kv.ttl is 1us":                          {"kv": {"namespace": "n", "ttl": "1us"}},
		"publish.topics: bad topics of a grant":  {"publish": nil},
		"subscribe.topics is a/#: expected a l":  {"subscribe": {"topics": "a/#"}},
		"publish.topics holds 3":                 {"publish": {"topics": []any{3}}},
		"# before its end":                       {"publish": {"topics": []any{"#/a"}}},
		"clock.zone is unknown: clock has no":    {"clock": {"zone": "UTC"}},
	} {
		if _, err := hostfuncs.ParseGrants(in); !errors.Is(err, hostfuncs.ErrGrants) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: got %v, expected %q", in, err, says)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	grants := hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "n"}}
	if _, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", Grants: grants}); !errors.Is(err, hostfuncs.ErrConfig) {
		t.Errorf("kv without a store: %v", err)
	}
	effects := hostfuncs.Grants{Subscribe: &hostfuncs.SubscribeGrant{}}
	if _, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", Grants: effects}); !errors.Is(err, hostfuncs.ErrTopics) {
		t.Errorf("subscribe without topics: %v", err)
	}
	grants.KV.Namespace = ""
	if _, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", Grants: grants, KV: hostfuncs.NewKV(nil)}); !errors.Is(err, hostfuncs.ErrNamespace) {
		t.Errorf("kv without a namespace: %v", err)
	}
}
