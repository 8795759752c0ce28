package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

const referring = `
plugins:
  auth:
    file: std:jwt-auth
    config: {key: "${file:key}", plain: "$${env:KEY}", list: ["a-${env:KEY}-b"], n: 1}
upstreams:
  hook: {protocol: http, members: ["127.0.0.1:80"], http: {headers: {Authorization: "Bearer ${env:KEY}", X-Path: "/a"}}}
listeners:
  - {name: a, address: "127.0.0.1:0", frame: line, chain: [{plugin: auth, config: {key: "${env:KEY}"}}], topic: raw/a}
`

// TestReferences reads secrets from where the configuration says, again at each load, and
// shows the references and not what they stand for.
func TestReferences(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "weft.yaml"), filepath.Join(dir, "key")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, referring)
	write(key, "planted-1\n")
	o := config.Options{File: file, Env: []string{"KEY=planted-2"}}
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string([]byte(c.Plugins["auth"].Config)), `{"key":"planted-1","list":["a-planted-2-b"],"n":1,"plain":"${env:KEY}"}`; got != want {
		t.Errorf("the plugin gets %s, want %s", got, want)
	}
	if got := string([]byte(c.Listeners[0].Chain[0].Config)); got != `{"key":"planted-2"}` {
		t.Errorf("in the chain the plugin gets %s", got)
	}
	if got := c.Upstreams["hook"].HTTP.Headers["Authorization"]; got != "Bearer planted-2" {
		t.Errorf("the header is %q", got)
	}
	var out strings.Builder
	if err := c.WriteYAML(&out, config.Printing{Origins: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteJSON(&out, config.Printing{}); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Effective() {
		out.WriteString(s.Value)
		if s.Key == "plugins.auth.config.key" && (!s.Secret || s.Value != "${file:key}") {
			t.Errorf("%+v: want the reference", s)
		}
	}
	if text := out.String(); strings.Contains(text, "planted") || !strings.Contains(text, "Bearer ${env:KEY}") {
		t.Errorf("printed:\n%s", text)
	}

	if c.FilesChanged() {
		t.Error("nothing has changed")
	}
	write(key, "planted-3\n")
	if !c.FilesChanged() {
		t.Error("the key has changed")
	}
	again, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if changed := c.Changes(again).Plugins; len(changed) != 1 || changed[0] != "auth" {
		t.Errorf("changes are %v, want the plugin", changed)
	}
}

// TestReferencesWrong names the key and the reference of a secret that is not there.
func TestReferencesWrong(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "\n", "binary": "\xff\xfe", "large": strings.Repeat("x", 65<<10)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{
		"${env:ABSENT}":      `no such variable: plugins.auth.config.key: "${env:ABSENT}"; expected a secret in the environment variable ABSENT; set it where weft is started, or correct the name; ` + filepath.Join(dir, "weft.yaml") + ":1",
		"${env:WEFT_CONFIG}": "variables that begin with WEFT_ are configuration",
		"${env:}":            "no such variable",
		"${env:EMPTY}":       "an empty secret",
		"${file:absent}":     "no such file",
		"${file:}":           "no such file",
		"${file:.}":          "it is no file",
		"${file:empty}":      "an empty secret",
		"${file:binary}":     "not text",
		"${file:large}":      "at most 65536 are read",
		"planted ${file:x}":  `"${file:x}"`,
	} {
		_, err := config.Load(config.Options{
			File: filepath.Join(dir, "weft.yaml"), Data: []byte(`plugins: {auth: {file: "std:jwt-auth", config: {key: "` + ref + `"}}}`),
			Env: []string{"EMPTY=", "WEFT_CONFIG=planted"},
		})
		var problems config.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: got %v, want %q", ref, err, want)
		}
	}
}
