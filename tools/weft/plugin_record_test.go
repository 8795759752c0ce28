package main

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/recording"
)

func TestRecord(t *testing.T) {
	r := startGraveyard(t)
	api := "--api=" + r.at["api"]
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "--listener NAME"},
		{[]string{"--listener", "linse"}, exitUsage, "the listeners are [lines]"},
		{[]string{"--plugin", "gest"}, exitUsage, "stands in no chain"},
		{[]string{"--plugin", "guest", "--every", "0"}, exitUsage, "--every 0"},
	} {
		if got := weft(t, append([]string{"plugin", "record", api}, c.args...)...); got.code != c.code || !strings.Contains(got.errOut, c.says) {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
	done := make(chan result, 1)
	go func() {
		done <- weft(t, "plugin", "record", "--plugin", "guest", "--listener", "lines", "--count", "6", "--for", "30s", api)
	}()
	r.awaitMetric(t, "weft_recordings 1")
	for _, line := range []string{"trap", "drop cold"} {
		if sent := weft(t, "send", "--to", r.at["lines"], "--frame", "line", "--wait", "0", line); sent.code != 0 {
			t.Fatalf("%+v", sent)
		}
		r.letters(t, 1) // the first has been through the chain: the second's loop may be quicker
	}
	got := <-done
	if got.code != 0 || !strings.Contains(got.errOut, "recorded 6 messages, missed 0") {
		t.Fatalf("%+v", got)
	}
	file, err := recording.NewReader(strings.NewReader(got.out))
	if err != nil {
		t.Fatal(err)
	}
	if h := file.Header(); h.Listener != "lines" || h.Plugin != "guest" || strings.Join(h.Chain, " ") != "guest" || time.Since(h.Created) > time.Minute {
		t.Errorf("the header is %+v", h)
	}
	var hooks []string
	for {
		e, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		line := e.Hook
		if e.Hook == "messages" {
			line += " " + string(e.Payload) + " " + e.Outcome.Verdict + " " + e.Outcome.Cause
		}
		if e.Session == 0 || e.Listener != "lines" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		hooks = append(hooks, line)
	}
	// Two connections: in which order the second comes and the first goes is open.
	if len(hooks) == 0 || hooks[0] != "open" {
		t.Errorf("the recording begins with %q", hooks)
	}
	slices.Sort(hooks)
	if want := []string{"close", "close", "messages drop cold drop plugin", "messages trap route trap", "open", "open"}; !slices.Equal(hooks, want) {
		t.Errorf("the recording has %q", hooks)
	}
	if end := file.End(); !end.Complete() || end.Why != "count" || end.Messages != 6 {
		t.Errorf("the end is %+v", end)
	}
	r.awaitMetric(t, "weft_recordings 0")
	if got := weft(t, "plugin", "record", "--listener", "lines", "--for", "2s", api); got.code != 0 || !strings.Contains(got.out, `"why":"time"`) {
		t.Errorf("a recording by time: %+v", got)
	}
}

// awaitMetric waits for a line of the metrics.
func (r *running) awaitMetric(t *testing.T, line string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var text []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		answer, err := client.Get("http://" + r.at["api"] + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err = io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\n"+line+"\n") {
			return
		}
	}
	t.Fatalf("the metrics lack %q", line)
}
