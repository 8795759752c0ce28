package backbone_test

import (
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

// Logs that nobody opens any more are found, with all that waits in them.
func TestLogsAreListed(t *testing.T) {
	b := open(t, nil)
	l := openLog(t, b, backbone.LogOptions{Name: "a_b c/é"})
	appendAll(t, l, 0, 1, noID)
	done := make(chan backbone.Appended, 1)
	if err := l.Append("", time.Hour, record(1), func(a backbone.Appended) { done <- a }); err != nil {
		t.Fatal(err)
	}
	if a := <-done; a.Err != nil {
		t.Fatal(a.Err)
	}
	logs, err := b.Logs(t.Context())
	if err != nil || len(logs) != 1 || logs["a_b c/é"] != 2 {
		t.Fatalf("%v, %v", logs, err)
	}
}
