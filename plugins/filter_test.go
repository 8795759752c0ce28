package plugins_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// blocking is a guest of a version that blocks a source.
func blocking(version string) *wasmtest.Module {
	m := &wasmtest.Module{MemoryMin: 1}
	m.Import("weft", "filter_block", "iiI:i")
	return m.Export(version, abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
}

// TestFilterCameWith11: a guest that was built for 1.0 has no filter, in its imports and
// in its manifest; everything else of it is as before.
func TestFilterCameWith11(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	granted := hostfuncs.Grants{Filter: &hostfuncs.FilterGrant{}}
	asking := func(version string) *wasmtest.Module {
		m := wasmtest.New().Remove(abi.Current.Export()).Export(version, abi.Signature{})
		return manifested(m, `"filter":{"reason":"blocks who floods"}`)
	}
	for name, c := range map[string]struct {
		module *wasmtest.Module
		grants hostfuncs.Grants
		is     error
		says   string
	}{
		"imported":             {blocking("weft_abi_1_1"), granted, nil, ""},
		"imported too early":   {blocking("weft_abi_1_0"), granted, plugins.ErrImport, "weft.filter_block, which came with ABI 1.1, and it was built for 1.0: build it with an SDK of version 1.1"},
		"asked for":            {asking("weft_abi_1_1"), granted, nil, ""},
		"asked for too early":  {asking("weft_abi_1_0"), granted, plugins.ErrManifest, "capability filter, which came with ABI 1.1"},
		"imported, no grant":   {blocking("weft_abi_1_1"), hostfuncs.Grants{}, plugins.ErrNotGranted, "belongs to capability filter; not granted: add `filter: {sources: 1000, longest: 10m}` under plugins.guest.grants"},
		"asked for, no grant":  {asking("weft_abi_1_1"), hostfuncs.Grants{}, plugins.ErrNotGranted, `asks for capability filter: "blocks who floods"`},
		"nothing of it in 1.0": {wasmtest.New().Remove(abi.Current.Export()).Export("weft_abi_1_0", abi.Signature{}), hostfuncs.Grants{}, nil, ""},
	} {
		_, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: c.module.Bytes(), Grants: c.grants})
		if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", name, err, c.says)
		}
	}
}

// saidRules are the rules that were put into force.
type saidRules struct{ list []string }

func (r *saidRules) Change(c hostfuncs.FilterChange) bool {
	r.list = append(r.list, c.Verb.String()+" "+c.Source.String())
	return true
}

func (r *saidRules) Revoke(string) {}

// TestFilterBesideALiveGeneration: a shadow blocks nobody and a canary does, once, for its
// sessions; both share what the plugin may.
func TestFilterBesideALiveGeneration(t *testing.T) {
	guest := func() *wasmtest.Module {
		m := &wasmtest.Module{MemoryMin: 8}
		source, block := m.Import("weft", "filter_source", "Iii:I"), m.Import("weft", "filter_block", "iiI:i")
		m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(wasmtest.BufferAt))
		drop := []byte{0x1a}
		return m.Hook(abi.ExportOnMessages, wasmtest.EachRecord(
			wasmtest.Get(2), wasmtest.Load64(abi.RecordSession), wasmtest.I32(textAt), wasmtest.I32(64), wasmtest.Call(source), drop,
			wasmtest.I32(textAt), wasmtest.I32(9), wasmtest.I64(1000), wasmtest.Call(block), drop))
	}
	for _, mode := range []string{"alone", "canary", "shadow"} {
		rules := &saidRules{}
		env := newEnv(t, plugins.EnvConfig{Filter: hostfuncs.NewFilter(nil, rules)})
		grants := hostfuncs.Grants{Filter: &hostfuncs.FilterGrant{}}
		live := load(t, env, guest(), plugins.Spec{Grants: grants})
		chain := newChain(t, live)
		chain.OnSource(func(session uint64) (netip.Addr, bool) {
			return netip.AddrFrom4([4]byte{192, 0, 2, byte(session)}), true
		})
		if mode != "alone" {
			next := load(t, env, guest(), plugins.Spec{Grants: grants, Shadow: mode == "shadow", Generation: 2})
			try := chain.Canary
			if mode == "shadow" {
				try = chain.Shadow
			}
			if err := try(live, standbys(t, next, 1), 100); err != nil {
				t.Fatal(err)
			}
		}
		b := messages("x")
		b.Messages[0].Session = 7
		chain.Messages(b)
		if got := strings.Join(rules.list, ", "); got != "block 192.0.2.7/32" {
			t.Errorf("%s: %q, expected one block", mode, got)
		}
	}
}
