package server_test

import (
	"strings"
	"testing"
)

// A file that has changed is read once, though both SIGHUP and the watcher tell of it.
func TestAConfigurationIsReadOnce(t *testing.T) {
	s := open(t, "auto")
	logged := func(text string, times int) {
		t.Helper()
		if n := strings.Count(s.log.String(), text); n != times {
			t.Errorf("%q is logged %d times, expected %d", text, n, times)
		}
	}
	s.configure("mode: at-once", "mode: at-onse")
	for range 2 { // what a refused one names may have been mended: it is read whenever somebody asks
		if err := s.Reload(t.Context()); err == nil {
			t.Fatal("it was not refused")
		}
	}
	s.FileChanged(s.path("weft.yaml"))
	logged("was refused", 2)
	s.configure(`"reply one"`, `"reply two"`)
	s.FileChanged(s.path("weft.yaml"))
	s.FileChanged(s.path("weft.yaml"))
	logged("was read again", 1)
	s.reload()
	s.reload()
	logged("was read again", 1)
	logged("nothing has changed", 2)
	if n := s.MetricOf("weft_config_good", ""); n != 1 {
		t.Errorf("weft_config_good is %v", n)
	}
	s.configure(`"reply one"`, `"reply three"`)
	s.reload()
	s.FileChanged(s.path("weft.yaml"))
	logged("was read again", 2)
	if got := s.dial("lines").ask("x"); got != "three" {
		t.Errorf("got %q", got)
	}
}
