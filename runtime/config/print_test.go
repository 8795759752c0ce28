package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// TestPrintLoadsAgain prints every right configuration among the cases and loads what was
// printed: the settings are the same.
func TestPrintLoadsAgain(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.want")
	if err != nil {
		t.Fatal(err)
	}
	printed := 0
	for _, want := range files {
		text, err := os.ReadFile(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != "ok\n" {
			continue
		}
		printed++
		file := strings.TrimSuffix(want, ".want")
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, p := range []config.Printing{{}, {Origins: true}, {Given: true}, {Given: true, Origins: true}} {
				printAgain(t, caseOptions(t, file), p)
			}
		})
	}
	if printed < 10 {
		t.Errorf("only %d configurations were printed", printed)
	}
}

func printAgain(t *testing.T, o config.Options, p config.Printing) {
	t.Helper()
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	settings := c.Effective()
	env := slices.DeleteFunc(slices.Clone(o.Env), func(variable string) bool { return strings.HasPrefix(variable, "WEFT_") })
	again := func(name string, text []byte) {
		t.Helper()
		c, err := config.Load(config.Options{File: filepath.Join(filepath.Dir(o.File), name), Data: text, Env: env, Presets: presets, StdPlugins: o.StdPlugins})
		if err != nil {
			t.Fatalf("%s with %+v: %v\n%s", name, p, err, text)
		}
		was, is := settings, c.Effective()
		for i := range is {
			if i >= len(was) || was[i].Key != is[i].Key || was[i].Value != is[i].Value || was[i].Secret != is[i].Secret {
				if strings.HasPrefix(is[i].Key, "frames.") && i < len(was) && is[i].Key == was[i].Key && strings.HasSuffix(name, ".json") {
					continue // JSON has other lines
				}
				t.Errorf("%s with %+v: %+v is not what was printed:\n%s", name, p, is[i], text)
				return
			}
		}
		if len(is) != len(was) {
			t.Errorf("%s with %+v: %d settings of %d", name, p, len(is), len(was))
		}
	}
	var yaml, asJSON bytes.Buffer
	if err := c.WriteYAML(&yaml, p); err != nil {
		t.Fatal(err)
	}
	again("printed.yaml", yaml.Bytes())
	if err := c.WriteJSON(&asJSON, p); err != nil {
		t.Fatal(err)
	}
	if !p.Origins {
		again("printed.json", asJSON.Bytes())
	} else if !json.Valid(asJSON.Bytes()) {
		t.Errorf("not JSON: %s", asJSON.Bytes())
	}
}

