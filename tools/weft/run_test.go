package main

import (
	"errors"
	"testing"

	"github.com/weftrun/weft/runtime/life"
)

// TestAwaitRunning looks at a server as late as a machine under load lets it.
func TestAwaitRunning(t *testing.T) {
	fault := errors.New("the API's address is in use")
	for _, c := range []struct {
		name  string
		state life.State
		ended error
		want  error
	}{
		{"it runs", life.Running, nil, nil},
		{"it has failed, and has closed what it had", life.Failed, fault, fault},
		{"its end comes before its state is seen", life.Initializing, fault, fault},
		{"it was asked to stop already", life.Draining, nil, nil},
		{"it has stopped already", life.Stopped, nil, nil},
		{"it has stopped before its state is seen", life.Initializing, nil, nil},
	} {
		ended := make(chan error, 1)
		ended <- c.ended
		if err := awaitRunning(func() life.State { return c.state }, ended); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.want == nil && len(ended) == 0 {
			t.Errorf("%s: nobody is told how it has ended", c.name)
		}
	}
}
