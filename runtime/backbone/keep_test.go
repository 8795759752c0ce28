package backbone

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The server in this process looks at no stream if it is held up for a millisecond while
// it is asked how it is: that is no answer, neither that a fault is over nor that there
// is none.
func TestNoAnswerIsNotHealth(t *testing.T) {
	o := Options{Node: "node", Dir: t.TempDir(), Size: 64 << 20, Logger: slog.New(slog.DiscardHandler)}
	open, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := open.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var (
		silent int // so many answers say nothing
		fault  string
	)
	b := &Backbone{options: open.options, folder: open.folder, server: open.server, lines: newServerLog(o.Logger), tracker: newTracker(), seldom: o.Logger}
	b.healthz = func(*server.HealthzOptions) *server.HealthStatus {
		switch {
		case silent > 0:
			silent--
			return &server.HealthStatus{Errors: []server.HealthzError{{Type: server.HealthzErrorConn, Error: "failed to be ready for connections after 1ms"}}}
		case fault != "":
			return &server.HealthStatus{Errors: []server.HealthzError{{Type: server.HealthzErrorStream, Error: fault}}}
		}
		return &server.HealthStatus{}
	}
	look := func(answersLost int, want string) {
		t.Helper()
		silent = answersLost
		b.look(time.Now()) // it was mended just now: it is not tried
		if got := b.tracker.now().Fault; got != want {
			t.Fatalf("the state says %q, want %q", got, want)
		}
	}
	const never = 1 << 30
	full := "JetStream stream 'one' write error: no space left on device"
	fault = full
	b.lines.Errorf("a write failed")
	look(never, "")
	look(3, full)
	look(never, full)
	b.tracker.set(true, func(s *State) { s.Fault = "" }) // the connection was made anew
	look(0, full)
	fault = ""
	look(never, full)
	look(3, "")
	if b.lines.trouble.Load() {
		t.Error("trouble that is over is looked at for ever")
	}
	silent = never
	if b.recovered() == nil {
		t.Error("a folder that the server says nothing of counts as read")
	}
}
