package process_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/process"
)

// TestOneThatHasEndedIsNotKilled stops a server whose end and whose grace time are both
// there when they are looked at.
func TestOneThatHasEndedIsNotKilled(t *testing.T) {
	self, err := os.Executable() // there may be no other program
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(t.Context(), process.Options{
		Name: "a test without tests", Command: []string{self, "-test.run=^$"}, Log: filepath.Join(t.TempDir(), "log"),
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
