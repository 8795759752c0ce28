package hostfuncs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

func TestParseGrants(t *testing.T) {
	g, err := hostfuncs.ParseGrants(map[string]map[string]any{
		"log": {"rate": 5, "burst": 7.5}, "metrics": nil, "clock": {}, "random": nil,
		"kv": {"namespace": "tokens", "size": "2MiB"}, "wasi": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.Log.Rate != 5 || g.Log.Burst != 7.5 || g.KV.Namespace != "tokens" || g.KV.Size != 2<<20 {
		t.Errorf("read %+v, %+v", g.Log, g.KV)
	}
	for _, c := range []abi.Capability{abi.CapLog, abi.CapMetrics, abi.CapClock, abi.CapRandom, abi.CapKV, abi.CapWASI} {
		if !g.Has(c) || (hostfuncs.Grants{}).Has(c) {
			t.Errorf("capability %s", c)
		}
	}
	if g.Has(abi.CapHTTP) {
		t.Error("http is granted")
	}
}

func TestParseGrantsRefuses(t *testing.T) {
	for says, in := range map[string]map[string]map[string]any{
		`unknown capability "lgo": expected log`: {"lgo": nil},
		"reserved for a later version":           {"http": nil},
		"kv.namespace is missing":                {"kv": nil},
		`kv.size is "much"`:                      {"kv": {"namespace": "n", "size": "much"}},
		"kv.size is -1":                          {"kv": {"namespace": "n", "size": -1}},
		"kv.name is unknown: expected namespace": {"kv": {"namespace": "n", "name": "n"}},
		"kv.namespace is 3":                      {"kv": {"namespace": 3}},
		"log.rate is fast":                       {"log": {"rate": "fast"}},
		"metrics.max is 0":                       {"metrics": {"max": 0}},
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
	grants.KV.Namespace = ""
	if _, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", Grants: grants, KV: hostfuncs.NewKV(nil)}); !errors.Is(err, hostfuncs.ErrNamespace) {
		t.Errorf("kv without a namespace: %v", err)
	}
}
