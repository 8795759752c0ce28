package plugins_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

func TestParseManifest(t *testing.T) {
	m, err := plugins.ParseManifest([]byte(`{"name": "topic-router", "version": "1.2.0-rc.1+5", "description": "Größe", "license": "Apache-2.0",
		"homepage": "https://example.org", "x-team": {"any": ["thing"]},
		"capabilities": {"publish": {"reason": "sends copies", "optional": true}, "kv": {"reason": "counts"}, "wasi": {"reason": "Go"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "topic-router" || m.Version != "1.2.0-rc.1+5" || m.Description != "Größe" || m.License != "Apache-2.0" || m.Homepage == "" ||
		len(m.Capabilities) != 3 || m.Capabilities["publish"] != (plugins.ManifestCapability{Reason: "sends copies", Optional: true}) {
		t.Errorf("read %+v", m)
	}
}

// TestParseManifestRefuses: each mistake is named, and so are several at once.
func TestParseManifestRefuses(t *testing.T) {
	ok := `"name":"a","version":"1"`
	for text, says := range map[string]string{
		"":                                      "the JSON ends too early",
		"{":                                     "the JSON ends too early",
		`{"name":"a","version":"1"`:             "the JSON ends too early",
		`{` + ok + `} {}`:                       "something follows",
		`[]`:                                    `the manifest is "[]": expected an object`,
		`null`:                                  "expected an object",
		`{"name":"a",}`:                         "invalid character",
		"{" + ok + ",\"description\":\"\xff\"}": "no UTF-8",
		`{"version":"1"}`:                       "name is missing",
		`{"name":"a"}`:                          "version is missing",
		`{"name":"A","version":"1"}`:            `name "A": expected ^[a-z]`,
		`{"name":3,"version":"1"}`:              "name is 3: expected text",
		`{"name":null,"version":"1"}`:           "name is null: expected text",
		`{"name":"a","version":""}`:             `version "": expected`,
		`{"name":"a","version":"1 beta"}`:       `version "1 beta"`,
		`{` + ok + `,"Name":"b"}`:               "unknown key Name: did you mean name?",
		`{` + ok + `,"capabilitys":{}}`:         "unknown key capabilitys: did you mean capabilities?",
		`{` + ok + `,"team":"b"}`:               "name keys of your own x-",
		`{` + ok + `,"name":"b"}`:               `key "name" of the manifest is given twice`,
		`{` + ok + `,"description":"a\nb"}`:     "description holds a control character",
		`{` + ok + `,"description":"` + strings.Repeat("x", 1025) + `"}`:                                "description has 1025 bytes: at most 1024",
		`{` + ok + `,"x-long":"` + strings.Repeat("x", abi.MaxManifest) + `"}`:                          "at most 65536",
		`{` + ok + `,"capabilities":["kv"]}`:                                                            "capabilities is",
		`{` + ok + `,"capabilities":{"kv":"counts"}}`:                                                   `capabilities.kv is "\"counts\"": expected an object`,
		`{` + ok + `,"capabilities":{"kv":{}}}`:                                                         "capabilities.kv.reason is missing",
		`{` + ok + `,"capabilities":{"kv":{"reason":" "}}}`:                                             "capabilities.kv.reason is missing",
		`{` + ok + `,"capabilities":{"kv":{"reason":"x","optionl":true}}}`:                              "unknown key capabilities.kv.optionl: did you mean optional?",
		`{` + ok + `,"capabilities":{"kv":{"reason":"x","optional":"yes"}}}`:                            `capabilities.kv.optional is "yes": expected true or false`,
		`{` + ok + `,"capabilities":{"kv":{"reason":"x"},"kv":{"reason":"y"}}}`:                         `key "kv" of capabilities is given twice`,
		`{` + ok + `,"capabilities":{"publsh":{"reason":"x"}}}`:                                         "unknown key capabilities.publsh: did you mean publish?",
		`{` + ok + `,"capabilities":{"network":{"reason":"x"}}}`:                                        "expected log, metrics",
		`{"name":"A","version":"","capabilities":{"kv":{"reason":"` + strings.Repeat("x", 513) + `"}}}`: "reason has 513 bytes",
		`{"x":` + strings.Repeat("[", 20000):                                                            "exceeded max depth",
	} {
		_, err := plugins.ParseManifest([]byte(text))
		if !errors.Is(err, plugins.ErrManifest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: got %v, expected %q", text, err, says)
		}
	}
	_, err := plugins.ParseManifest([]byte(`{"name":"A","capabilities":{"kv":{}}}`))
	if got := strings.Count(fmt.Sprint(err), "\n") + 1; got != 3 {
		t.Errorf("%d of 3 mistakes are reported: %v", got, err)
	}
}

// manifested is a guest with a manifest that asks for the capabilities.
func manifested(m *wasmtest.Module, capabilities string) *wasmtest.Module {
	return m.Custom(abi.ManifestSection, []byte(`{"name":"a","version":"1","capabilities":{`+capabilities+`}}`))
}

// TestManifestAgainstGrants: what the manifest asks for must be granted, unless it
// is optional; an import must be granted whatever the manifest says.
func TestManifestAgainstGrants(t *testing.T) {
	importing := func() *wasmtest.Module {
		m := &wasmtest.Module{MemoryMin: 1}
		m.Import("weft", "random", "ii:i")
		return m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
	}
	env := newEnv(t, plugins.EnvConfig{})
	all := allGrants("n")
	all.Publish, all.Subscribe = &hostfuncs.PublishGrant{Topics: []string{"#"}}, &hostfuncs.SubscribeGrant{Topics: []string{"#"}}
	for i, c := range []struct {
		module *wasmtest.Module
		grants hostfuncs.Grants
		says   []string
	}{
		{manifested(wasmtest.New(), `"publish":{"reason":"sends copies"}`), hostfuncs.Grants{},
			[]string{"asks for capability publish", `"sends copies"`, "add `publish: {topics: [\"TOPIC/#\"]}` under plugins.guest.grants"}},
		{manifested(wasmtest.New(), `"publish":{"reason":"x","optional":true}`), hostfuncs.Grants{}, nil},
		{manifested(wasmtest.New(), `"publish":{"reason":"x"},"subscribe":{"reason":"y"},"clock":{"reason":"z"}`), all, nil},
		{manifested(wasmtest.New(), `"publish":{"reason":"x"},"clock":{"reason":"z"}`), hostfuncs.Grants{},
			[]string{"capability publish", "capability clock", "add `clock: {}`"}},
		{manifested(importing(), `"random":{"reason":"x","optional":true}`), hostfuncs.Grants{}, []string{"imports weft.random", `why: "x"`, "add `random: {}`"}},
		{manifested(importing(), ``), hostfuncs.Grants{}, []string{"imports weft.random, which belongs to capability random; not granted: add"}},
		{manifested(importing(), `"random":{"reason":"x"}`), hostfuncs.Grants{Random: &hostfuncs.RandomGrant{}}, nil},
	} {
		_, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: c.module.Bytes(), Grants: c.grants})
		if (err == nil) != (c.says == nil) || err != nil && !errors.Is(err, plugins.ErrNotGranted) {
			t.Errorf("case %d: %v", i, err)
		}
		for _, want := range c.says {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("case %d: %q is not in: %v", i, want, err)
			}
		}
	}
}

