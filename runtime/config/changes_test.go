package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

const running = `
loops: 1
listeners:
  - {name: a, address: "127.0.0.1:1", frame: line, chain: [p, {plugin: q, config: {x: 1}}]}
  - {name: b, address: "127.0.0.1:2", frame: mine}
plugins:
  p: {file: "std:one", grants: {kv: {size: 1MiB}}, config: {k: v}}
  q: {file: "std:two"}
routes:
  - {name: r, to: [subscribers], chain: [{plugin: p, config: {y: 1}}]}
frames:
  mine: {fields: [{name: length, bytes: 4}]}
`

func TestChanges(t *testing.T) {
	from := load(t, config.Options{File: "x.yaml", Data: []byte(running)})
	for _, c := range []struct{ what, old, new, plugins, keys, restart string }{
		{"nothing", "", "", "[] []", "[]", "[]"},
		{"a comment and an empty line", "frames:", "\n# moved\nframes:", "[] []", "[]", "[]"},
		{"a plugin's config", "{k: v}", "{k: w}", "[p] []", "[plugins.p]", "[]"},
		{"in a listener's chain", "{x: 1}", "{x: 2}", "[q] []", "[plugins.q]", "[]"},
		{"in a route's chain", "{y: 1}", "{y: 2}", "[p] []", "[plugins.p]", "[]"},
		{"grants", "1MiB", "2MiB", "[p] []", "[plugins.p]", "[]"},
		{"file", "std:two", "std:three", "[q] []", "[plugins.q]", "[]"},
		{"policy and limits", `"std:two"`, `"std:two", on_failure: open, memory: 1MiB, cpu: 1ms, tick: 2s`, "[q] []", "[plugins.q]", "[]"},
		{"rules", `"std:two"`, `"std:two", watch: false, rollout: canary`, "[] [q]", "[plugins.q]", "[]"},
		{"rules and file", `"std:two"`, `"std:three", rollout: canary`, "[q] []", "[plugins.q]", "[]"},
		{"own config where there was none", "[p, {", "[{plugin: p, config: {}}, {", "[p] []", "[listeners.a plugins.p]", "[]"},
		{"a chain", "[p, {", "[q, {", "[] []", "[listeners.a]", "[]"},
		{"an address", "127.0.0.1:2", "127.0.0.1:3", "[] []", "[listeners.b]", "[]"},
		{"a name", "name: b", "name: c", "[] []", "[listeners.b listeners.c]", "[]"},
		{"a listener more", "plugins:", "  - {name: z, address: \"127.0.0.1:9\", frame: line}\nplugins:", "[] []", "[listeners.z]", "[]"},
		{"another protocol at the same address", "frame: line", "frame: mcp-seq", "[] []", "[]", "[listeners.a.frame]"},
		{"another protocol elsewhere", "\"127.0.0.1:1\", frame: line", "\"127.0.0.1:9\", frame: mcp-seq", "[] []", "[listeners.a]", "[]"},
		{"the first of MQTT", "plugins:", "  - {name: z, address: \"127.0.0.1:9\", frame: mqtt}\nplugins:", "[] []", "[]", "[listeners.z.frame]"},
		{"a session and a topic", "127.0.0.1:2\"", "127.0.0.1:2\", topic: t, session: {ttl: 7s}", "[] []", "[listeners.b]", "[listeners.b.session]"},
		{"a filter", "127.0.0.1:2\"", "127.0.0.1:2\", filter: {deny: [192.0.2.1]}", "[] []", "[listeners.b.filter]", "[]"},
		{"a plugin more", "  q: {", "  z: {file: \"std:z\"}\n  q: {", "[] []", "[plugins.z]", "[]"},
		{"loops", "loops: 1", "loops: 2", "[] []", "[]", "[loops]"},
		{"a frame", "bytes: 4", "bytes: 2", "[] []", "[]", "[listeners.b.frame]"},
		{"a route", "to: [subscribers]", "to: [all]", "[] []", "[routes.r]", "[]"},
		{"a route more", "frames:", "  - {name: s, to: [all]}\nframes:", "[] []", "[routes.s]", "[]"},
		{"a durable route more", "frames:", "  - {name: s, to: [all], durable: {}}\nframes:", "[] []", "[]", "[routes.s]"},
		{"a route becomes durable", "to: [subscribers]", "to: [subscribers], durable: {}", "[] []", "[]", "[routes.r.durable]"},
		{"a pool", "frames:", "upstreams:\n  u: {protocol: http, members: [\"10.0.0.1:80\"]}\nframes:", "[] []", "[upstreams.u]", "[]"},
		{"bounds of the API", "frames:", "api: {rate: 5/s, cors: [\"https://a.example\"]}\nframes:", "[] []", "[api]", "[]"},
		{"parts of mappings", "frames:", "log: {level: debug, format: json}\ndead_letter: {topic: t, keep: 5}\napi: {connections: 9}\nframes:", "[] []", "[dead_letter log]", "[api.connections dead_letter.keep log.format]"},
		{"limits", "loops: 1", "limits: {connections: 7}\nloops: 1", "[] []", "[limits]", "[]"},
		{"watch", "loops: 1", "loops: 1\nwatch: false", "[] []", "[]", "[]"},
	} {
		to := load(t, config.Options{File: "x.yaml", Data: []byte(strings.Replace(running, c.old, c.new, 1))})
		reloaded, restart := to.Reloadable(from, from)
		ch := from.Changes(reloaded)
		if got := fmt.Sprint(ch.Plugins, ch.Rules); got != c.plugins {
			t.Errorf("%s: %s, expected %s", c.what, got, c.plugins)
		}
		if got := fmt.Sprint(ch.Keys()); got != c.keys || ch.Any() != (c.keys != "[]") {
			t.Errorf("%s: %s, expected %s", c.what, got, c.keys)
		}
		if got := fmt.Sprint(restart); got != c.restart {
			t.Errorf("%s: %s for a restart, expected %s", c.what, got, c.restart)
		}
	}
}

