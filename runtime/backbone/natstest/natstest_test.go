package natstest_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/backbone/natstest"
)

func TestServerComesBackOnItsPort(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	url := s.URL()
	for _, end := range []func(){s.Kill, s.Stop} {
		end()
		if s.Pid() != 0 {
			t.Fatal("it runs on")
		}
		s.Start()
		s.WaitReady()
		if s.URL() != url {
			t.Fatalf("%s, want %s", s.URL(), url)
		}
	}
}

func TestClusterHasALeader(t *testing.T) {
	list := natstest.Cluster(t, 3)
	first := natstest.Leader(t, list, "")
	first.Kill()
	if second := natstest.Leader(t, list, ""); second == first {
		t.Fatalf("%s leads, which was killed", first.Name())
	}
}
