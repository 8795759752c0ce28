package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/server"
)

const toCheck = `
listeners:
  - {name: lines, address: "127.0.0.1:1", frame: line, topic: t, acknowledge: "", chain: [guest]}
plugins:
  guest:
    file: guest.wasm
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: ["localhost"]}}
    config: {messages: "reply one", key: "${env:KEY}", file: "${file:key}"}
  std: {file: "std:json-filter"}
converters: {telemetry: {from: protobuf, to: json, descriptor: telemetry.binpb, message: acme.Telemetry}}
api: {address: "127.0.0.1:1"}
`

// A text is checked as the configuration that runs was loaded: with its folder, its
// environment and its overrides. What these hold is not shown, whatever the text says.
func TestConfigIsCheckedAsItWasLoaded(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"weft.yaml": []byte(toCheck), "guest.wasm": module(t, inRust), "key": []byte("planted-in-a-file\n"), "telemetry.binpb": schema(t, "first"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(config.Options{
		File: filepath.Join(dir, "weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names(),
		Env:       []string{"KEY=planted-as-a-variable", "WEFT_LOOPS=2", "WEFT_CLIENT=x", "WEFT_PLUGINS_GUEST_CONFIG_SECRET=planted-by-weft", "WEFT_DRAIN=1s"},
		Reserved:  []string{"WEFT_CLIENT"},
		Overrides: map[string]string{"api.address": "127.0.0.1:0", "listeners.lines.address": "127.0.0.1:0", "plugins.guest.config.token": "planted-by-a-flag"},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: logger(t), CacheDir: compiled})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	for _, c := range []struct {
		what, old, new         string
		says, changes, restart string // says "" is no problem
	}{
		{"the very same", "", "", "", "", ""},
		{"another topic", "topic: t", "topic: u", "", "listeners.lines", ""},
		{"what overrides have", `"127.0.0.1:1"`, `"127.0.0.1:2"`, "", "", ""},
		{"a plugin's configuration", "reply one", "reply two", "", "plugins.guest", ""},
		{"what waits for a restart", "listeners:", "tracing: {endpoint: \"http://127.0.0.1:4318\"}\nlisteners:", "", "", "tracing"},
		{"no such file", "guest.wasm", "gone.wasm", "no such file: plugins.guest.file", "", ""},
		{"no such variable", "env:KEY", "env:OTHER", "${env:OTHER}", "", ""},
		{"a listener that an override names is gone", "name: lines", "name: others", "listeners.lines", "", ""},
		{"a key that takes a variable for itself", "  guest:", "  guest_config_secret:", "plugins.guest_config_secret", "", ""},
		{"text where a mapping is", `config: {messages: "reply one", key: "${env:KEY}", file: "${file:key}"}`, "config: text", "plugins.guest.config", "", ""},
		{"a secret for a header's value", "converters:", "upstreams: {u: {protocol: http, members: [\"127.0.0.1:1\"], http: {headers: {x: \"a\\n${env:KEY}\"}}}}\nconverters:", "headers", "", ""},
		{"a secret where none may be", "topic: t", `topic: "a/#/${env:KEY}"`, "topic", "", ""},
	} {
		problems, changes, restart := f.CheckConfig([]byte(strings.Replace(toCheck, c.old, c.new, 2)), "yaml")
		said := strings.Join(problems, "\n")
		if strings.Contains(said, "planted") {
			t.Errorf("%s: a secret is shown: %s", c.what, said)
		}
		if (said == "") != (c.says == "") || !strings.Contains(said, c.says) || strings.Join(changes, " ") != c.changes || strings.Join(restart, " ") != c.restart {
			t.Errorf("%s: %q, changes %v, restart %v, want %q, %q, %q", c.what, said, changes, restart, c.says, c.changes, c.restart)
		}
	}

	if err := os.WriteFile(filepath.Join(dir, "telemetry.binpb"), schema(t, "second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if problems, changes, _ := f.CheckConfig([]byte(toCheck), "yaml"); len(problems) > 0 || !slices.Equal(changes, []string{"converters"}) {
		t.Errorf("another schema: %v %v", problems, changes)
	}
}