// What waits for a restart keeps what it stands on: its place in the list, its plugins
// and its pools.
func TestReloadableKeeps(t *testing.T) {
	from := load(t, config.Options{File: "x.yaml", Data: []byte(`
listeners:
  - {name: goes, address: "127.0.0.1:1", frame: line}
  - {name: named, address: "127.0.0.1:2", frame: line, chain: [of]}
frames: {f: {unit: {length: 4}, header: [{name: length, type: u32, value: length}]}}
routes:
  - {name: first, to: [all]}
  - {name: log, when: {listener: named}, to: ["upstream:u"], chain: [p], durable: {}}
  - {name: last, to: [all]}
plugins: {p: {file: "std:one"}, of: {file: "std:one"}}
upstreams: {u: {protocol: tcp, frame: f, members: ["10.0.0.1:80"]}}
`)})
	to := load(t, config.Options{File: "x.yaml", Data: []byte(`
routes:
  - {name: last, to: [all]}
  - {name: first, to: [all]}
  - {name: new, to: [all]}
`)})
	reloaded, restart := to.Reloadable(from, from)
	var names []string
	for _, r := range reloaded.Routes {
		names = append(names, r.Name)
	}
	if got := fmt.Sprint(names, len(reloaded.Plugins), len(reloaded.Upstreams), len(reloaded.Listeners), len(reloaded.Frames)); got != "[last first log new] 2 1 1 1" {
		t.Error(got)
	}
	if got := fmt.Sprint(restart); got != "[listeners.named plugins.of plugins.p routes.log upstreams.u]" {
		t.Error(got)
	}
	if len(to.Plugins)+len(to.Upstreams)+len(to.Routes) != 3 {
		t.Error("the configuration that was read has changed")
	}
}
