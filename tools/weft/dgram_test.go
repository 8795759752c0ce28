package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDatagrams sends and measures over UDP, and refuses flags that go over TCP.
func TestDatagrams(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "weft.yaml")
	yaml := `
listeners:
  - {name: a, address: "127.0.0.1:0", frame: mcp-dgram, topic: "a/{channel}", acknowledge: "{channel}: {payload}"}
  - {name: b, address: "127.0.0.1:0", frame: mcp-dgram, topic: b, subscribe: [b]}
api: {address: "127.0.0.1:0"}
`
	if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWeft(t, "-c", conf)
	send := []string{"send", "--frame", "mcp-dgram", "--to", r.at["a"]}
	bench := []string{"bench", "--frame", "mcp-dgram", "--to", r.at["b"], "--duration", "200ms", "--warmup", "50ms"}
	for _, c := range []struct {
		args []string
		more []string
		code int
		says string
	}{
		{send, []string{"--attr", "channel=7", "hello"}, exitOK, "7: hello"},
		{send, []string{"--type", "event", "hello"}, exitOK, ""},
		{send, []string{"--attr", "channel=256", "hello"}, exitUsage, "0 to 255"},
		{send, []string{"--tls", "hello"}, exitUsage, "--tls goes over TCP"},
		{bench, nil, exitOK, "0 lost, 0 duplicate, 0 out of order"},
		{bench, []string{"--mtu", "600"}, exitOK, "0 lost, 0 duplicate, 0 out of order"},
		{bench, []string{"--websocket", "/"}, exitUsage, "--websocket goes over TCP"},
		{[]string{"bench", "--to", r.at["b"]}, []string{"--mtu", "600"}, exitUsage, "--mtu is for"},
	} {
		args := append(append([]string{}, c.args...), c.more...)
		got := weft(t, args...)
		if got.code != c.code || !strings.Contains(got.out+got.errOut, c.says) {
			t.Errorf("%q: code %d, want %d with %q:\n%s%s", args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
}
