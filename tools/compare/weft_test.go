package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
)

// TestWeftConfig: what weft is compared with is a valid configuration with three
// plugins in the path.
func TestWeftConfig(t *testing.T) {
	dir := t.TempDir()
	args, err := weftCommand("", dir, 7400)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: filepath.Join(dir, "weft.yaml"), Presets: frame.Presets()})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listeners) != 1 || len(c.Listeners[0].Chain) != 3 {
		t.Errorf("%+v", c.Listeners)
	}
	if got := strings.Join(args, " "); got != "run -c "+filepath.Join(dir, "weft.yaml") {
		t.Errorf("run as %q", got)
	}
}

// TestScenariosAreTheSameForAll: servers differ only in the protocol and the
// separator of topics.
func TestScenariosAreTheSameForAll(t *testing.T) {
	o := options{seconds: 1, window: 8192}
	for _, s := range scenarios {
		if s.size == 0 {
			continue
		}
		var first load.Config
		for i, p := range peers {
			running, stop, err := startAll(t.Context(), []server{fakeServer(t, p.name)})
			if err != nil {
				t.Fatal(err)
			}
			running[0].peer = p
			c, err := s.config(running[0], o)
			if err != nil {
				t.Fatal(err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if len(c.Topics) != s.topics || !strings.HasSuffix(c.Topics[0], p.separator+"telemetry") {
				t.Errorf("%s, %s: topics %q", s.name, p.name, c.Topics[:1])
			}
			if i == 0 {
				first = c
			}
			if c.Window != first.Window || c.Payload != first.Payload || c.Rate != first.Rate || c.Duration != first.Duration || len(c.Subscribe) != len(first.Subscribe) {
				t.Errorf("%s: %s gets %+v, the first %+v", s.name, p.name, c, first)
			}
		}
	}
}