// TestPrintOrigins says where each value comes from, and no more of secrets than that
// they are there.
func TestPrintOrigins(t *testing.T) {
	c, err := config.Load(config.Options{
		File: "conf/weft.yaml",
		Data: []byte(`listeners:
  - name: trucks
    address: 127.0.0.1:7400
    frame: line
    subscribe: [a/b, c/#]
    chain: [auth]
plugins:
  auth:
    file: std:jwt-auth
    config: {algorithm: HS256, key: planted-1, deep: {api_key: planted-2, tokens: [planted-3]}, url: "redis://u:planted-4@host/1", limit: 3, broker: "u:planted-5@host", passwort: planted-6, psk: planted-7, signing: planted-8, password: 47114711, tokens: 5}
upstreams:
  hook:
    protocol: http
    members: [127.0.0.1:80]
    http: {headers: {Authorization: "Bearer planted-5", X-Site: berlin}}
`),
		Env:        []string{"WEFT_LOG_LEVEL=debug", "WEFT_LISTENERS_TRUCKS_OUTBOX_SIZE=2MiB", "WEFT_PLUGINS_AUTH_CONFIG_SECRET=planted-6"},
		Overrides:  map[string]string{"drain": "3s"},
		StdPlugins: []string{"jwt-auth"},
	})
	if err != nil {
		t.Fatal(err)
	}
	type value struct {
		value, from string
		secret      bool
	}
	want := map[string]value{
		"drain":                                     {"3s", "--set", false},
		"log.level":                                 {"debug", "WEFT_LOG_LEVEL", false},
		"log.format":                                {"text", "default", false},
		"listeners.trucks.address":                  {"127.0.0.1:7400", "conf/weft.yaml:3", false},
		"listeners.trucks.acknowledge":              {"ACK: {payload}", "default", false},
		"listeners.trucks.outbox.size":              {"2MiB", "WEFT_LISTENERS_TRUCKS_OUTBOX_SIZE", false},
		"listeners.trucks.subscribe":                {"[a/b, c/#]", "conf/weft.yaml:5", false},
		"listeners.trucks.chain":                    {"[auth]", "conf/weft.yaml:6", false},
		"plugins.auth.config.algorithm":             {"HS256", "conf/weft.yaml:10", false},
		"plugins.auth.config.limit":                 {"3", "conf/weft.yaml:10", false},
		"plugins.auth.config.key":                   {config.Hidden, "conf/weft.yaml:10", true},
		"plugins.auth.config.deep.api_key":          {config.Hidden, "conf/weft.yaml:10", true},
		"plugins.auth.config.deep.tokens":           {"[(secret)]", "conf/weft.yaml:10", true},
		"plugins.auth.config.url":                   {config.Hidden, "conf/weft.yaml:10", true},
		"plugins.auth.config.password":              {config.Hidden, "conf/weft.yaml:10", true},
		"plugins.auth.config.tokens":                {"5", "conf/weft.yaml:10", false},
		"plugins.auth.config.secret":                {config.Hidden, "WEFT_PLUGINS_AUTH_CONFIG_SECRET", true},
		"upstreams.hook.members":                    {"['127.0.0.1:80']", "conf/weft.yaml:14", false},
		"upstreams.hook.http.headers.X-Site":        {"berlin", "conf/weft.yaml:15", false},
		"upstreams.hook.http.headers.Authorization": {config.Hidden, "conf/weft.yaml:15", true},
	}
	got := map[string]value{}
	for _, s := range c.Effective() {
		if _, asked := want[s.Key]; asked {
			got[s.Key] = value{s.Value, s.From(), s.Secret}
		}
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: got %+v, want %+v", key, got[key], w)
		}
	}
	for _, p := range []config.Printing{{}, {Origins: true}, {Given: true}} {
		var out bytes.Buffer
		if err := c.WriteYAML(&out, p); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteJSON(&out, p); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "planted") {
			t.Errorf("a secret is printed:\n%s", out.String())
		}
	}
}

// TestEffectiveDefault lists the defaults of a configuration that nobody has written.
func TestEffectiveDefault(t *testing.T) {
	settings := config.Default().Effective()
	found := map[string]string{}
	for _, s := range settings {
		if s.Origin != config.OriginDefault || !reflect.DeepEqual(s.Place, config.Place{}) {
			t.Errorf("%+v is no default", s)
		}
		found[s.Key] = s.Value
	}
	for key, want := range map[string]string{"drain": "10s", "limits.connections": "100000", "default_route": "[subscribers]", "api.rate": "200/s", "watch": "true"} {
		if found[key] != want {
			t.Errorf("%s: got %q, want %q", key, found[key], want)
		}
	}
}

// TestKeysSayWhatTakesARestart holds the table of keys against what Changes says of two
// files that differ in one value.
func TestKeysSayWhatTakesARestart(t *testing.T) {
	load := func(text string) *config.Config {
		t.Helper()
		c, err := config.Load(config.Options{File: "weft.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const base = `{loops: 2, plugins: {a: {file: "std:jwt-auth", memory: 1MiB}}, listeners: [{name: a, address: "127.0.0.1:7400", frame: line, filter: {default: allow}}]}`
	for key, change := range map[string][2]string{
		"loops":                      {"loops: 2", "loops: 3"},
		"plugins.NAME.memory":        {"1MiB", "2MiB"},
		"listeners[].address":        {"7400", "7401"},
		"listeners[].filter.default": {"default: allow", "default: deny, allow: [127.0.0.1]"},
	} {
		_, restart := load(strings.Replace(base, change[0], change[1], 1)).Reloadable(load(base), load(base))
		want := len(restart) > 0
		if got := config.TakesRestart(key); got != want {
			t.Errorf("%s: restart %v, want %v", key, got, want)
		}
	}
}
