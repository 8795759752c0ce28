package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// A ConfigMap of Kubernetes changes by a symbolic link that is renamed over another: that
// is one reload, however many files and links it touches.
func TestAConfigMapIsOneReload(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	version := 0
	mount := func(text string) {
		t.Helper()
		version++
		folder := fmt.Sprintf("..2026_%d", version)
		must(os.Mkdir(filepath.Join(dir, folder), 0o700))
		must(os.WriteFile(filepath.Join(dir, folder, "weft.yaml"), []byte(text), 0o600))
		must(os.WriteFile(filepath.Join(dir, folder, "other.yaml"), []byte(text), 0o600))
		must(os.Symlink(folder, filepath.Join(dir, "..data_tmp")))
		must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if version > 1 {
			must(os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", version-1))))
		}
	}
	watched := strings.Replace(reloaded, "loops: 2", "loops: 2\nwatch: true", 1)
	mount(watched)
	must(os.Symlink(filepath.Join("..data", "weft.yaml"), filepath.Join(dir, "weft.yaml")))
	read := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: filepath.Join(dir, "weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := read(t.Context())
	must(err)
	log := &lockedBuffer{}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: textLogger(log), Reload: read})
	must(err)
	f := run(t, srv)
	out, in := f.mqtt(packet.V5, "out"), f.dial("in")
	out.subscribes(to("#", 0))
	for i, topic := range []string{"b", "c", "d"} {
		mount(strings.Replace(watched, `to: ["topic:a"]`, `to: ["topic:`+topic+`"]`, 1))
		f.until("a reload", func() bool { return f.ConfigStatus().Applied > uint64(i) })
		in.say(text("x"))
		out.hearsOn(topic, "x")
	}
	mount(strings.Replace(watched, "topic: t", "topic: t, nonsense: 1", 1))
	f.until("it is refused", func() bool { return f.ConfigStatus().Refused > 0 })
	in.say(text("x"))
	out.hearsOn("d", "x")
	s := f.ConfigStatus()
	if s.Applied != 3 || s.Unchanged != 0 || s.Refused != 1 || s.Last.By != admin.ByFile || s.Good {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(log.String(), "the configuration was read again"); n != 3 {
		t.Errorf("it was read %d times", n)
	}
	if !strings.Contains(strings.Join(s.Last.Problems, "\n"), "nonsense") || time.Since(s.Last.At) > time.Hour {
		t.Errorf("%q", s.Last.Problems)
	}
}
