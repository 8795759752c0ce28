package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/runtime/config"
)

func load(t *testing.T, o config.Options) *config.Config {
	t.Helper()
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFullShape(t *testing.T) {
	c := load(t, config.Options{File: "testdata/cases/full.yaml", Presets: presets})
	l := c.Listeners[0]
	if l.Name != "trucks" || l.Limits.Frame != 64<<10 || l.Outbox.Size != 1<<20 || l.Heartbeat.CloseAfter.Std() != 90*time.Second {
		t.Errorf("listener: %+v", l)
	}
	if e := l.Chain[1]; e.Plugin != "normalise" || string([]byte(e.Config)) != `{"limit":8}` {
		t.Errorf("chain entry: %s %s", e.Plugin, []byte(e.Config))
	}
	if e := l.Chain[0]; e.Plugin != "auth" || e.Config != nil {
		t.Errorf("chain entry: %s %s", e.Plugin, []byte(e.Config))
	}
	auth := c.Plugins["auth"]
	if name, ok := auth.Std(); !ok || name != "jwt-auth" || auth.Path != "" || string([]byte(auth.Config)) != `{"key":"secret"}` {
		t.Errorf("plugin: %+v", auth)
	}
	if g := auth.Grants; g.Clock == nil || g.Log == nil || g.Metrics != nil || g.Random != nil || g.KV.Namespace != "x" || g.KV.Size != 1<<20 {
		t.Errorf("grants: %+v", g)
	}
	if p := c.Plugins["route"].Path; p != filepath.Join("testdata", "cases", "present.wasm") {
		t.Errorf("path: %s", p)
	}
	alarms := c.Routes[0]
	if *alarms.When.Priority != (config.Priorities{Min: 4, Max: 7}) || alarms.When.Attributes["level"] != "high" || alarms.To[1].To != "queue:ops" {
		t.Errorf("route: %+v", alarms)
	}
	if split := c.Routes[1]; split.To[0] != (config.Target{To: "queue:blue", Weight: 90}) || split.When.Priority != nil || split.When.Match != config.MatchAll {
		t.Errorf("route: %+v", split)
	}
}

func TestDefaults(t *testing.T) {
	c := config.Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.API.Address != "127.0.0.1:7480" || c.Drain.Std() != 10*time.Second || c.DefaultRoute[0] != "subscribers" || c.Limits.Connections != 100000 {
		t.Errorf("%+v", *c)
	}
	if loaded := load(t, config.Options{}); fmt.Sprintf("%+v", loaded.API) != fmt.Sprintf("%+v", c.API) {
		t.Errorf("Load without a file: %+v", loaded.API)
	}
	line := `listeners: [{name: a, address: "127.0.0.1:0", frame: line}, {name: b, address: "127.0.0.1:0", frame: line, acknowledge: ""}, {name: c, address: "127.0.0.1:0", frame: mcp-seq}]`
	c = load(t, config.Options{File: "x.yaml", Data: []byte(line)})
	for i, want := range []string{"ACK: {payload}", "", ""} {
		if got := c.Listeners[i].Acknowledge; got != want {
			t.Errorf("%s: acknowledge %q, expected %q", c.Listeners[i].Name, got, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	o := config.Options{File: "x.yaml", Data: []byte(`
log: {level: warn}
default_route: [all]
listeners:
  - {name: trucks, address: "127.0.0.1:1", frame: line}
  - {name: lines, address: "127.0.0.1:2", frame: line}
plugins:
  auth: {file: "std:jwt-auth", config: {key: old, "limit": 3}}
`)}
	check := func(level, address string) *config.Config {
		t.Helper()
		c := load(t, o)
		if c.Log.Level != level || c.Listeners[1].Address != address || c.Listeners[0].Address != "127.0.0.1:1" {
			t.Errorf("level %s, address %s; expected %s, %s", c.Log.Level, c.Listeners[1].Address, level, address)
		}
		return c
	}
	check("warn", "127.0.0.1:2")
	o.Env = []string{
		"HOME=/", "WEFT_LOG_LEVEL=error", "WEFT_LISTENERS_LINES_ADDRESS=127.0.0.1:3", "WEFT_LISTENERS_0_OUTBOX_WHEN_FULL=disconnect",
		"WEFT_DEFAULT_ROUTE=subscribers, queue:ops", "WEFT_DEAD_LETTER_TOPIC=", "WEFT_LISTENERS_LINES_LIMITS_FRAME=4KiB",
		"WEFT_PLUGINS_AUTH_CONFIG_KEY=12345", "WEFT_PLUGINS_AUTH_CONFIG_LIMIT=4", "WEFT_PLUGINS_AUTH_CONFIG_NEW_ONE=x",
		"WEFT_PLUGINS_AUTH_GRANTS_KV_SIZE=2MiB", "WEFT_MINE=1",
	}
	o.Reserved = []string{"WEFT_MINE"}
	c := check("error", "127.0.0.1:3")
	if c.Listeners[0].Outbox.WhenFull != config.WhenFullDisconnect || c.Listeners[1].Limits.Frame != 4096 {
		t.Errorf("%+v", c.Listeners)
	}
	if strings.Join(c.DefaultRoute, " ") != "subscribers queue:ops" || c.DeadLetter.Topic != "" {
		t.Errorf("%v %q", c.DefaultRoute, c.DeadLetter.Topic)
	}
	auth := c.Plugins["auth"]
	if got := string([]byte(auth.Config)); got != `{"key":"12345","limit":4,"new_one":"x"}` {
		t.Error(got)
	}
	if auth.Grants.KV == nil || auth.Grants.KV.Size != 2<<20 || auth.Grants.KV.Namespace != "auth" {
		t.Errorf("%+v", auth.Grants.KV)
	}
	o.Overrides = map[string]string{"log.level": "debug", "listeners.lines.address": "127.0.0.1:4", "plugins.more.file": "std:x"}
	if c = check("debug", "127.0.0.1:4"); c.Plugins["more"].File != "std:x" {
		t.Error("an override made no new plugin")
	}
	if at := c.Place("log.level").String(); at != "override" {
		t.Error(at)
	}
	if at := c.Place("default_route.0").String(); at != "environment WEFT_DEFAULT_ROUTE" {
		t.Error(at)
	}
}

func TestPlace(t *testing.T) {
	c := load(t, config.Options{File: "testdata/cases/full.yaml"})
	for key, line := range map[string]int{
		"plugins.auth.file":            22,
		"plugins.auth.config.key":      23,
		"plugins.auth.nothing":         21,
		"listeners.lines.address":      18,
		"listeners.1.address":          18,
		"listeners.trucks.subscribe.0": 10,
		"routes.split.hash":            36,
		"frames.my-frame":              41,
		"nothing":                      0,
	} {
		if got := c.Place(key); got.Line != line || got.File != "testdata/cases/full.yaml" {
			t.Errorf("%s: %s, expected line %d", key, got, line)
		}
	}
	if at := config.Default().Place("log.level").String(); at != "" {
		t.Error(at)
	}
}

func TestFrames(t *testing.T) {
	doc := `listeners: []
frames:
  first:   # a comment
    # another
    fields:

      - {name: a, bytes: 1}
  second: {fields: [{name: b, bytes: 2}]}
  third:
    fields: &f
      - {name: c, bytes: 1}
  fourth:
    fields: *f
log: {level: info}
`
	c := load(t, config.Options{File: "x.yaml", Data: []byte(doc)})
	for name, want := range map[string]struct {
		begin, at, line int
		field           string
	}{
		"first": {5, 3, 7, "a"}, "second": {8, 2, 8, "b"}, "third": {10, 2, 11, "c"}, "fourth": {12, 2, 12, "c"},
	} {
		f := c.Frames[name]
		var declared struct{ Fields []struct{ Name string } }
		if err := yaml.Unmarshal(f.Doc, &declared); err != nil || len(declared.Fields) != 1 || declared.Fields[0].Name != want.field {
			t.Errorf("%s: %v\n%s", name, err, f.Doc)
		}
		if f.Line != want.begin || f.FileLine(want.at) != want.line {
			t.Errorf("%s: begins on %d, its line %d is %d; expected %d and %d", name, f.Line, want.at, f.FileLine(want.at), want.begin, want.line)
		}
	}
	c = load(t, config.Options{File: "x.yaml", Data: []byte(doc), Overrides: map[string]string{"frames.first": "{fields: [{name: z}]}"}})
	if got := string(c.Frames["first"].Doc); !strings.Contains(got, "name: z") {
		t.Error(got)
	}
}

func TestSecretsStayUnprinted(t *testing.T) {
	c := load(t, config.Options{File: "testdata/cases/full.yaml"})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "plugin", c.Plugins["auth"], "raw", c.Plugins["auth"].Config)
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	config := c.Plugins["auth"].Config
	printed := fmt.Sprintf("%v %+v %#v %s %q %x %d", c, *c, c.Plugins, config, config, config, config) + log.String() + string(text)
	for _, secret := range []string{"secret", fmt.Sprintf("%x", "secret"), "115 101 99"} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is in %s", secret, printed)
		}
	}
}

func TestFileErrors(t *testing.T) {
	for name, o := range map[string]config.Options{
		"no such file": {File: filepath.Join(t.TempDir(), "none.yaml")},
		"unknown kind": {File: "weft.ini", Data: []byte("a=b")},
		"a folder":     {File: t.TempDir()},
	} {
		if _, err := config.Load(o); !errors.Is(err, config.ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProblemsAreErrors(t *testing.T) {
	_, err := config.Load(config.Options{File: "x.yaml", Data: []byte("loops: x\ndrain: y\n")})
	var problems config.Problems
	var one config.Problem
	if !errors.As(err, &problems) || len(problems) != 2 || !errors.As(err, &one) || one.Line != 1 || one.Key != "loops" || one.Found != "text" {
		t.Errorf("%v", err)
	}
	c := config.Default()
	c.Listeners = []config.Listener{{Name: "a", Address: "nowhere"}}
	if err := c.Validate(); !errors.As(err, &problems) || problems[0].Key != "listeners.a.address" {
		t.Errorf("%v", err)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]config.Size{"64KiB": 64 << 10, "1MiB": 1 << 20, "1048576": 1 << 20, "1.5 GiB": 3 << 29, "2kB": 2000, "3TiB": 3 << 40, "1PiB": 1 << 50, "7B": 7, "0": 0} {
		if got, err := config.ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1e400", "NaN", "9999999999GiB", "64kib", "1 2"} {
		if got, err := config.ParseSize(text); !errors.Is(err, config.ErrUnit) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for size, want := range map[config.Size]string{0: "0", 1000: "1000", 1024: "1KiB", 3 << 20: "3MiB", 5 << 30: "5GiB", 1 << 50: "1PiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s", size, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m", 1500 * time.Millisecond: "1.5s", time.Hour + time.Second: "1h0m1s"} {
		if got := config.Duration(d).String(); got != want {
			t.Errorf("%s: %s, expected %s", d, got, want)
		}
	}
}

func TestEnvKeys(t *testing.T) {
	all := strings.Join(config.EnvKeys(), " ")
	for _, want := range []string{"WEFT_API_ADDRESS", "WEFT_LOG_LEVEL", "WEFT_DEAD_LETTER_TOPIC", "WEFT_LOOPS"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not in %s", want, all)
		}
	}
}

// FuzzLoad: whatever the file and the environment hold, Load returns either a
// configuration that is valid or an error with a text.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/cases/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if data := readSeed(f, file); data != nil {
			f.Add(seedKind(file), data, "WEFT_LISTENERS_TRUCKS_ADDRESS=x", "listeners.0.name")
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, variable, key string) {
		ext := []string{".yaml", ".toml", ".json"}[kind%3]
		c, err := config.Load(config.Options{File: "fuzz" + ext, Data: data, Env: []string{variable}, Overrides: map[string]string{key: variable}})
		switch {
		case err != nil && err.Error() == "":
			t.Error("an error without a text")
		case err == nil && c.Validate() != nil:
			t.Errorf("loaded, but invalid: %v", c.Validate())
		case err == nil:
			c.Place(key)
		}
	})
}

// TestPrefixedSum: a pin may be pasted as weft prints it.
func TestPrefixedSum(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for pin, good := range map[string]bool{sum: true, "sha256:" + sum: true, "sha256:ab": false, "md5:" + sum: false} {
		c := config.Config{Plugins: map[string]config.Plugin{"p": {File: "std:x", SHA256: pin, OnFailure: "closed"}}}
		err := c.Validate()
		if named := err != nil && strings.Contains(err.Error(), "SHA-256"); named == good {
			t.Errorf("%s: %v", pin, err)
		}
	}
}
