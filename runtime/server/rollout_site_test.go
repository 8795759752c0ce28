package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/server"
)

// The guests that do what their configuration, or else the payload, says. They are
// the same but for their bytes.
const (
	inRust           = "../../abi/vectors/v1.0/rust.wasm"
	inAssemblyScript = "../../abi/vectors/v1.0/assemblyscript.wasm"
)

func module(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// site is a running server whose configuration and plugin lie in a folder.
type site struct {
	*fixture
	dir string
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const siteYAML = `
loops: 2
watch: WATCH
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: t, acknowledge: "", chain: [guest]}
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: t, chain: [guest], subscribe: ["t"], outbox: {size: 16MiB}}
plugins:
  guest:
    file: guest.wasm
    watch: WATCH
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: ["localhost"]}}
    config: {messages: "reply one"}
    rollout: {mode: at-once}
api: {address: ""}
`

// open starts a server in a folder of its own. changes are pairs of texts that
// replace each other in the configuration.
func open(t *testing.T, driver string, changes ...string) *site {
	t.Helper()
	return openWith(t, driver, nil, changes...)
}

// openWith is open with a process that compiles.
func openWith(t *testing.T, driver string, compiler []string, changes ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &lockedBuffer{}}
	s.write("guest.wasm", module(t, inRust))
	s.configure(changes...)
	reload := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: s.path("weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Driver: driver, Reload: reload, Compiler: compiler}
	if len(compiler) == 0 { // else it is to have something to do
		o.CacheDir = compiled
	}
	srv, err := server.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.fixture = run(t, srv)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write renames a new file into place.
func (s *site) write(name string, content []byte) {
	if err := os.WriteFile(s.path(name+".new"), content, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		panic(err)
	}
}

func (s *site) configure(changes ...string) {
	text := siteYAML
	for i := 0; i < len(changes); i += 2 {
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	s.write("weft.yaml", []byte(strings.ReplaceAll(text, "WATCH", "false")))
}

// plugin is the guest as the API shows it.
func (s *site) plugin() *weftv1.Plugin {
	s.t.Helper()
	list, err := s.Rollouts().List(s.t.Context(), []string{"guest"})
	if err != nil || len(list) != 1 {
		s.t.Fatalf("%v, %v", list, err)
	}
	return list[0]
}

// until waits until the guest is as it should be.
func (s *site) until(what string, is func(p *weftv1.Plugin) bool) *weftv1.Plugin {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		p := s.plugin()
		if is(p) {
			return p
		}
		if time.Now().After(end) {
			s.t.Fatalf("it did not come to %s: %v\n%s", what, p, s.log)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *site) swap(q *weftv1.PluginsSwapRequest) *weftv1.PluginsSwapResponse {
	s.t.Helper()
	q.Name = "guest"
	r, err := s.Rollouts().Swap(s.t.Context(), q)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
	return r
}

// must fails the test where a step was refused.
func (s *site) must(_ *weftv1.Plugin, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) reload() {
	s.t.Helper()
	if err := s.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// ask says something on a connection and returns the answer.
func (c *client) ask(line string) string {
	c.t.Helper()
	c.say(text(line))
	return string(c.hear().Payload)
}

// awaitOf waits for one sample of a metric.
func (f *fixture) awaitOf(name, label string, want float64) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); f.MetricOf(name, label) != want; {
		if time.Now().After(end) {
			f.t.Fatalf("%s of %s is %v, not %v", name, label, f.MetricOf(name, label), want)
		}
		time.Sleep(time.Millisecond)
	}
}

func sumOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
