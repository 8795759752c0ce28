package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchMQTT measures an MQTT listener at each quality of service, and refuses flags
// that mean nothing there.
func TestBenchMQTT(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "weft.yaml")
	yaml := `
listeners:
  - {name: plain, address: "127.0.0.1:0", frame: mqtt}
  - {name: web, address: "127.0.0.1:0", frame: mqtt, websocket: {path: /mqtt}}
api: {address: "127.0.0.1:0"}
`
	if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWeft(t, "-c", conf)
	const good = "0 lost, 0 duplicate, 0 out of order"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitOK, good},
		{[]string{"--qos", "1", "--publishers", "3", "--topic", "a/b"}, exitOK, good},
		{[]string{"--qos", "2"}, exitOK, good},
		{[]string{"--to", r.at["web"], "--websocket", "/mqtt"}, exitOK, good},
		{[]string{"--to", r.at["web"], "--websocket", "/mqtt", "--qos", "2"}, exitOK, good},
		{[]string{"--frame", "mqtt5"}, exitOK, good},
		{[]string{"--frame", "mqtt5", "--qos", "1", "--publishers", "2", "--topic", "a/{client}/{n}", "--topics", "3"}, exitOK, good},
		{[]string{"--frame", "mqtt5", "--qos", "2", "--template", "{stamp} {random:1..9}"}, exitOK, good},
		{[]string{"--qos", "3"}, exitUsage, "expected 0, 1 or 2"},
		{[]string{"--sign"}, exitUsage, "--sign is for frames"},
		{[]string{"--request"}, exitUsage, "--request is for frames"},
		{[]string{"--priority", "1"}, exitUsage, "--priority is for frames"},
		{[]string{"--frame", "mcp-seq", "--qos", "1"}, exitUsage, "--qos is for --frame mqtt, mqtt5 and api"},
	} {
		args := append([]string{"bench", "--frame", "mqtt", "--to", r.at["plain"], "--duration", "100ms", "--warmup", "20ms"}, c.args...)
		if got := weft(t, args...); got.code != c.code || !strings.Contains(got.out+got.errOut, c.says) {
			t.Errorf("%q: code %d, want %d with %q:\n%s%s", args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
}