func TestUnusedGrants(t *testing.T) {
	all := allGrants("n")
	all.Publish, all.Subscribe = &hostfuncs.PublishGrant{}, &hostfuncs.SubscribeGrant{}
	wasi := &wasmtest.Module{MemoryMin: 1}
	wasi.Import("wasi_snapshot_preview1", "random_get", "ii:i")
	wasi.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
	for i, c := range []struct {
		module *wasmtest.Module
		grants hostfuncs.Grants
		want   []abi.Capability
	}{
		{wasmtest.New(), hostfuncs.Grants{}, nil},
		{wasmtest.New(), all, []abi.Capability{abi.CapLog, abi.CapMetrics, abi.CapRandom, abi.CapKV, abi.CapHTTP, abi.CapWASI}},
		{manifested(wasmtest.New(), `"clock":{"reason":"x"},"publish":{"reason":"x"}`), all,
			[]abi.Capability{abi.CapLog, abi.CapMetrics, abi.CapRandom, abi.CapKV, abi.CapSubscribe, abi.CapHTTP, abi.CapWASI}},
		{wasi, all, []abi.Capability{abi.CapMetrics, abi.CapKV, abi.CapHTTP}},
	} {
		d, err := plugins.Describe(c.module.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got := d.Unused(c.grants)
		if c.grants.HTTP == nil {
			got = slices.DeleteFunc(got, func(c abi.Capability) bool { return c == abi.CapHTTP })
			c.want = slices.DeleteFunc(slices.Clone(c.want), func(c abi.Capability) bool { return c == abi.CapHTTP })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("case %d: unused %v, expected %v", i, got, c.want)
		}
	}
}

// FuzzManifest: whatever the bytes, there is an error of our own or a manifest that
// keeps its promises and is read the same once it is written again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"a","version":"1","capabilities":{"kv":{"reason":"x","optional":true}},"x-y":[1]}`))
	f.Add([]byte(`{"name":"a","name":"b"}`))
	f.Add([]byte(`{"capabilities":{"kv":{"reason":1}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := plugins.ParseManifest(text)
		if err != nil {
			if !errors.Is(err, plugins.ErrManifest) {
				t.Fatalf("an error of another class: %v", err)
			}
			return
		}
		if m.Name == "" || m.Version == "" || len(m.Capabilities) > len(abi.Capabilities) {
			t.Fatalf("%+v", m)
		}
		for c, asked := range m.Capabilities {
			if asked.Reason == "" || !slices.Contains(abi.Capabilities, c) {
				t.Fatalf("capability %s: %+v", c, asked)
			}
		}
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := plugins.ParseManifest(written)
		if len(written) <= abi.MaxManifest && (err != nil || fmt.Sprint(again) != fmt.Sprint(m)) {
			t.Fatalf("%s is read as %+v, %v; expected %+v", written, again, err, m)
		}
	})
}
