package process_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/process"
)

// TestOneThatHasEndedIsNotKilled stops a server whose end and whose grace time are both
// there when they are looked at.
func TestOneThatHasEndedIsNotKilled(t *testing.T) {
	p, err := process.Start(t.Context(), process.Options{
		Name: "a shell", Command: []string{"sh", "-c", "exit 0"}, Log: filepath.Join(t.TempDir(), "log"),
		Ready: func(context.Context) error { return nil }, Grace: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	for range 100 {
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
