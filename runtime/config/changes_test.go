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
	for _, c := range []struct{ what, old, new, want string }{
		{"nothing", "", "", "[] [] []"},
		{"a comment and an empty line", "frames:", "\n# moved\nframes:", "[] [] []"},
		{"a plugin's config", "{k: v}", "{k: w}", "[p] [] []"},
		{"in a listener's chain", "{x: 1}", "{x: 2}", "[q] [] []"},
		{"in a route's chain", "{y: 1}", "{y: 2}", "[p] [] []"},
		{"grants", "1MiB", "2MiB", "[p] [] []"},
		{"file", "std:two", "std:three", "[q] [] []"},
		{"policy and limits", `"std:two"`, `"std:two", on_failure: open, memory: 1MiB, cpu: 1ms, tick: 2s`, "[q] [] []"},
		{"rules", `"std:two"`, `"std:two", watch: false, rollout: canary`, "[] [q] []"},
		{"rules and file", `"std:two"`, `"std:three", rollout: canary`, "[q] [] []"},
		{"own config where there was none", "[p, {", "[{plugin: p, config: {}}, {", "[] [] [listeners.a]"},
		{"a chain", "[p, {", "[q, {", "[] [] [listeners.a]"},
		{"an address", "127.0.0.1:2", "127.0.0.1:3", "[] [] [listeners.b]"},
		{"a name", "name: b", "name: c", "[] [] [listeners.b listeners.c]"},
		{"a plugin more", "  q: {", "  z: {file: \"std:z\"}\n  q: {", "[] [] [plugins.z]"},
		{"loops and a frame", "loops: 1", "loops: 2", "[] [] [loops]"},
		{"a frame", "bytes: 4", "bytes: 2", "[] [] [frames]"},
		{"a route", "to: [subscribers]", "to: [all]", "[] [] [routes.r]"},
		{"watch", "loops: 1", "loops: 1\nwatch: false", "[] [] []"},
	} {
		to := load(t, config.Options{File: "x.yaml", Data: []byte(strings.Replace(running, c.old, c.new, 1))})
		ch := from.Changes(to)
		if got := fmt.Sprint(ch.Plugins, ch.Rules, ch.Restart); got != c.want {
			t.Errorf("%s: %s, expected %s", c.what, got, c.want)
		}
	}
}
