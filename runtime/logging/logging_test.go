package logging_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/logging"
)

var isoMillis = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$`)

func TestJSON(t *testing.T) {
	var out strings.Builder
	log, err := logging.New(&out, "weft", "info", logging.FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	ctx := logging.WithTrace(t.Context(), "4bf92f3577b34da6a3ce929d0e0e4736")
	log.Debug("hidden")
	log.With("listener", "trucks").InfoContext(ctx, "opened", "peer", "127.0.0.1:1")
	log.WithGroup("plugin").Warn("trapped", "time", 3)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	var first map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"level": "info", "service": "weft", "message": "opened", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "listener": "trucks", "peer": "127.0.0.1:1",
	} {
		if first[key] != want {
			t.Errorf("%s: %v, expected %v", key, first[key], want)
		}
	}
	if at, _ := first["time"].(string); !isoMillis.MatchString(at) {
		t.Errorf("time: %v", first["time"])
	}
	if _, ok := first["msg"]; ok {
		t.Error("msg was not renamed")
	}
	if !strings.Contains(lines[1], `"level":"warn"`) || !strings.Contains(lines[1], `"plugin":{"time":3}`) || strings.Contains(lines[1], "trace_id") {
		t.Error(lines[1])
	}
}

func TestText(t *testing.T) {
	var out strings.Builder
	log, err := logging.New(&out, "weft", "debug", logging.FormatText)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("two words", "n", 1)
	line := regexp.MustCompile(`^time=\S+Z level=debug message="two words" service=weft n=1\n$`)
	if !line.MatchString(out.String()) {
		t.Error(out.String())
	}
}

func TestUnknownOptions(t *testing.T) {
	for _, o := range [][2]string{{"verbose", "text"}, {"info", "xml"}, {"", "text"}, {"info", ""}, {"INFO+2", "json"}} {
		if _, err := logging.New(&strings.Builder{}, "weft", o[0], o[1]); !errors.Is(err, logging.ErrOption) {
			t.Errorf("%v: %v", o, err)
		}
	}
}
