package logging_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/logging"
)

// at writes a line as if it were that late after a fixed moment.
func at(t *testing.T, log *slog.Logger, after time.Duration, message, listener string) {
	t.Helper()
	r := slog.NewRecord(time.Unix(1_000_000, 0).Add(after), slog.LevelInfo, message, 0)
	r.AddAttrs(slog.String("listener", listener))
	if err := log.Handler().Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestSeldom(t *testing.T) {
	var out strings.Builder
	log, err := logging.New(&out, "weft", "info", logging.FormatText)
	if err != nil {
		t.Fatal(err)
	}
	limited := logging.Seldom(log, 3, time.Second)
	for range 1000 {
		at(t, limited, 0, "session refused", "a")
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Fatalf("%d lines of 1000 passed, expected 3:\n%s", n, out.String())
	}
	if strings.Contains(out.String(), logging.KeyHidden) {
		t.Errorf("lines of which none was left out say so:\n%s", out.String())
	}
	out.Reset()
	at(t, limited, 0, "session refused", "b")
	at(t, limited, 0, "session taken over", "a")
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("another listener and another message are other kinds: %d lines, expected 2:\n%s", n, out.String())
	}
	out.Reset()
	at(t, limited, time.Second, "session refused", "a")
	at(t, limited, time.Second, "session refused", "a")
	if want := logging.KeyHidden + "=997"; strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), want) {
		t.Errorf("a second later one passes and says %s; got:\n%s", want, out.String())
	}
	out.Reset()
	for range 5 {
		at(t, limited, time.Hour, "session refused", "a")
	}
	if n := strings.Count(out.String(), "\n"); n != 3 || !strings.Contains(out.String(), logging.KeyHidden+"=1\n") {
		t.Errorf("after an hour of quiet the burst passes again: %d lines:\n%s", n, out.String())
	}
}

func TestSeldomForgetsNothingAndGrowsNot(t *testing.T) {
	var out strings.Builder
	log, err := logging.New(&out, "weft", "info", logging.FormatText)
	if err != nil {
		t.Fatal(err)
	}
	limited := logging.Seldom(log, 1, time.Hour)
	for i := range 5000 {
		at(t, limited, 0, "session refused", strings.Repeat("x", i))
	}
	if n := strings.Count(out.String(), "\n"); n != 1025 {
		t.Errorf("%d lines, expected one for each of 1024 kinds and one for all others", n)
	}
}
