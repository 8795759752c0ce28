package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// togetherConfig is a configuration whose listener and route are of one version: a message
// that meets one of each goes to half.
const togetherConfig = `
loops: 2
watch: true
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t/VERSION", acknowledge: ""}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
routes:
  - {name: one, when: {topic: "t/VERSION"}, to: ["topic:out/VERSION"]}
default_route: ["topic:half"]
api: {address: ""}
`

// The file changes while a signal and the API ask for a reload: that is one reload or
// several, but in order, and never half of one.
func TestReloadsAtTheSameTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	version := func(n int) string { return strings.ReplaceAll(togetherConfig, "VERSION", fmt.Sprint(n)) }
	write := func(n int) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(version(n)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	read := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: file, Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: textLogger(&lockedBuffer{}), Reload: read})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	runs := func(n int) {
		t.Helper()
		sum := sha256.Sum256([]byte(version(n)))
		f.until(fmt.Sprint("version ", n), func() bool { return f.ConfigStatus().Sum == hex.EncodeToString(sum[:]) })
	}
	out, in := f.mqtt(packet.V5, "out"), f.dial("in")
	out.subscribes(to("out/+", 0), to("half", 0))
	const each, bursts, burst = 12, 6, 5
	var newest, done atomic.Int64
	seen := make(chan error, 1)
	go func() {
		last := 0
		seen <- func() error {
			for over := false; !over; {
				over = done.Load() > 0
				in.say(text("x"))
				m, n := out.hears(), 0
				if _, err := fmt.Sscanf(string(m.Topic), "out/%d", &n); err != nil || n < last || n > int(newest.Load()) {
					return fmt.Errorf("a message went to %s behind version %d, at most %d is there", m.Topic, last, newest.Load())
				}
				last = n
			}
			if want := each + bursts*burst; last != want {
				return fmt.Errorf("the last message met version %d, not %d", last, want)
			}
			return nil
		}()
	}()
	asks := func(all *sync.WaitGroup) {
		all.Go(func() {
			if err := f.Reload(t.Context()); err != nil { // as SIGHUP does
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := f.ReloadConfig(t.Context(), admin.ByAPI); err != nil {
				t.Error(err)
			}
		})
	}
	for n := 1; n <= each; n++ {
		var all sync.WaitGroup
		newest.Store(int64(n))
		write(n)
		asks(&all)
		all.Wait()
		runs(n)
	}
	if s := f.ConfigStatus(); s.Applied != each || s.Refused != 0 || !s.Good {
		t.Errorf("%d versions: %+v", each, s)
	}
	for n := range bursts {
		var all sync.WaitGroup
		for k := 1; k <= burst; k++ {
			newest.Store(int64(each + n*burst + k))
			write(each + n*burst + k)
			asks(&all)
		}
		all.Wait()
		runs(each + (n+1)*burst)
	}
	if s := f.ConfigStatus(); s.Applied < each+bursts || s.Applied > each+bursts*burst || s.Refused != 0 || !s.Good {
		t.Errorf("%d versions: %+v", each+bursts*burst, s)
	}
	done.Store(1)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}
