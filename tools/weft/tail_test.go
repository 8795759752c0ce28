package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(`
watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: lines, chain: [filter]}]
plugins: {filter: {file: "std:json-filter", config: {rename: {t: temperature}, invalid: drop}}}
api: {address: "127.0.0.1:0"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at
	conn, err := net.Dial("tcp", at["lines"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// It speaks until the tails have heard it.
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = conn.Write([]byte("{\"t\":7}\nno JSON\n"))
			}
		}
	}()
	got := weft(t, "tail", "-n", "4", "--api", at["api"])
	for _, want := range []string{"lines", "filter", "fuel", `payload: "{\"t\":7}" -> "{\"temperature\":7}"`, "dropped: no_subscriber", "dropped: plugin_drop"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in:\n%s%s", want, got.out, got.errOut)
		}
	}
	if !strings.Contains(got.errOut, "4 shown of ") || got.code != 0 {
		t.Errorf("%+v", got)
	}
	got = weft(t, "tail", "-n", "1", "--json", "--plugin", "filter", "--topic", "+", "--api", at["api"])
	var m struct {
		Listener string
		Steps    []struct{ Plugin, Verdict string }
	}
	if err := json.Unmarshal([]byte(got.out), &m); err != nil || m.Listener != "lines" || len(m.Steps) != 1 || m.Steps[0].Plugin != "filter" {
		t.Errorf("%v: %+v", err, got)
	}
	for _, wrong := range [][]string{{"--rate", "5000"}, {"--topic", "a/#/b"}, {"--cut", "100000"}} {
		if got := weft(t, append([]string{"tail", "--api", at["api"]}, wrong...)...); got.code != exitUsage {
			t.Errorf("%q: %+v", wrong, got)
		}
	}
	if got := weft(t, "tail", "--listener", "none", "--api", at["api"]); got.code == 0 || !strings.Contains(got.errOut, "the listeners are") {
		t.Errorf("of a listener that is not there: %+v", got)
	}
}
